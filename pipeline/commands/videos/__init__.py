"""Commands on videos."""
