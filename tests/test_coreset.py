"""SensitivityCoreset through its public face: what comes in, what goes out, company it keeps."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from oracles import kernel_matrix
from pandas.testing import assert_frame_equal
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes, load_digits
from sklearn.decomposition import TruncatedSVD
from sklearn.frozen import FrozenEstimator
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.metrics.pairwise import laplacian_kernel, rbf_kernel
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from skdistill import DistilledData, SensitivityCoreset

LOSSES = ("kmeans", "kernel_ridge", "cross_entropy", "squared_error")


def row_norms(X, y):
    """A callable loss."""
    return np.asarray((X**2).sum(1)).ravel()


@pytest.fixture(scope="module")
def digits():
    return load_digits(return_X_y=True)


@pytest.fixture(scope="module")
def diabetes():
    return load_diabetes(return_X_y=True)


# What comes out --------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [*LOSSES, row_norms])
@pytest.mark.parametrize("sampling", ["systematic", "iid", "medoids"])
def test_digits(digits, loss, sampling):
    X, y = digits
    coreset = SensitivityCoreset(120, loss=loss, sampling=sampling, random_state=0)
    small = coreset.fit_distill(X, y)
    assert isinstance(small, DistilledData)
    assert small is coreset.distilled_
    assert 60 < len(small) <= 120 if sampling == "iid" else len(small) == 120
    assert coreset.sampling_ == sampling
    assert_array_equal(small.X, X[coreset.indices_])
    assert_array_equal(small.y, y[coreset.indices_])
    assert len(np.unique(coreset.indices_)) == len(small)
    assert small.X.dtype == X.dtype
    assert small.y.dtype == y.dtype
    assert_array_equal(small.classes, np.arange(10))
    assert_array_equal(coreset.classes_, np.arange(10))
    assert_array_equal(np.unique(small.y), np.arange(10))
    assert (small.sample_weight > 0).all()
    assert small.sample_weight.sum() == pytest.approx(len(X), rel=0.2)
    assert coreset.sensitivities_.shape == (len(X),)
    assert (coreset.sensitivities_ >= 0).all()
    assert (coreset.sensitivities_ <= 1).all()
    assert coreset.sensitivities_.sum() == pytest.approx(coreset.total_sensitivity_)
    assert coreset.n_features_in_ == 64
    assert coreset.device_ in ("cpu", "cuda")


@pytest.mark.parametrize("loss", ["kmeans", "kernel_ridge", "squared_error", row_norms])
def test_diabetes(diabetes, loss):
    X, y = diabetes
    coreset = SensitivityCoreset(60, loss=loss, random_state=0).fit(X, y)
    assert len(coreset.distilled_) == 60
    assert_array_equal(coreset.distilled_.y, y[coreset.indices_])
    assert coreset.distilled_.classes is None
    assert not hasattr(coreset, "classes_")
    assert coreset.distilled_.sample_weight.sum() == pytest.approx(len(X), rel=0.3)


def test_trains_an_estimator(digits):
    X, y = digits
    small = SensitivityCoreset(300, random_state=0).fit_distill(X, y)
    assert LogisticRegression(max_iter=2000).fit(**small).score(X, y) > 0.88
    assert KernelRidge(kernel="rbf", gamma=1e-3).fit(**small).predict(X).shape == (len(X),)


def test_weights_are_one_over_the_probability(digits):
    """Drawn uniformly, every row stands for n / m rows."""
    X, _ = digits
    for sampling, loss in (("systematic", "kernel_ridge"), ("systematic", "kmeans")):
        small = SensitivityCoreset(
            100, loss=loss, sampling=sampling, uniform_mixing=1.0, calibrate=False, random_state=0
        ).fit_distill(X)
        assert_allclose(small.sample_weight, len(X) / 100)


@pytest.mark.parametrize("mixing", [0.1, 0.5])
def test_uniform_mixing_bounds_the_weights(digits, mixing):
    X, y = digits
    small = SensitivityCoreset(
        80, loss="cross_entropy", uniform_mixing=mixing, stratify=False, random_state=0
    ).fit_distill(X, y)
    assert small.sample_weight.max() <= len(X) / 80 / mixing * (1 + 1e-9)
    assert small.sample_weight.max() > len(X) / 80


@pytest.mark.parametrize("sampling", ["systematic", "iid"])
@pytest.mark.parametrize("loss", LOSSES)
def test_sums_over_the_coreset_estimate_sums_over_all_rows(digits, loss, sampling):
    X, y = digits
    X, y = X[:400], y[:400]
    estimates = []
    for seed in range(60):
        small = SensitivityCoreset(
            40, loss=loss, sampling=sampling, calibrate=False, uniform_mixing=0.3, random_state=seed
        ).fit_distill(X, y)
        w = small.sample_weight
        estimates.append([w.sum(), w @ (small.X**2).sum(1), w @ (small.y == 3), w @ small.X[:, 20]])
    truth = [400, (X**2).sum(), (y == 3).sum(), X[:, 20].sum()]
    error = np.std(estimates, axis=0) / np.sqrt(60)
    assert (np.abs(np.mean(estimates, axis=0) - truth) < 4.5 * error).all()
    assert (error < 0.08 * np.array(truth)).all()  # or the test could not tell


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("loss", ["kmeans", "kernel_ridge"])
def test_calibration_makes_the_weights_sum_to_the_mass(digits, loss, weighted):
    X, y = digits
    weight = np.random.default_rng(0).uniform(0.1, 3, len(X)) if weighted else None
    total = weight.sum() if weighted else len(X)
    for sampling in ("systematic", "iid"):
        coreset = SensitivityCoreset(
            50, loss=loss, calibrate=True, sampling=sampling, random_state=0
        ).fit(X, y, sample_weight=weight)
        assert coreset.distilled_.sample_weight.sum() == pytest.approx(total)


def test_calibrate_auto_means_kmeans_only(digits):
    X, _ = digits
    totals = {}
    for loss in ("kmeans", "kernel_ridge", row_norms):
        given = {
            calibrate: SensitivityCoreset(
                50, loss=loss, calibrate=calibrate, random_state=0
            ).fit_distill(X)
            for calibrate in ("auto", True, False)
        }
        same = given["auto"].sample_weight.tolist()
        totals[loss] = [c for c in (True, False) if given[c].sample_weight.tolist() == same]
    assert totals == {"kmeans": [True], "kernel_ridge": [False], row_norms: [False]}


# Budgets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("budget", "rows"), [(0.1, 10), (0.999, 100), (1e-9, 1), (1, 1), (99, 99)])
def test_budgets(budget, rows):
    X = np.random.default_rng(0).normal(size=(100, 3))
    assert len(SensitivityCoreset(budget, random_state=0).fit_distill(X)) == rows


def test_a_share_is_one_of_distinct_rows_of_positive_weight():
    X = np.repeat(np.arange(40.0), 3)[:, None]
    weight = np.ones(120)
    weight[:60] = 0
    small = SensitivityCoreset(0.5, random_state=0).fit_distill(X, sample_weight=weight)
    assert len(small) == 10
    assert (small.X >= 20).all()


@pytest.mark.parametrize("sampling", ["systematic", "iid", "medoids"])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_budget_above_the_rows_takes_them_all_as_they_are(digits, loss, sampling):
    X, y = digits[0][:50], digits[1][:50]
    weight = np.random.default_rng(0).uniform(0.5, 2, 50)
    coreset = SensitivityCoreset(60, loss=loss, sampling=sampling, random_state=0)
    with pytest.warns(UserWarning, match="n_samples=60 is more than the 50 distinct rows"):
        coreset.fit(X, y, sample_weight=weight)
    assert_array_equal(np.sort(coreset.indices_), np.arange(50))
    assert_allclose(coreset.distilled_.sample_weight, weight[coreset.indices_])


# Medoids and shares of classes -------------------------------------------------------------------

PARTS = {code: 1 + code for code in range(10)}


@pytest.mark.parametrize("loss", ["kmeans", "cross_entropy", row_norms])
def test_medoids_are_rows_and_their_weights_the_mass_of_each_class(digits, loss):
    X, y = digits
    weight = np.random.default_rng(0).uniform(0.5, 2, len(X))
    coreset = SensitivityCoreset(150, loss=loss, sampling="medoids", random_state=0)
    small = coreset.fit_distill(X, y, sample_weight=weight)
    assert len(np.unique(coreset.indices_)) == 150
    assert_array_equal(small.X, X[coreset.indices_])
    assert_array_equal(small.y, y[coreset.indices_])
    held = np.bincount(small.y, weights=small.sample_weight)
    assert_allclose(held, np.bincount(y, weights=weight))
    share = np.bincount(y, weights=weight) / weight.sum() * 150
    assert (np.abs(np.bincount(small.y) - share) < 1).all()
    assert coreset.sensitivities_.shape == (len(X),)
    again = SensitivityCoreset(150, loss=loss, sampling="medoids", random_state=0)
    assert_array_equal(again.fit(X, y, sample_weight=weight).indices_, coreset.indices_)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "medoids"),
        ({"class_share": "balanced"}, "medoids"),
        ({"preprocessor": StandardScaler()}, "medoids"),
        ({"loss": "cross_entropy"}, "systematic"),
        ({"loss": row_norms}, "systematic"),
        ({"calibrate": False}, "systematic"),
        ({"uniform_mixing": 1.0}, "systematic"),
        ({"stratify": False}, "systematic"),
        ({"calibrate": False, "sampling": "medoids"}, "medoids"),
        ({"sampling": "iid"}, "iid"),
    ],
)
def test_auto_takes_medoids_unless_a_sample_is_asked_for(digits, changes, expected):
    X, y = digits[0][:200], digits[1][:200]
    coreset = SensitivityCoreset(30, random_state=0, **changes).fit(X, y)
    assert coreset.sampling_ == expected
    assert (coreset.distilled_.sample_weight.sum() == 200) or expected != "medoids"


def test_auto_takes_a_sample_without_a_target(digits, diabetes):
    coreset = SensitivityCoreset(30, random_state=0)
    assert coreset.fit(digits[0]).sampling_ == "systematic"
    assert coreset.fit(*diabetes).sampling_ == "medoids"


def test_medoids_of_numbers_keep_the_total_and_look_at_the_target(diabetes):
    X, y = diabetes
    coreset = SensitivityCoreset(60, sampling="medoids", random_state=0)
    small = coreset.fit_distill(X, y)
    assert len(np.unique(coreset.indices_)) == 60
    assert small.sample_weight.sum() == pytest.approx(len(X))
    assert small.sample_weight @ small.y == pytest.approx(y.sum(), rel=0.03)
    both = SensitivityCoreset(60, sampling="medoids", random_state=0)
    both = both.fit_distill(X, np.column_stack([y, X[:, 0]]))
    assert len(both) == 60
    without = SensitivityCoreset(60, sampling="medoids", random_state=0).fit(X)
    assert set(without.indices_) != set(coreset.indices_)


def test_medoids_without_strata_ignore_the_classes():
    X = np.random.default_rng(0).normal(size=(200, 2))
    y = np.repeat([0, 1], [199, 1])
    small = SensitivityCoreset(5, sampling="medoids", stratify=False, random_state=0)
    small = small.fit_distill(X, y)
    assert len(small) == 5
    assert small.sample_weight.sum() == 200
    assert small.sample_weight.min() > 5  # a stratum of one row would weigh 1


def test_medoids_do_not_depend_on_the_units_of_features():
    """But on those that a preprocessor makes."""
    X = np.random.default_rng(0).normal(size=(400, 3))
    scaled = X * [1, 10, 1e4]

    def cost(coreset, table):
        medoids = X[coreset.fit(table).indices_]
        return ((X[:, None] - medoids) ** 2).sum(-1).min(1).mean()

    coreset = SensitivityCoreset(40, sampling="medoids", random_state=0)
    assert cost(coreset, X) == pytest.approx(cost(coreset, scaled), rel=0.15)
    coreset.set_params(preprocessor=FunctionTransformer())
    assert cost(coreset, scaled) > 1.3 * cost(coreset, X)


def test_medoids_of_sparse_rows(digits):
    X, y = digits
    coreset = SensitivityCoreset(60, sampling="medoids", random_state=0)
    small = coreset.fit_distill(sp.csr_matrix(X), y)
    assert sp.issparse(small.X)
    assert_array_equal(small.X.toarray(), X[coreset.indices_])
    assert_allclose(np.bincount(small.y, weights=small.sample_weight), np.bincount(y))


@pytest.mark.parametrize("sampling", ["systematic", "iid", "medoids"])
@pytest.mark.parametrize("class_share", ["proportional", "balanced", "sqrt", PARTS])
def test_shares_of_classes_are_met(digits, sampling, class_share):
    X, y = digits[0][:900], digits[1][:900]
    kept = (y > 2) | (np.arange(900) % 9 == 0)  # three rare classes
    X, y = X[kept], y[kept]
    size = np.bincount(y)
    share = {"proportional": size, "balanced": np.ones(10), "sqrt": np.sqrt(size)}.get(
        str(class_share), np.array(list(PARTS.values()))
    )
    small = SensitivityCoreset(
        60, sampling=sampling, class_share=class_share, random_state=0
    ).fit_distill(X, y)
    counts = np.bincount(small.y)
    expected = share / share.sum() * 60
    if sampling == "iid":  # rows that are drawn twice count once
        assert (counts < expected + 1).all()
        assert len(small) > 45
    else:
        assert len(small) == 60
        assert (np.abs(counts - expected) < 1).all()
    assert small.sample_weight.sum() == pytest.approx(len(X))
    # The weights say what the rows stand for, whatever the shares.
    held = np.bincount(small.y, weights=small.sample_weight)
    assert_allclose(held, size, rtol=0.8)
    assert np.corrcoef(held, size)[0, 1] > 0.8


def test_a_class_smaller_than_its_share_gives_all_its_rows():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(300, 3)), np.repeat(["a", "b", "c"], [250, 40, 10])
    for sampling in ("systematic", "medoids"):
        small = SensitivityCoreset(
            90, sampling=sampling, class_share="balanced", random_state=0
        ).fit_distill(X, y)
        assert [int((small.y == label).sum()) for label in "abc"] == [40, 40, 10]
        assert_allclose(small.sample_weight[small.y == "c"].mean(), 1, rtol=0.5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"class_share": "balanced", "stratify": False}, "needs stratify='auto' or True"),
        ({"class_share": "even"}, "class_share"),
        ({"class_share": {0: 1.0}}, "has no share for"),
    ],
)
def test_wrong_shares(digits, changes, message):
    with pytest.raises(ValueError, match=message):
        SensitivityCoreset(50, **changes).fit(*digits)


def test_shares_need_classes(diabetes):
    with pytest.raises(ValueError, match="class_share='sqrt' needs a target of classes"):
        SensitivityCoreset(50, class_share="sqrt").fit(*diabetes)


# Weights and repeated rows -----------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
def test_sensitivities_of_repeated_rows_share_by_weight(digits, loss):
    X, y = digits[0][:100], digits[1][:100]
    repeated, labels = np.vstack([X, X[:20]]), np.append(y, y[:20])
    weight = np.append(np.ones(100), np.full(20, 3.0))
    coreset = SensitivityCoreset(30, loss=loss, random_state=0)
    s = coreset.fit(repeated, labels, sample_weight=weight).sensitivities_
    assert_allclose(s[100:], 3 * s[:20])
    merged = coreset.fit(X, y, sample_weight=np.append(np.full(20, 4.0), np.ones(80)))
    assert_allclose(merged.sensitivities_[:20], s[:20] + s[100:])
    assert_allclose(merged.sensitivities_[20:], s[20:100])


@pytest.mark.parametrize("loss", LOSSES)
def test_rows_of_zero_weight_are_never_chosen(digits, loss):
    X, y = digits[0][:200], digits[1][:200]
    weight = np.ones(200)
    weight[::2] = 0
    X = X.copy()
    X[::2] += 1000.0
    coreset = SensitivityCoreset(40, loss=loss, random_state=0).fit(X, y, sample_weight=weight)
    assert (coreset.indices_ % 2 == 1).all()
    assert (coreset.sensitivities_[::2] == 0).all()
    without = SensitivityCoreset(40, loss=loss, random_state=0).fit(X[1::2], y[1::2])
    assert_array_equal(without.distilled_.X, coreset.distilled_.X)
    assert_allclose(without.distilled_.sample_weight, coreset.distilled_.sample_weight, rtol=1e-6)


def test_an_outlying_row_is_taken_and_weighs_little():
    X = np.random.default_rng(0).normal(size=(2000, 3))
    X[7] = 300.0
    for loss in ("kmeans", "kernel_ridge"):
        small = SensitivityCoreset(
            60, loss=loss, approx_factor=0.01, calibrate=False, uniform_mixing=0.2, random_state=0
        ).fit(X)
        assert 7 in small.indices_
        weight = small.distilled_.sample_weight
        assert weight[small.indices_ == 7] < 0.2 * weight.mean()


# Classes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampling", ["systematic", "iid", "medoids"])
@pytest.mark.parametrize("loss", LOSSES)
def test_stratify_keeps_a_class_of_one_row(digits, loss, sampling):
    X, y = digits[0][:500], digits[1][:500].astype(str).astype(object)
    y[17] = "rare"
    for seed in range(3):
        coreset = SensitivityCoreset(12, loss=loss, sampling=sampling, random_state=seed)
        small = coreset.fit_distill(X, y)
        assert set(small.y) == set(y)
    assert "rare" in coreset.classes_


def test_without_stratify_a_rare_class_may_go(digits):
    X, y = digits
    y = np.where(np.arange(len(y)) == 5, 11, y)
    kept = [
        11 in SensitivityCoreset(20, stratify=False, random_state=seed).fit_distill(X, y).y
        for seed in range(10)
    ]
    assert not all(kept)
    assert len(SensitivityCoreset(3, stratify=False, random_state=0).fit_distill(X, y)) == 3


@pytest.mark.parametrize("kind", ["str", "object", "bool", "int8", "float"])
def test_labels_of_any_type_come_back_as_they_went_in(digits, kind):
    X, y = digits[0][:100], digits[1][:100]
    y = {"bool": y > 4, "str": y.astype(str), "object": y.astype(str).astype(object)}.get(
        kind, y.astype(kind) if kind in ("int8", "float") else None
    )
    small = SensitivityCoreset(20, random_state=0).fit_distill(X, y)
    assert small.y.dtype == y.dtype
    assert (small.classes is None) == (kind == "float")
    small = SensitivityCoreset(
        20, loss="cross_entropy", target_type="classification", random_state=0
    ).fit_distill(X, y)
    assert_array_equal(small.classes, np.unique(y))


def test_target_type_settles_what_integers_mean(digits):
    X, y = digits
    as_numbers = SensitivityCoreset(15, target_type="regression", random_state=0).fit(X, y)
    assert as_numbers.distilled_.classes is None
    assert as_numbers.make_predictor().predict(X).shape == (len(X), 1)
    as_classes = SensitivityCoreset(15, target_type="classification", random_state=0)
    assert as_classes.fit(X, y.astype(float)).distilled_.classes.dtype == float


def test_refitting_forgets_the_classes(digits, diabetes):
    coreset = SensitivityCoreset(20, random_state=0).fit(*digits)
    assert hasattr(coreset, "classes_")
    assert not hasattr(coreset.fit(*diabetes), "classes_")
    coreset.set_params(loss="kernel_ridge").fit(*diabetes)
    assert coreset.alpha_ > 0
    assert not hasattr(coreset.set_params(loss="kmeans").fit(*diabetes), "alpha_")


# Several outputs -------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["kmeans", "kernel_ridge", "squared_error", row_norms])
def test_several_outputs(diabetes, loss):
    X, y = diabetes
    Y = np.column_stack([y, -y, np.sin(y)])
    coreset = SensitivityCoreset(40, loss=loss, random_state=0).fit(X, Y)
    assert_array_equal(coreset.distilled_.y, Y[coreset.indices_])
    assert coreset.make_predictor().predict(X[:7]).shape == (7, 3)


@pytest.mark.parametrize("loss", ["kmeans", "kernel_ridge", "squared_error"])
def test_multilabel(digits, loss):
    X, y = digits[0][:300], digits[1][:300]
    Y = np.column_stack([y % 2, y > 4, y % 3 == 0]).astype(int)
    coreset = SensitivityCoreset(80, loss=loss, random_state=0).fit(X, Y)
    assert_array_equal(coreset.distilled_.y, Y[coreset.indices_])
    predicted = coreset.make_predictor().predict(X) > 0.5
    assert (predicted == Y).mean() > 0.8


def test_a_column_of_numbers_is_one_output(diabetes):
    X, y = diabetes
    column = SensitivityCoreset(30, loss="kernel_ridge", random_state=0).fit_distill(X, y[:, None])
    flat = SensitivityCoreset(30, loss="kernel_ridge", random_state=0).fit_distill(X, y)
    assert column.y.shape == (30, 1)
    assert_array_equal(column.sample_weight, flat.sample_weight)
    assert_array_equal(column.y[:, 0], flat.y)


# Input types -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "features"),
    [
        (np.float64, np.float64),
        (np.float32, np.float32),
        (np.float16, np.float32),
        (np.int64, np.float64),
        (np.uint8, np.float64),
        (bool, np.float64),
    ],
)
@pytest.mark.parametrize("loss", ["kmeans", "kernel_ridge"])
def test_dtypes(digits, dtype, features, loss):
    X = digits[0].astype(dtype)
    coreset = SensitivityCoreset(30, loss=loss, random_state=0).fit(X)
    assert coreset.distilled_.X.dtype == dtype
    assert coreset.components_.dtype == features
    assert coreset.transform(X[:5]).dtype == features
    assert np.isfinite(coreset.transform(X[:5])).all()


def test_lists_are_arrays():
    X = [[float(i), float(i % 7)] for i in range(30)]
    small = SensitivityCoreset(10, random_state=0).fit_distill(X, ["a", "b"] * 15)
    assert isinstance(small.X, np.ndarray)
    assert small.X.shape == (10, 2)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("form", [sp.csr_matrix, sp.csr_array, sp.csc_matrix, sp.coo_matrix])
def test_sparse_rows(digits, loss, form):
    X, y = digits[0][:400], digits[1][:400]
    table = form(X)
    before = table.copy()
    coreset = SensitivityCoreset(50, loss=loss, random_state=0).fit(table, y)
    small = coreset.distilled_
    assert small.X.format == "csr"
    assert_array_equal(small.X.toarray(), X[coreset.indices_])
    assert (table != before).nnz == 0
    assert_allclose(coreset.transform(table), coreset.transform(X), rtol=1e-6, atol=1e-9)
    predictor = coreset.make_predictor()
    assert_allclose(predictor.predict(table), predictor.predict(X), rtol=1e-6, atol=1e-9)


def test_sparse_rows_stored_oddly(digits):
    X, y = digits[0][:100], digits[1][:100]
    tidy = sp.csr_matrix(X)
    rows = np.repeat(np.arange(100), np.diff(tidy.indptr))
    halves = np.concatenate([tidy.data / 2, tidy.data / 2])
    odd = sp.csr_matrix((100, 64))
    odd.indptr = 2 * tidy.indptr
    order = np.argsort(np.concatenate([rows, rows]), kind="stable")
    odd.data = halves[order]
    odd.indices = np.concatenate([tidy.indices, tidy.indices])[order]
    n_stored = odd.nnz
    coreset = SensitivityCoreset(30, random_state=0)
    a, b = coreset.fit_distill(odd, y), clone(coreset).fit_distill(tidy, y)
    assert_array_equal(a.X.toarray(), b.X.toarray())
    assert_allclose(a.sample_weight, b.sample_weight)
    assert odd.nnz == n_stored  # the user's matrix is not tidied up


@pytest.mark.parametrize("loss", ["kernel_ridge", "squared_error"])
def test_sparse_and_dense_rows_score_alike(digits, loss):
    X, y = digits[0][:300], digits[1][:300]
    coreset = SensitivityCoreset(40, loss=loss, alpha=0.5, random_state=0)
    exact = Ridge(solver="cholesky", fit_intercept=False)
    coreset.set_params(estimator=exact, target_type="regression")
    dense = coreset.fit(X, y).sensitivities_
    assert_allclose(coreset.fit(sp.csr_matrix(X), y).sensitivities_, dense, rtol=1e-6, atol=1e-12)


# DataFrames and preprocessors ------------------------------------------------------------------


@pytest.fixture
def mixed():
    rng = np.random.default_rng(0)
    n = 200
    frame = pd.DataFrame(
        {
            "age": rng.integers(18, 90, n),
            "income": rng.lognormal(10, 1, n).astype(np.float32),
            "town": pd.Categorical(rng.choice(["Ulm", "Bonn", "Kiel"], n)),
            "since": pd.date_range("2020-01-01", periods=n),
            "note": rng.choice(["", "x", "yy"], n),
            "maybe": pd.array(rng.integers(0, 3, n), dtype="Int64"),
        },
        index=[f"r{i}" for i in range(n)],
    )
    y = pd.Series(np.where(frame["income"] > 22000, "rich", "poor"), index=frame.index)
    encoder = make_column_transformer(
        (StandardScaler(), ["age", "income"]), (OneHotEncoder(), ["town"])
    )
    return frame, y, encoder


@pytest.mark.parametrize("loss", LOSSES)
def test_a_mixed_frame_keeps_its_columns_types_and_index(mixed, loss):
    frame, y, encoder = mixed
    coreset = SensitivityCoreset(40, loss=loss, preprocessor=encoder, random_state=0)
    small = coreset.fit_distill(frame, y)
    assert_frame_equal(small.X, frame.iloc[coreset.indices_])
    assert_array_equal(small.y, y.to_numpy()[coreset.indices_])
    assert_array_equal(small.feature_names, frame.columns)
    assert_array_equal(coreset.feature_names_in_, frame.columns)
    assert coreset.n_features_in_ == 6
    assert not hasattr(encoder, "transformers_")  # a clone was fitted
    assert coreset.transform(frame).shape == (200, 40)
    assert coreset.components_.shape[1] == 5
    predictor = coreset.make_predictor()
    accuracy = (coreset.classes_[predictor.predict(frame).argmax(1)] == y).mean()
    assert accuracy > 0.75


def test_preprocessed_rows_merge_by_their_features(mixed):
    """Rows that look alike to the scores are one row to them; the first stands for both."""
    frame, y, _ = mixed
    town = make_column_transformer((OneHotEncoder(), ["town"]))
    small = SensitivityCoreset(0.999, preprocessor=town, random_state=0).fit_distill(frame, y)
    assert len(small) == 6
    assert small.sample_weight.sum() == pytest.approx(200)


def test_a_plain_frame_needs_no_preprocessor(digits):
    X, y = digits
    frame = pd.DataFrame(X, columns=[f"p{j}" for j in range(64)], index=np.arange(len(X))[::-1])
    coreset = SensitivityCoreset(30, random_state=0)
    small = coreset.fit_distill(frame, y)
    assert_frame_equal(small.X, frame.iloc[coreset.indices_])
    assert_allclose(clone(coreset).fit_distill(X, y).X, small.X)
    with pytest.raises(ValueError, match="feature names"):
        coreset.transform(frame.rename(columns={"p0": "q0"}))


@pytest.mark.parametrize("form", [sp.csr_matrix, np.asarray, np.ndarray.tolist])
def test_preprocessed_rows_of_any_form_come_back_in_it(digits, form):
    X, y = digits
    X = X[:200]
    svd = TruncatedSVD(5, random_state=0)
    coreset = SensitivityCoreset(30, preprocessor=svd, random_state=0).fit(form(X), y[:200])
    rows = coreset.distilled_.X
    assert coreset.components_.shape == (30, 5)
    assert sp.issparse(rows) == (form is sp.csr_matrix)
    rows = rows.toarray() if sp.issparse(rows) else rows
    assert_array_equal(rows, X[coreset.indices_])


def test_a_preprocessor_may_return_sparse_rows(mixed):
    frame, y, _ = mixed
    encoder = make_column_transformer(
        (OneHotEncoder(sparse_output=True), ["town", "note"]), sparse_threshold=1.0
    )
    coreset = SensitivityCoreset(10, preprocessor=encoder, random_state=0)
    small = coreset.fit_distill(frame, y)
    assert isinstance(small.X, pd.DataFrame)
    assert sp.issparse(coreset.components_)


class ScaleByTarget(TransformerMixin, BaseEstimator):
    """Only knows what to do with a target."""

    def fit(self, X, y):
        self.n_labels_ = len(np.unique(y))
        return self

    def transform(self, X):
        return X / self.n_labels_


def test_a_preprocessor_sees_the_target(digits):
    X, y = digits
    coreset = SensitivityCoreset(20, preprocessor=ScaleByTarget(), random_state=0).fit(X, y)
    assert_allclose(coreset.components_, X[coreset.indices_] / 10)


def test_a_target_of_the_wrong_length_is_found_behind_a_preprocessor(mixed):
    frame, y, encoder = mixed
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        SensitivityCoreset(9, preprocessor=encoder).fit(frame, y[:-1])


def test_text_rows_with_a_preprocessor():
    X = np.array([["a", "x"], ["b", "y"], ["a", "y"], ["c", "x"], ["b", "x"]], dtype=object)
    coreset = SensitivityCoreset(3, preprocessor=OneHotEncoder(), random_state=0)
    small = coreset.fit_distill(X, [0, 1, 0, 1, 0])
    assert small.X.dtype == object
    assert_array_equal(small.X, X[coreset.indices_])


# Features of all rows --------------------------------------------------------------------------


def test_transform_is_the_nystroem_map(digits):
    X, y = digits
    coreset = SensitivityCoreset(60, random_state=0).fit(X, y)
    S, gamma = X[coreset.indices_], coreset.kernel_.gamma
    assert gamma == pytest.approx(1 / (64 * X.var()))
    F = coreset.transform(X[:200])
    K_S, K_SS = rbf_kernel(X[:200], S, gamma=gamma), rbf_kernel(S, gamma=gamma)
    assert_allclose(F @ F.T, K_S @ np.linalg.inv(K_SS) @ K_S.T, atol=1e-8)
    assert_allclose(F @ F.T, rbf_kernel(X[:200], gamma=gamma), atol=0.9)
    assert_array_equal(coreset.fit_transform(X, y)[:200], F)


def test_transform_of_all_rows_as_landmarks_is_the_kernel(digits):
    X = digits[0][:80]
    coreset = SensitivityCoreset(80, kernel="ntk", random_state=0).fit(X)
    F = coreset.transform(X)
    kernel = SensitivityCoreset(1, kernel="ntk", random_state=0).fit(X).kernel_
    K = kernel_matrix(kernel, X)
    assert_allclose(F @ F.T, K, rtol=1e-6, atol=1e-6 * K.max())


def test_single_precision_features_are_near_those_in_double(digits):
    X, y = digits
    coreset = SensitivityCoreset(60, random_state=0).fit(X, y)
    double, single = coreset.transform(X), coreset.transform(X.astype(np.float32))
    assert single.dtype == np.float32
    assert_allclose(single, double, atol=2e-3)


@pytest.mark.parametrize("kernel", ["rbf", "laplacian"])
@pytest.mark.parametrize("loss", ["kmeans", "kernel_ridge"])
def test_distances_in_single_precision_do_not_mind_an_offset(digits, kernel, loss):
    X = (digits[0] + 2.0**13).astype(np.float32)  # small integers: nothing is rounded
    coreset = SensitivityCoreset(40, loss=loss, kernel=kernel, random_state=0).fit(X)
    F = coreset.transform(X[:50])
    oracle = {"rbf": rbf_kernel, "laplacian": laplacian_kernel}[kernel]
    gamma, S = coreset.kernel_.gamma, X[coreset.indices_].astype(float)
    K_S, K_SS = oracle(X[:50].astype(float), S, gamma=gamma), oracle(S, gamma=gamma)
    assert_allclose(F @ F.T, K_S @ np.linalg.inv(K_SS) @ K_S.T, atol=2e-3)


def test_names_of_features(digits):
    X, y = digits
    coreset = SensitivityCoreset(5, random_state=0, stratify=False).fit(X, y)
    names = [f"sensitivitycoreset{i}" for i in range(5)]
    assert coreset.get_feature_names_out().tolist() == names
    frame = coreset.set_output(transform="pandas").transform(X[:3])
    assert isinstance(frame, pd.DataFrame)
    assert frame.columns.tolist() == names


# The predictor ---------------------------------------------------------------------------------


def test_predictor_is_weighted_kernel_ridge(diabetes):
    X, y = diabetes
    coreset = SensitivityCoreset(80, loss="kernel_ridge", random_state=0).fit(X, y)
    predictor, small = coreset.make_predictor(), coreset.distilled_
    mean = np.average(small.y, weights=small.sample_weight)
    expected = KernelRidge(alpha=predictor.alpha, kernel="rbf", gamma=coreset.kernel_.gamma).fit(
        small.X, small.y - mean, sample_weight=small.sample_weight
    )
    assert_allclose(predictor.predict(X)[:, 0], expected.predict(X) + mean, rtol=1e-5)
    residual = y - predictor.predict(X)[:, 0]
    assert (residual**2).sum() < 0.7 * ((y - y.mean()) ** 2).sum()


def test_predictor_of_classes_has_a_column_for_each(digits):
    X, y = digits
    coreset = SensitivityCoreset(200, random_state=0).fit(X, y)
    outputs = coreset.make_predictor().predict(X)
    assert outputs.shape == (len(X), 10)
    assert (coreset.classes_[outputs.argmax(1)] == y).mean() > 0.9
    binary = SensitivityCoreset(50, random_state=0).fit(X, y > 4)
    outputs = binary.make_predictor().predict(X[:10])
    assert outputs.shape == (10, 2)
    assert_allclose(outputs.sum(1), 1, atol=1e-6)


def test_predictor_needs_a_target(digits):
    coreset = SensitivityCoreset(10).fit(digits[0])
    with pytest.raises(ValueError, match="fit the distiller with y"):
        coreset.make_predictor()


# Company ---------------------------------------------------------------------------------------


def test_no_target(digits):
    X, _ = digits
    for loss in ("kmeans", "kernel_ridge", row_norms):
        small = SensitivityCoreset(30, loss=loss, random_state=0).fit_distill(X)
        assert small.y is None
        assert small.keys() == ("X", "sample_weight")


def test_constructor_only_stores():
    marker = object()
    coreset = SensitivityCoreset("nonsense", loss=marker, kernel=3, device=7)
    assert coreset.n_samples == "nonsense"
    assert coreset.loss is marker
    assert set(vars(coreset)) == set(coreset.get_params())


def test_clone_forgets_the_fit(digits):
    coreset = SensitivityCoreset(20, loss="kernel_ridge", alpha=0.1, random_state=0).fit(*digits)
    copy = clone(coreset)
    assert copy.get_params() == coreset.get_params()
    assert not hasattr(copy, "distilled_")
    frozen = FrozenEstimator(coreset)
    assert clone(frozen).distilled_ is coreset.distilled_


def test_pickle_is_small_and_complete(digits):
    X, y = digits
    coreset = SensitivityCoreset(20, random_state=0).fit(X, y)
    features = coreset.transform(X)
    data = pickle.dumps(coreset)
    # Some numbers for each row seen (its sensitivity), and the rows kept; not the rows themselves.
    assert len(data) < 16 * len(X) + 16 * 20 * 64 + 16_000
    again = pickle.loads(data)
    assert_array_equal(again.transform(X), features)
    assert_array_equal(again.distilled_.X, coreset.distilled_.X)
    assert_array_equal(again.make_predictor().predict(X), coreset.make_predictor().predict(X))


def test_in_a_pipeline_and_a_grid(digits):
    X, y = digits[0][:600], digits[1][:600]
    pipe = make_pipeline(StandardScaler(), SensitivityCoreset(random_state=0), RidgeClassifier())
    grid = GridSearchCV(
        pipe,
        {
            "sensitivitycoreset__n_samples": [10, 100],
            "sensitivitycoreset__loss": ["kmeans", "kernel_ridge"],
        },
        cv=2,
    ).fit(X, y)
    assert grid.best_params_["sensitivitycoreset__n_samples"] == 100
    assert grid.best_score_ > 0.8


def test_frozen_estimator_in_a_pipeline(digits):
    X, y = digits
    coreset = SensitivityCoreset(100, random_state=0).fit(X, y)
    pipe = make_pipeline(FrozenEstimator(coreset), RidgeClassifier(alpha=1e-3))
    pipe.fit(X[:900], y[:900])
    assert_array_equal(pipe[0].transform(X), coreset.transform(X))
    assert pipe.score(X[900:], y[900:]) > 0.85


def test_verbose_says_what_happens(digits, capsys):
    SensitivityCoreset(20, random_state=0).fit(*digits)
    assert capsys.readouterr().out == ""
    SensitivityCoreset(20, random_state=0, verbose=1).fit(*digits)
    said = capsys.readouterr().out
    assert "1797 distinct rows of 1797" in said
    assert "20 rows chosen" in said
