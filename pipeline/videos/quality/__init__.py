"""What is wrong with a video or a set of videos."""
