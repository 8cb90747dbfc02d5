"""Published systems: which commands they are, and running them."""
