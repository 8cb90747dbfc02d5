"""The engine of stage one: decoded frames become features."""
