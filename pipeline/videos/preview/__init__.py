"""Videos as images to look at."""
