"""The write path: one operation, one file, as coroutines over the `Store` port."""
