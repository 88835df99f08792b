"""Dask collections, without importing Dask: what they are, and rows mapped block by block."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def is_lazy(X: Any) -> bool:
    """Whether `X` is a Dask array or DataFrame."""
    return hasattr(X, "__dask_graph__") and hasattr(X, "to_delayed")


def is_lazy_frame(X: Any) -> bool:
    """Whether `X` is a Dask DataFrame."""
    return is_lazy(X) and hasattr(X, "columns")


def map_blocks(method: Callable[[Any], Any], X: Any) -> Any:
    """Apply a method of a fitted estimator to each block of rows, when the result is computed.

    Parameters
    ----------
    method : callable
        Rows (k, d) -> array of k rows.
    X : dask array or DataFrame of shape (n, d)

    Returns
    -------
    dask array with n rows, in as many chunks as `X`
    """
    import dask
    import dask.array as da

    if is_lazy_frame(X):
        probe, blocks = X._meta_nonempty, X.to_delayed()
        lengths = [np.nan] * len(blocks)
    else:
        X = whole_rows(X)
        probe = np.zeros((1, X.shape[1]), dtype=X.dtype)
        blocks, lengths = X.to_delayed().ravel(), X.chunks[0]
    like = method(probe)
    if not hasattr(like, "dtype"):
        name = getattr(method, "__name__", "this method")
        raise TypeError(
            f"{name} returns a {type(like).__name__}, one array for each output, which cannot be "
            "made lazily; call it on blocks: X.map_partitions, or X.blocks[i].compute()."
        )
    like = np.asarray(like)[:0]
    held, work = dask.delayed(method), dask.delayed(_on_block)
    parts = [
        da.from_delayed(work(held, block, like), shape=(n, *like.shape[1:]), dtype=like.dtype)
        for block, n in zip(blocks, lengths, strict=True)
    ]
    return da.concatenate(parts, axis=0, allow_unknown_chunksizes=True)


def whole_rows(X: Any) -> Any:
    """Dask array whose blocks hold whole rows."""
    return X if X.ndim == 1 or X.numblocks[1] == 1 else X.rechunk({1: -1})


def _on_block(method: Callable[[Any], Any], block: Any, like: np.ndarray) -> np.ndarray:
    # scikit-learn refuses an empty block.
    return np.asarray(method(block)) if len(block) else like
