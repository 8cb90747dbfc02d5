"""Whole runs of stage two."""
