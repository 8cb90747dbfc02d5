"""Labelled sequences, their windows and their splits."""
