"""What a classified video is written to."""
