"""Labels drawn on frames."""

from typing import Literal

Style = Literal["bars", "plain", "none"]
"""Bars of all classes and a timeline, the names of the classes as text, or nothing."""
