"""What MongoDB itself enforces, made from the declarations: validators, indexes, and the difference to them."""
