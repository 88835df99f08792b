"""The course of a fit that learns rows, above the techniques."""
