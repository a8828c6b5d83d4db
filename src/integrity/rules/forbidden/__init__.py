"""Values that mean nothing, or that must not be there."""
