"""Labels drawn on frames."""

from typing import Literal

Style = Literal["bars", "scores", "plain", "none"]
"""Bars of all classes and a timeline, a list of the classes, the label alone, or nothing."""
