"""Pages and images of a run."""
