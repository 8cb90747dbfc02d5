"""A whole classifier as one file for other programs."""
