"""Short videos cut from longer ones."""
