"""Values that are not what is declared."""
