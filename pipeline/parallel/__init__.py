"""Work side by side: threads that work ahead, calls in flight, and what this machine has."""
