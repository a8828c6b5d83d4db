"""Values that should be there once."""
