"""Commands that run others."""
