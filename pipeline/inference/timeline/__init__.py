"""Windows over a video, their probabilities, and segments."""
