"""A head as compiled functions."""
