"""Features on disk."""
