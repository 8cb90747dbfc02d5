"""A checkpoint applied to videos and streams."""
