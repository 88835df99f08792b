"""Scores of rows: pure functions from rows and weights to sensitivities or importance."""
