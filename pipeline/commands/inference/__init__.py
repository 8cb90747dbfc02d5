"""Commands that apply a checkpoint."""
