"""The supervised embedding: common checks, its two views of rows, mixed tables."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from common_checks import TRANSFORMER_CHECKS, all_common_checks
from sklearn.metrics import r2_score
from sklearn.utils import estimator_checks

from skdistill import SensitivityCoreset
from skdistill._input.rows import merge_equal_rows
from skdistill.features import SupervisedEmbedding
from skdistill.features._forest import draw_rows, principal_directions
from skdistill.features._table import numeric_columns

SMALL = {"n_components": 3, "n_estimators": 7, "max_leaf_nodes": 5, "subsample": 12}


class Deterministic(SupervisedEmbedding):
    """Gets the checks that the tag on `fit_transform` would skip."""

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.non_deterministic = False
        return tags


@all_common_checks(
    [
        SupervisedEmbedding(n_estimators=4),  # with all 100 the checks take a minute
        SupervisedEmbedding(**SMALL),
        SupervisedEmbedding(**{**SMALL, "n_estimators": 3}, passthrough=False),
    ]
)
def test_estimator_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    "name",
    [
        *TRANSFORMER_CHECKS,
        "check_methods_sample_order_invariance",
        "check_methods_subset_invariance",
        "check_pipeline_consistency",
    ],
)
@pytest.mark.parametrize("parameters", [{"n_estimators": 4}, SMALL], ids=["default", "small"])
def test_checks_by_name(parameters, name):
    with warnings.catch_warnings():
        # These checks give a frame to fit and an array to transform, and the other way round.
        warnings.filterwarnings("ignore", "X (does not have valid|has) feature names")
        getattr(estimator_checks, name)("Deterministic", Deterministic(**parameters))


# Its two views of rows -------------------------------------------------------------------------


def mixture(n=300, d=4, seed=0):
    """Noisy classes that two of the columns decide."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    noise = rng.normal(size=n)
    return X, (X[:, 0] * X[:, 1] + 0.5 * noise > 0).astype(int)


def test_training_rows_are_asked_of_trees_that_have_not_seen_them():
    X, _ = mixture()
    y = np.random.default_rng(1).integers(0, 2, len(X))  # pure noise: nothing to be known
    embedding = SupervisedEmbedding(n_estimators=40, max_leaf_nodes=None, random_state=0).fit(X, y)
    assert embedding.forest_.score(X, y) > 0.9
    assert abs((embedding.oob_prediction_.argmax(1) == y).mean() - 0.5) < 0.1


def test_rows_come_out_of_the_trees_one_by_one():
    """Loops over rows and trees give the same features and predictions."""
    X, y = mixture(60)
    embedding = SupervisedEmbedding(4, n_estimators=9, max_leaf_nodes=6, random_state=0)
    learnt = embedding.fit_transform(X, y)[:, 4:]
    Z = ((X - X.mean(0)) / X.std(0)).astype(np.float32)
    forest = embedding.forest_
    rows = merge_equal_rows(X, y, None).index  # in the order in which the trees have met them
    start = 0
    parts = []  # a row of the components for each tree, and its probabilities
    for tree, seen in zip(forest.estimators_, forest.estimators_samples_, strict=True):
        leaves = np.flatnonzero(tree.tree_.children_left < 0)
        number = {leaf: start + i for i, leaf in enumerate(leaves)}
        start += len(leaves)
        parts.append((tree, set(rows[seen]), number))
    for i in range(len(X)):
        asked = [p for p in parts if i not in p[1]] or parts
        where = [number[tree.apply(Z[i : i + 1])[0]] for tree, _, number in asked]
        expected = embedding.components_[where].mean(0) - embedding._offset
        np.testing.assert_allclose(learnt[i], expected, atol=1e-10)
        p = np.mean([tree.predict_proba(Z[i : i + 1])[0] for tree, _, _ in asked], axis=0)
        np.testing.assert_allclose(embedding.oob_prediction_[i], p, atol=1e-10)
    assert start == len(embedding.components_)


def test_embedding_has_unit_size_and_no_mean():
    X, y = mixture()
    E = SupervisedEmbedding(6, passthrough=False, random_state=0).fit_transform(X, y)
    np.testing.assert_allclose((E**2).mean(), 1, rtol=1e-6)
    np.testing.assert_allclose(E.mean(0), 0, atol=1e-8)
    np.testing.assert_allclose(E.T @ E, np.diag((E**2).sum(0)), atol=1e-6 * len(E))


def test_decomposition_agrees_with_a_dense_one():
    rng = np.random.RandomState(0)
    M = sp.csr_matrix((rng.rand(80, 40) < 0.2) * 0.7 ** np.arange(40))
    weight = rng.rand(80)
    V, offset = principal_directions(M, weight, 5, rng)
    dense = M.toarray()
    mean = np.average(dense, axis=0, weights=weight)
    s, directions = np.linalg.svd(np.sqrt(weight / weight.sum())[:, None] * (dense - mean))[1:]
    scores = dense @ V - offset
    np.testing.assert_allclose(np.average((scores**2).mean(1), weights=weight), 1)
    size = 1 / np.linalg.norm(V[:, 0])
    np.testing.assert_allclose(size, np.sqrt(np.mean(s[:5] ** 2)), rtol=1e-4)
    overlap = np.abs(directions[:5] @ V * size)
    np.testing.assert_allclose(overlap, np.eye(5), atol=1e-3)
    np.testing.assert_allclose(mean @ V, offset)


def test_copies_of_a_row_share_a_bag():
    X, y = mixture(100)
    one = SupervisedEmbedding(4, n_estimators=20, random_state=0)
    two = SupervisedEmbedding(4, n_estimators=20, random_state=0)
    learnt = one.fit_transform(X, y)
    repeated = two.fit_transform(np.repeat(X, 3, axis=0), np.repeat(y, 3))
    np.testing.assert_allclose(repeated, np.repeat(learnt, 3, axis=0), atol=1e-8)
    np.testing.assert_allclose(two.oob_prediction_, np.repeat(one.oob_prediction_, 3, axis=0))


def test_rows_of_zero_weight_are_new_rows():
    X, y = mixture(100)
    y = np.where(np.arange(100) < 5, 2, y)  # a class without weight
    weight = (np.arange(100) >= 5).astype(float)
    embedding = SupervisedEmbedding(4, n_estimators=20, random_state=0)
    learnt = embedding.fit_transform(X, y, weight)
    np.testing.assert_allclose(learnt[:5], embedding.transform(X[:5]))
    assert (np.abs(learnt[5:] - embedding.transform(X[5:])).max(1) > 1e-6).all()
    assert embedding.oob_prediction_.shape == (100, 3)
    assert not embedding.oob_prediction_[:, 2].any()


def test_rows_that_were_not_drawn_are_new_rows():
    X, y = mixture(400)
    embedding = SupervisedEmbedding(4, subsample=100, random_state=0)
    learnt = embedding.fit_transform(X, y)
    new = np.isclose(learnt, embedding.transform(X)).all(1)
    assert new.sum() == 300


# Targets ---------------------------------------------------------------------------------------


def test_numbers_are_predicted_in_their_units():
    X, _ = mixture(400)
    y = 1000 + 50 * X[:, 0]
    embedding = SupervisedEmbedding(n_estimators=20, random_state=0)
    embedding.fit(X, y)
    assert embedding.oob_prediction_.shape == (400,)
    assert r2_score(y, embedding.oob_prediction_) > 0.9
    two = SupervisedEmbedding(n_estimators=20, random_state=0).fit(X, np.c_[y, 1e-3 * X[:, 1]])
    assert r2_score(np.c_[y, 1e-3 * X[:, 1]], two.oob_prediction_) > 0.8  # units do not matter
    assert SupervisedEmbedding(n_estimators=20, random_state=0).fit(
        X, y[:, None]
    ).oob_prediction_.shape == (400, 1)


def test_labels_and_strings():
    X, y = mixture(200)
    labels = SupervisedEmbedding(n_estimators=20, random_state=0).fit(
        X, np.c_[y, X[:, 2] > 0].astype(int)
    )
    assert labels.oob_prediction_.shape == (200, 2)
    assert ((labels.oob_prediction_ >= 0) & (labels.oob_prediction_ <= 1)).all()
    words = SupervisedEmbedding(n_estimators=20, random_state=0).fit(X, np.array(["no", "yes"])[y])
    assert words.classes_.tolist() == ["no", "yes"]
    as_classes = SupervisedEmbedding(n_estimators=5, target_type="classification")
    assert as_classes.fit(X, y.astype(float)).classes_.tolist() == [0.0, 1.0]


def test_rare_classes_are_drawn_with_weights_that_make_up_for_it():
    codes = (np.arange(10_000) < 200).astype(int)
    index, factor = draw_rows(10_000, codes, 1000, np.random.RandomState(0))
    drawn = codes[index]
    assert len(set(index)) == len(index) <= 1001
    assert drawn.sum() == 200  # half the rows would be 500, so all of the class are there
    np.testing.assert_allclose(np.bincount(drawn, weights=factor), [9800, 200])


# Tables ----------------------------------------------------------------------------------------


def mixed(n=200, seed=0):
    pd = pytest.importorskip("pandas")
    rng = np.random.default_rng(seed)
    words = np.array(["low", "middle", "high"], dtype=object)
    level = rng.integers(0, 3, n)
    frame = pd.DataFrame(
        {
            "age": np.where(rng.random(n) < 0.1, np.nan, rng.normal(40, 10, n)),
            "level": pd.Categorical(words[level]),
            "town": pd.Series(rng.integers(0, 50, n)).map("town{}".format),
            "day": pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, n), "D"),
            "visits": pd.array(np.where(rng.random(n) < 0.1, None, 3), dtype="Int64"),
            "member": rng.random(n) < 0.5,
        }
    )
    frame.loc[3, "town"] = None
    frame.loc[4, "day"] = pd.NaT
    return frame, level == 2


@pytest.mark.parametrize("as_objects", [False, True], ids=["frame", "objects"])
def test_mixed_tables(as_objects):
    frame, y = mixed()
    X = frame.to_numpy(dtype=object) if as_objects else frame
    if as_objects:  # stamps of pandas are no numbers there
        X[:, 3] = [None if stamp is frame["day"][4] else stamp.toordinal() for stamp in X[:, 3]]
    embedding = SupervisedEmbedding(5, max_categories=6, random_state=0)
    learnt = embedding.fit_transform(X, y)
    assert np.isfinite(learnt).all()
    assert learnt.shape == (200, 4 + 3 + 6 + 5)
    assert (embedding.oob_prediction_.argmax(1) == y).mean() > 0.95
    new = X[:10].copy()
    if not as_objects:
        names = embedding.get_feature_names_out()
        assert list(names[:7]) == [
            *("age", "day", "visits", "member"),
            *("level_high", "level_low", "level_middle"),
        ]
        assert list(names[-2:]) == ["supervisedembedding3", "supervisedembedding4"]
        new["town"] = "elsewhere"
        new["age"] = np.nan
    assert np.isfinite(embedding.transform(new)).all()


def test_text_of_digits_is_text():
    X = np.array([["01", 1.5], ["02", 2.5], ["03", None]] * 10, dtype=object)
    assert numeric_columns(X).tolist() == [False, True]


def test_what_is_refused():
    X, y = mixture(50)
    with pytest.raises(TypeError, match="Sparse data was passed"):
        SupervisedEmbedding().fit(sp.csr_matrix(X), y)
    with pytest.raises(ValueError, match="contains infinity"):
        SupervisedEmbedding().fit(np.where(X > 1, np.inf, X), y)
    frame, target = mixed()
    embedding = SupervisedEmbedding(n_estimators=5).fit(frame, target)
    with pytest.raises(ValueError, match="Column 'age' of X held numbers"):
        embedding.transform(frame.assign(age="old"))
    with pytest.raises(ValueError, match="in column 'age'"):
        SupervisedEmbedding(n_estimators=5).fit(frame.assign(age=np.inf), target)


def test_as_preprocessor_of_a_coreset():
    frame, y = mixed()
    embedding = SupervisedEmbedding(4, n_estimators=10, random_state=0)
    small = SensitivityCoreset(20, preprocessor=embedding, random_state=0).fit_distill(frame, y)
    assert list(small.X.columns) == list(frame.columns)
    assert len(small.X) == 20
