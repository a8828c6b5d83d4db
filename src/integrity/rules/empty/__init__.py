"""Values that hold nothing."""
