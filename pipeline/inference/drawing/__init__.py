"""Labels drawn on frames."""
