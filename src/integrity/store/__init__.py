"""All input and output to MongoDB: the port that the core is written over, and what implements it."""
