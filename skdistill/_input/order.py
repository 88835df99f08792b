"""Orders of many rows, found by sorting numbers that carry the rows' positions.

Sorting 64-bit words is several times faster than sorting positions by them. Most orders need far
fewer bits than 64, and the position fits into what is left.
"""

from __future__ import annotations

import numpy as np

_MOST_TIES = 0.25  # of the rows; where more are tied, positions are sorted as usual


def order_by(word: np.ndarray, n_bits: int, key: np.ndarray | None = None) -> np.ndarray:
    """Positions of rows in the order of `word`, of equal ones in that of `key`, then as they stand.

    Parameters
    ----------
    word : uint64 ndarray of shape (n,)
        Below ``2 ** n_bits``.
    n_bits : int
    key : uint64 ndarray of shape (n,), optional

    Returns
    -------
    int64 ndarray of shape (n,)
    """
    n = len(word)
    place_bits = np.uint64(max(1, (n - 1).bit_length()))
    if n_bits + int(place_bits) > 64:
        return _plain(word, key)
    packed = word << place_bits
    packed |= np.arange(n, dtype=np.uint64)
    packed.sort()
    tied = None
    if key is not None:
        sorted_words = packed >> place_bits
        tied = sorted_words[1:] == sorted_words[:-1]
        if tied.sum() > _MOST_TIES * n:
            return _plain(word, key)
    packed &= (np.uint64(1) << place_bits) - np.uint64(1)
    order = packed.view(np.int64)
    if key is not None and tied is not None and tied.any():
        among = np.zeros(n, dtype=bool)
        among[1:] = tied
        among[:-1] |= tied
        at = np.flatnonzero(among)
        rows = order[at]
        order[at] = rows[np.lexsort((key[rows], sorted_words[at]))]
    return order


def order_of_hashes(key: np.ndarray) -> np.ndarray:
    """Positions of rows in the order of their 64-bit hashes.

    Parameters
    ----------
    key : uint64 ndarray of shape (n,)

    Returns
    -------
    int64 ndarray of shape (n,)
    """
    # The front of a hash settles the order of nearly all rows.
    place_bits = max(1, (len(key) - 1).bit_length())
    return order_by(key >> np.uint64(place_bits), 64 - place_bits, key)


def _plain(word: np.ndarray, key: np.ndarray | None) -> np.ndarray:
    return np.argsort(word, kind="stable") if key is None else np.lexsort((key, word))


def one_of_each_stretch(n: int, n_chosen: int, rng: np.random.RandomState) -> np.ndarray:
    """Rows chosen at random from equal stretches, one of each, so that none comes twice.

    Parameters
    ----------
    n : int
        At least `n_chosen`.
    n_chosen : int
    rng : RandomState

    Returns
    -------
    int64 ndarray of shape (n_chosen,), ascending
    """
    edges = np.arange(n_chosen + 1) * n // n_chosen
    return edges[:-1] + (rng.uniform(size=n_chosen) * np.diff(edges)).astype(np.int64)
