"""Where features come from: what has to be known to make the same ones of another video."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.extraction.recipe import Recipe


@dataclass(frozen=True)
class FeatureSource:
    """One store as a source of features; a head trained on two stores side by side has two."""

    recipe: Recipe
    weights_source: str
    """What was named as weights of the backbone; see `FeatureStore.weights_source`."""
    licence: str = ""
    """Of these weights; empty where nothing is known of it."""
