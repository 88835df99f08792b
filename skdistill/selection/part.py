"""Training rows in the forms that candidates are made from, each form computed once and when asked.

All candidates of one part share one scaling, one forest and its out-of-bag predictions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp
from sklearn.decomposition import TruncatedSVD

from .._input import frames
from ..features import SupervisedEmbedding

FOREST_ROWS = 8000  # that the trees of the embedding are grown on
TREES = 60
DIRECTIONS = 64  # that sparse rows are brought to
CLIP = 3.0  # standard deviations from the mean that nearness looks at


@dataclass(frozen=True)
class SmallSet:
    """A small set in two forms.

    Attributes
    ----------
    X : array, CSR matrix or DataFrame of shape (m, p)
        Rows as the user's model sees them.
    features : ndarray or CSR matrix of shape (m, d)
        The same rows, encoded.
    y : ndarray of shape (m,) or (m, q)
    weight : float64 ndarray of shape (m,)
        What each row stands for.
    index : int64 ndarray of shape (m,) or None
        Where rows stand in the user's data, if they are rows of it.
    which : int64 ndarray of shape (m,) or None
        The same as positions in the part that they were made from.
    """

    X: Any
    features: Any
    y: np.ndarray
    weight: np.ndarray
    index: np.ndarray | None = None
    which: np.ndarray | None = None


@dataclass(frozen=True)
class Part:
    """Distinct rows with their weights and target.

    Attributes
    ----------
    X : array, CSR matrix or DataFrame of shape (N, p)
        All rows of the user; `index` says which of them are meant.
    y : ndarray of shape (N,) or (N, q)
        Their target.
    encode : callable
        Rows (k, p) like `X` -> features (k, d).
    index : int64 ndarray of shape (n,)
    features : ndarray or CSR matrix of shape (n, d)
    codes : int64 ndarray of shape (n,) or None
        Classes.
    numbers : float64 ndarray of shape (n, q) or None
        Numbers or 0/1 labels.
    weight : float64 ndarray of shape (n,)
    key : uint64 ndarray of shape (n,)
        Hash of the content: settles ties.
    seed : int
        Of the forest.
    """

    X: Any
    y: np.ndarray
    encode: Callable[[Any], Any]
    index: np.ndarray
    features: Any
    codes: np.ndarray | None
    numbers: np.ndarray | None
    weight: np.ndarray
    key: np.ndarray
    seed: int

    def __len__(self) -> int:
        return len(self.index)

    def take(self, which: np.ndarray, seed: int) -> Part:
        """Take some of the rows, by their positions."""
        return replace(
            self,
            index=self.index[which],
            features=self.features[which],
            codes=None if self.codes is None else self.codes[which],
            numbers=None if self.numbers is None else self.numbers[which],
            weight=self.weight[which],
            key=self.key[which],
            seed=seed,
        )

    @property
    def has_means(self) -> bool:
        """Whether a mean of rows is a row: of dense arrays of finite numbers."""
        X = self.X
        plain = isinstance(X, np.ndarray) and X.dtype.kind in "fiu"
        return plain and bool(np.isfinite(X[self.index]).all())

    @property
    def target(self) -> np.ndarray:
        """Codes (n,) or numbers (n,) or (n, q)."""
        if self.codes is not None:
            return self.codes
        assert self.numbers is not None  # candidates need a target
        return self.numbers[:, 0] if self.numbers.shape[1] == 1 else self.numbers

    @property
    def rows(self) -> Any:
        """Rows (n, p) as the user's model sees them."""
        return take_rows(self.X, self.index)

    @property
    def labels(self) -> np.ndarray:
        """Target (n,) or (n, q) of the user's type."""
        return self.y[self.index]

    @cached_property
    def scaled(self) -> np.ndarray:
        """Standardised columns (n, d); of sparse rows their main directions."""
        features = self.features
        if sp.issparse(features):
            n_components = min(DIRECTIONS, min(features.shape) - 1)
            features = TruncatedSVD(max(1, n_components), random_state=0).fit_transform(features)
            return features / (features.std() or 1.0)
        mean, scale = self._moments
        centred = features - mean
        centred /= scale
        return centred

    @cached_property
    def _moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of the columns of dense features, (d,) each; 1 for 0."""
        mean = np.average(self.features, axis=0, weights=self.weight)
        variance = np.average(np.square(self.features - mean), axis=0, weights=self.weight)
        return mean, np.where(variance > 0, np.sqrt(variance), 1.0)

    def scaled_rows(self, small: SmallSet) -> np.ndarray:
        """Rows (m, d) of a small set in scaled columns, also where they are no rows of the part."""
        if small.which is not None:
            return self.scaled[small.which]
        mean, scale = self._moments
        return (small.features - mean) / scale

    @cached_property
    def _embedding(self) -> tuple[np.ndarray, np.ndarray]:
        kind = "regression" if self.codes is None else "classification"
        model = SupervisedEmbedding(
            n_estimators=TREES, subsample=FOREST_ROWS, target_type=kind, random_state=self.seed
        )
        embedded = model.fit_transform(self.scaled, self.target, sample_weight=self.weight)
        return embedded, model.oob_prediction_.reshape(len(self), -1)

    @property
    def embedded(self) -> np.ndarray:
        """Scaled columns beside the leaves of a forest, (n, d + k)."""
        return self._embedding[0]

    @property
    def predicted(self) -> np.ndarray:
        """What trees that have not seen a row predict: probabilities (n, c) or numbers (n, q)."""
        return self._embedding[1]

    @cached_property
    def clean(self) -> np.ndarray:
        """Positions of rows whose class trees agree with; of a class without such rows, all.

        Trees agree where no other class has a larger probability in units of its share: else they
        would take most rows of rare classes for wrong.
        """
        assert self.codes is not None
        share = np.bincount(self.codes, weights=self.weight, minlength=self.predicted.shape[1])
        ratio = self.predicted / np.where(share > 0, share, np.inf)
        agreed = ratio.argmax(axis=1) == self.codes
        count = np.bincount(self.codes, weights=agreed)
        return np.flatnonzero(agreed | (count[self.codes] == 0))

    def small_set(
        self, which: np.ndarray, weight: np.ndarray, numbers: np.ndarray | None = None
    ) -> SmallSet:
        """Take some of the rows, by their positions, with other `numbers` (m, q) where given."""
        index = self.index[which]
        y = self.y[index]
        if numbers is not None:
            dtype = y.dtype if y.dtype.kind == "f" else np.dtype(np.float64)
            y = numbers.reshape(y.shape).astype(dtype)
        return SmallSet(take_rows(self.X, index), self.features[which], y, weight, index, which)


def sampled(part: Part, n_rows: int, rng: np.random.RandomState) -> tuple[Part, np.ndarray]:
    """Sample rows of a part: half by number, half in equal shares of classes.

    Returns
    -------
    sample : Part
        About `n_rows` rows with weights that stand for all; the part itself where it has no more.
    positions : int64 ndarray
        Of the rows in the part.
    """
    if len(part) <= n_rows:
        return part, np.arange(len(part))
    if part.codes is None:
        p = np.full(len(part), n_rows / len(part))
    else:
        counts = np.bincount(part.codes)
        present = (counts > 0).sum()
        wanted = 0.5 * n_rows * (counts / len(part) + 1 / present)
        p = np.minimum(1, wanted / np.maximum(counts, 1))[part.codes]
    place = np.floor(np.cumsum(p) + rng.uniform())
    which = np.flatnonzero(np.diff(place, prepend=0) > 0)
    sample = part.take(which, part.seed)
    return replace(sample, weight=sample.weight / p[which]), which


def take_rows(X: Any, index: np.ndarray) -> Any:
    """Rows of the user's; of CSR with indices of 32 bits, since many estimators want them."""
    rows = frames.take_rows(X, index)
    if sp.issparse(rows) and rows.nnz < np.iinfo(np.int32).max:
        rows.indices = rows.indices.astype(np.int32, copy=False)
        rows.indptr = rows.indptr.astype(np.int32, copy=False)
    return rows


def split(part: Part, share: float, rng: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Positions of rows to choose from and of held-out rows, alike in classes or numbers.

    Every so many rows of the same class, or in the order of the first number, one is held out. A
    class of a single row stays where rows are chosen from.
    """
    n = len(part)
    order = rng.permutation(n)
    key = part.codes if part.codes is not None else part.numbers[:, 0]  # type: ignore[index]
    order = order[np.argsort(key[order], kind="stable")]
    place = np.floor(np.arange(n) * share + rng.uniform())
    held = np.diff(place, prepend=place[0]) > 0
    if part.codes is not None:
        single = np.bincount(part.codes)[part.codes[order]] == 1
        held &= ~single
    return np.sort(order[~held]), np.sort(order[held])
