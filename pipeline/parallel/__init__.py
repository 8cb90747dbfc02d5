"""Work side by side: worker processes that are watched, threads that work ahead, calls in flight, and what this
machine has."""
