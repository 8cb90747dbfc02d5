"""Stage one: a video becomes a sequence of features, once."""
