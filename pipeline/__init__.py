"""Video classification in two stages: features are extracted once, classifiers train on them in seconds."""

__version__ = "0.1.0"
