"""Targets in any container and type, and the labels that cannot be used."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skdistill import DatasetDistiller, DistilledClassifier, DistilledRegressor, SensitivityCoreset
from skdistill._input.targets import encode_target, plain_target, target_kind
from skdistill.networks import NetworkClassifier

pd = pytest.importorskip("pandas")

X = np.random.default_rng(0).normal(size=(40, 2))
RARE = (np.arange(40) == 7).astype(int)  # one row of forty


def series(library, values, dtype=None):
    if library == "pandas":
        return pd.Series(values, dtype=dtype)
    if library == "polars":
        return pytest.importorskip("polars").Series(values)
    return pytest.importorskip("pyarrow").chunked_array([values])


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (lambda: pd.Series([0, 1], dtype="Int64"), "i"),
        (lambda: pd.Series([0, 1], dtype="UInt8"), "u"),
        (lambda: pd.Series([True, False], dtype="boolean"), "b"),
        (lambda: pd.Series([0, 1], dtype=object), "i"),
        (lambda: pd.Series([0.5, 1], dtype=object), "f"),
        (lambda: pd.Series([Decimal("0.5"), Decimal(1)]), "f"),
        (lambda: pd.Series([0.5, 1], dtype="Float64"), "f"),
        (lambda: pd.Series([3, 4], dtype="category"), "i"),
        (lambda: pd.Series(["a", "b"], dtype="category"), "O"),
        (lambda: pd.DataFrame({"a": [0, 1], "b": [1, 0]}, dtype="Int64"), "i"),
        (lambda: series("polars", [0, 1]), "i"),
        (lambda: series("polars", ["None", "NA"]), "O"),
        (lambda: series("polars", [True, False]), "b"),
        (lambda: series("pyarrow", [0, 1]), "i"),
        (lambda: [np.str_("a"), "b"], "U"),
        (lambda: np.array([np.str_("a"), "b"], dtype=object), "O"),
        (lambda: ["None", "NA", "null"], "U"),
    ],
)
def test_values_decide(values, kind):
    given = values()
    plain = plain_target(given)
    assert plain.dtype.kind == kind
    expected = given.to_numpy() if hasattr(given, "to_numpy") else np.asarray(given)
    assert_array_equal(plain.astype(str) if kind in "OU" else plain, expected.astype(plain.dtype))


@pytest.mark.parametrize("dtype", ["Int64", "boolean", "int64[pyarrow]", "bool[pyarrow]", object])
def test_nullable_labels_are_classes(dtype):
    if "pyarrow" in str(dtype):
        pytest.importorskip("pyarrow")
    y = pd.Series(RARE.astype(bool) if "bool" in str(dtype) else RARE, dtype=dtype)
    for seed in range(5):
        small = SensitivityCoreset(6, random_state=seed).fit_distill(X, y)
        assert len(small.classes) == 2 and small.y.sum() >= 1  # the rare class has its row
        assert small.y.dtype.kind in "ib"
    model = DistilledClassifier(distiller=SensitivityCoreset(10, random_state=0)).fit(X, y)
    assert model.classes_.dtype.kind in "ib"


def test_a_column_of_floats_may_be_classes():
    y = RARE.astype(float)[:, None]
    coreset = SensitivityCoreset(6, target_type="classification", random_state=0)
    with pytest.warns(UserWarning, match="column-vector"):
        small = coreset.fit_distill(X, y)
    assert small.y.shape == (6,) and len(small.classes) == 2


MISSING = {
    "list": [None, "a"] * 20,
    "list of NaN": [np.nan, "a"] * 20,
    "list of numbers": [None, 1] * 20,
    "Int64": pd.Series([None, 1] * 20, dtype="Int64"),
    "boolean": pd.Series([None, True] * 20, dtype="boolean"),
    "string": pd.Series([pd.NA, "a"] * 20, dtype="string"),
    "objects": pd.Series([None, "a"] * 20, dtype=object),
}


@pytest.mark.parametrize("name", MISSING)
def test_missing_labels_are_named(name):
    for estimator in (
        SensitivityCoreset(5),
        DatasetDistiller(5),
        DistilledClassifier(),
        NetworkClassifier(),
        DistilledRegressor(),
    ):
        with pytest.raises(ValueError, match="y contains NaN or None, 20 of 40 labels"):
            estimator.fit(X, MISSING[name])


@pytest.mark.parametrize("name", ["X", "y", "sample_weight"])
@pytest.mark.parametrize(
    "estimator", [SensitivityCoreset(5), DatasetDistiller(5), DistilledClassifier()]
)
def test_masked_values_are_refused(name, estimator):
    parts = {"X": X, "y": RARE, "sample_weight": np.ones(40)}
    parts[name] = np.ma.array(parts[name], mask=parts[name] > parts[name].mean() - 1e-9)
    with pytest.raises(ValueError, match=f"{name} is a masked array with"):
        estimator.fit(**parts)


def test_weights_too_large_are_named():
    for weight in (np.full(40, 1e307), np.r_[1e39, np.ones(39)]):
        with pytest.raises(ValueError, match=r"sample_weight holds .* divide"):
            SensitivityCoreset(5).fit(X, RARE, sample_weight=weight)


def test_documents_alone_are_refused_at_once():
    from sklearn.feature_extraction.text import TfidfVectorizer

    coreset = SensitivityCoreset(2, preprocessor=TfidfVectorizer())
    for documents in (["one text", "another"], np.array(["one text", "another"])):
        with pytest.raises(ValueError, match="Make documents a column"):
            coreset.fit(documents, [0, 1])


@pytest.mark.parametrize("late", [False, True])
def test_many_texts_are_coded_as_by_a_sort(late):
    """Whether the first rows hold all classes, or one comes at the end."""
    y = np.random.default_rng(0).choice(["b", "abc", "z"], 20_000)
    if late:
        y[-1] = "aa"
    found = encode_target(y, "auto")
    classes, codes = np.unique(y, return_inverse=True)
    assert_array_equal(found.classes, classes)
    assert_array_equal(found.codes, codes)
    assert target_kind(y, "auto") == "classes"
