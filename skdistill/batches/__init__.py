"""Real rows as a technique sees them: tensors, drawn batch by batch."""
