"""Labels of segments and of frames."""
