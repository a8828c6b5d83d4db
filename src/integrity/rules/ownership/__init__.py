"""Values that repeat a fact which another field owns."""
