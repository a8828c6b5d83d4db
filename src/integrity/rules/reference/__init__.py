"""Values that should name a document of another collection."""
