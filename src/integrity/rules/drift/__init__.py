"""Where the server differs from the declarations."""
