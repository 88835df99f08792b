"""What is read from the user: rows, targets, estimators; and whom a warning is addressed to."""
