"""Frames classified as they come."""
