"""Videos that look alike: near-duplicates, groups of them, leaks between splits, and scenes that tell the class."""
