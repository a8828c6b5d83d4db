"""Planning an update without a look at the database: one family of operators, one file. Pure."""
