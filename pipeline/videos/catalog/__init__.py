"""The table of videos, and where they come from."""
