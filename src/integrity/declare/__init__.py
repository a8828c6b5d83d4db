"""What users write: models, markers, policies, and the registry that takes them together."""
