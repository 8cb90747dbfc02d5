"""Frozen networks that are files of their own, with a description beside them."""
