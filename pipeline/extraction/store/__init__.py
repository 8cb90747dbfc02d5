"""Features on disk."""

SHARD_SECONDS = 30.0  # the most work that a power cut can cost
