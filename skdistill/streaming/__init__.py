"""Data larger than memory: merge and reduce, where chunks come from, Dask."""
