"""Frozen networks that are presets of keras-hub, by name or from a local folder."""
