"""Commands on feature stores."""
