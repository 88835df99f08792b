"""Learnt rows of data larger than memory: from a random pool, and chunk by chunk."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from skdistill import AutoDistiller, DatasetDistiller, DistilledClassifier
from skdistill.learning import stream_pool
from skdistill.tables import TableEncoder


@pytest.fixture(autouse=True)
def small_pool(monkeypatch, quick_fits):
    monkeypatch.setattr(stream_pool, "POOL_ROWS", 600)


def problem(n=2000, n_classes=3):
    rng = np.random.default_rng(0)
    y = rng.choice(n_classes, n)
    centres = 3 * np.random.default_rng(1).normal(size=(n_classes, 4))
    return centres[y] + rng.normal(size=(n, 4)), y


def chunks(X, y, size=300):
    for start in range(0, len(X), size):
        yield X[start : start + size], y[start : start + size]


def test_iterable_of_chunks():
    X, y = problem()
    model = DistilledClassifier(distiller=DatasetDistiller(12, max_iter=20, random_state=0))
    model.fit(chunks(X, y))
    assert model.distilled_.sample_weight.sum() == pytest.approx(2000)
    assert model.score(X, y) > 0.9


def test_chunk_by_chunk():
    X, y = problem()
    late = y.copy()
    late[-200:] = 7
    X[-200:] += 8
    distiller = DatasetDistiller(16, max_iter=20, random_state=0)
    for part, labels in chunks(X, late, 600):
        distiller.partial_fit(part, labels)
    assert distiller.classes_.tolist() == [0, 1, 2, 7]
    assert distiller.distilled_.sample_weight.sum() == pytest.approx(2000)
    outputs = distiller.make_predictor().predict(X)
    assert (distiller.classes_[outputs.argmax(1)] == late).mean() > 0.85
    with pytest.raises(ValueError, match="X has 3 features, but DatasetDistiller is expecting 4"):
        distiller.partial_fit(X[:, :3], y)
    assert distiller.distilled_.sample_weight.sum() == pytest.approx(2000)


def test_goes_on_from_the_rows_before():
    X, y = problem(900)
    distiller = DatasetDistiller(9, max_iter=40, random_state=0).partial_fit(X[:450], y[:450])
    before = distiller.distilled_.X
    distiller.set_params(max_iter=0).partial_fit(X[450:], y[450:])
    np.testing.assert_allclose(distiller.distilled_.X, before, atol=1e-5)


def mixed(n=2000):
    """A table of a category and a number that decide the class, with an empty cell."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"kind": rng.choice(list("abc"), n), "size": rng.normal(size=n)})
    y = np.where((frame["kind"] == "a") ^ (frame["size"] > 0), "no", "yes")
    frame.loc[5, "size"] = np.nan
    return frame, y


def test_mixed_tables_are_encoded_as_a_whole():
    frame, y = mixed()
    parts = ((frame[i : i + 300], y[i : i + 300]) for i in range(0, 2000, 300))
    distiller = DatasetDistiller(20, max_iter=40, preprocessor="auto", random_state=0)
    assert DistilledClassifier(distiller=distiller).fit(parts).score(frame, y) > 0.9
    distiller.partial_fit(frame[:1000], y[:1000]).partial_fit(frame[1000:], y[1000:])
    assert distiller.distilled_.sample_weight.sum() == pytest.approx(2000)
    assert "kind_a" in distiller.distilled_.feature_names


def automatic(**others):
    model = make_pipeline(TableEncoder(), LogisticRegression())
    return AutoDistiller(30, estimator=model, n_rounds=1, n_exchanges=0, random_state=0, **others)


def test_automatic_choice_from_a_stream():
    X, y = problem()
    model = DistilledClassifier(LogisticRegression(), automatic(candidates="rows"))
    model.fit(chunks(X, y))
    assert model.score(X, y) > 0.9
    small = model.distiller_.distilled_
    assert small.sample_weight.sum() == pytest.approx(2000)
    np.testing.assert_array_equal(small.X, X[small.indices])
    np.testing.assert_array_equal(small.indices, model.distiller_.indices_)


def test_automatic_choice_from_a_file_or_a_data_set(tmp_path):
    arrow = pytest.importorskip("pyarrow.dataset")
    X, y = problem()
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert automatic().fit_distill(mapped, y).sample_weight.sum() == pytest.approx(2000)
    rows = automatic(candidates="rows")
    few = rows.fit_distill(mapped[:500], y[:500])  # read as they are
    np.testing.assert_array_equal(few.X, rows.fit_distill(X[:500], y[:500]).X)
    frame, labels = mixed()
    frame.assign(label=labels).to_parquet(tmp_path / "table.parquet")
    small = automatic(preprocessor="auto", candidates="rows").fit_distill(
        arrow.dataset(tmp_path / "table.parquet"), "label"
    )
    pd.testing.assert_frame_equal(small.X, frame.iloc[small.indices], check_dtype=False)


@pytest.mark.parametrize("kind", [AutoDistiller, DatasetDistiller])
def test_a_share_of_a_stream_is_refused(kind):
    with pytest.raises(ValueError, match=r"n_samples=0\.5 is a share of the rows"):
        kind(0.5).fit(chunks(*problem()))
