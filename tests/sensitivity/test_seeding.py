"""Seeds of k-means++ are those of scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.cluster import kmeans_plusplus

from skdistill.sensitivity.seeding import greedy_seeds


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("form", ["float64", "float32", "sparse"])
def test_seeds_are_those_of_scikit_learn(form, seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_t(3, size=(int(rng.integers(30, 400)), int(rng.integers(1, 9))))
    X[::7] = X[0]  # rows that repeat cost nothing once one is chosen
    X = sp.csr_matrix(np.where(X > 1, X, 0)) if form == "sparse" else X.astype(form)
    weight = rng.gamma(0.5, size=X.shape[0])
    k = int(rng.integers(1, 25))
    generators = np.random.RandomState(seed), np.random.RandomState(seed)
    found = greedy_seeds(X, k, weight, generators[0])
    expected, _ = kmeans_plusplus(
        X.astype(np.float64), k, sample_weight=weight, random_state=generators[1]
    )
    np.testing.assert_array_equal(found, expected)
    assert generators[0].uniform() == generators[1].uniform()
