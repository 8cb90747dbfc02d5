"""Commands on heads and their checkpoints."""
