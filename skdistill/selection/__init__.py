"""Several small sets, and the one kept that trains the user's model best on held-out rows."""
