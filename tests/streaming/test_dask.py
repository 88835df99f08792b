"""Dask collections: small sets made where the partitions lie, the same whoever makes them."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from skdistill import DistilledClassifier, DistilledRegressor, SensitivityCoreset
from skdistill.tables import TableEncoder

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")

N, D = 3000, 4


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    y = rng.choice(4, N, p=[0.6, 0.3, 0.09, 0.01])
    centres = 4 * rng.normal(size=(4, D))
    return centres[y] + rng.normal(size=(N, D)), y


@pytest.fixture(autouse=True)
def small_sets(monkeypatch):
    """Partitions of 500 rows are reduced to 100."""
    monkeypatch.setattr("skdistill.streaming.merge_reduce.LEAST_SUMMARY", 100)
    with dask.config.set(scheduler="threads"):
        yield


def lazily(data, chunk=500):
    X, y = data
    return da.from_array(X, chunks=(chunk, D)), da.from_array(y, chunks=chunk)


def same_set(a, b):
    for name in ("X", "y", "sample_weight", "indices"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_small_set_of_an_array(data):
    X, y = lazily(data)
    estimator = SensitivityCoreset(25, random_state=0).fit(X, y)
    small = estimator.distilled_
    np.testing.assert_array_equal(small.X, data[0][small.indices])
    np.testing.assert_array_equal(small.y, data[1][small.indices])
    assert small.sample_weight.sum() == pytest.approx(N)
    assert small.classes.tolist() == [0, 1, 2, 3]
    assert estimator.n_samples_seen_ == N
    with dask.config.set(scheduler="synchronous"):
        again = SensitivityCoreset(25, random_state=0).fit_distill(X, y)
    same_set(again, small)


def test_many_partitions_are_merged_on_the_way(data, monkeypatch):
    monkeypatch.setattr("skdistill.streaming.on_dask.UNION", 3)
    monkeypatch.setattr("skdistill.streaming.on_dask.FAN_IN", 2)
    small = SensitivityCoreset(25, random_state=0).fit_distill(*lazily(data, 250))
    assert small.sample_weight.sum() == pytest.approx(N)
    np.testing.assert_array_equal(small.X, data[0][small.indices])


@pytest.mark.parametrize("loss", ["kernel_ridge", "cross_entropy"])
def test_other_losses(data, loss):
    small = SensitivityCoreset(25, loss=loss, random_state=0).fit_distill(*lazily(data))
    assert len(small) == 25
    assert small.classes.tolist() == [0, 1, 2, 3]


def test_weights_columns_in_blocks_and_unknown_lengths(data):
    X, y = lazily(data)
    expected = SensitivityCoreset(25, random_state=0).fit_distill(X, y, da.ones(N, chunks=500))
    X2 = da.from_array(data[0], chunks=(500, 2))
    same_set(SensitivityCoreset(25, random_state=0).fit_distill(X2, y), expected)
    same_set(SensitivityCoreset(25, random_state=0).fit_distill(X, y.rechunk(700)), expected)
    kept = da.from_array(np.arange(N) % 2 == 0, chunks=500)
    half = SensitivityCoreset(25, random_state=0).fit(X[kept], y[kept])
    assert half.n_samples_seen_ == N // 2
    np.testing.assert_array_equal(half.distilled_.X, data[0][::2][half.indices_])


def test_empty_partitions_and_partitions_of_one_class(data):
    order = np.argsort(data[1], kind="stable")
    X, y = lazily((data[0][order], data[1][order]))
    empty = da.zeros((0, D), chunks=(0, D)), da.zeros(0, chunks=0, dtype=y.dtype)
    X, y = da.concatenate([empty[0], X, empty[0]]), da.concatenate([empty[1], y, empty[1]])
    estimator = SensitivityCoreset(25, random_state=0).fit(X, y)
    assert estimator.classes_.tolist() == [0, 1, 2, 3]
    assert estimator.n_samples_seen_ == N


def test_errors_name_the_partition(data):
    bad = data[0].copy()
    bad[1234, 2] = np.nan
    X, y = lazily((bad, data[1]))
    with pytest.raises(ValueError, match=r"In partition 2: .*Input X contains NaN"):
        SensitivityCoreset(25).fit(X, y)
    with pytest.raises(ValueError, match="y has 6 partitions and X has 5"):
        SensitivityCoreset(25).fit(X[:2500], y)
    with pytest.raises(TypeError, match="X is a Dask collection, and y a ndarray"):
        SensitivityCoreset(25).fit(X, data[1])
    with pytest.raises(ValueError, match=r"n_samples=0\.5 is a share"):
        SensitivityCoreset(0.5).fit(X, y)


def test_transform_and_predictions_are_lazy(data):
    X, y = lazily(data)
    model = DistilledClassifier(LogisticRegression(max_iter=500), SensitivityCoreset(50))
    model.fit(X, y)
    for name in ("predict", "predict_proba", "decision_function"):
        lazy = getattr(model, name)(X)
        assert isinstance(lazy, da.Array)
        assert lazy.chunks[0] == X.chunks[0]
        np.testing.assert_allclose(lazy.compute(), getattr(model, name)(data[0]))
    assert model.n_features_in_ == D
    features = model.distiller_.transform(X)
    assert features.shape == (N, 50)
    np.testing.assert_allclose(features.compute(), model.distiller_.transform(data[0]), atol=1e-10)
    target = X[:, 0] + X[:, 1]
    regressor = DistilledRegressor(Ridge(), SensitivityCoreset(50, random_state=0)).fit(X, target)
    assert regressor.score(data[0], target.compute()) > 0.99


def test_frames(data):
    dd = pytest.importorskip("dask.dataframe")
    frame = pd.DataFrame(data[0], columns=list("abcd")).assign(label=data[1])
    lazy = dd.from_pandas(frame, npartitions=4)
    X = lazy[list("abcd")]
    estimator = SensitivityCoreset(25, preprocessor=StandardScaler(), random_state=0)
    small = estimator.fit_distill(X, lazy["label"])
    pd.testing.assert_frame_equal(small.X, frame[list("abcd")].iloc[small.indices])
    assert estimator.feature_names_in_.tolist() == list("abcd")
    features = estimator.transform(X)
    assert features.compute().shape == (N, 25)
    model = DistilledClassifier(LogisticRegression(max_iter=500), estimator)
    model.fit(X, lazy["label"])
    assert model.feature_names_in_.tolist() == list("abcd")
    lazy_labels = model.predict(X)
    np.testing.assert_array_equal(lazy_labels.compute(), model.predict(frame[list("abcd")]))


def test_columns_of_any_table_are_learnt_from_the_first_partition(data, monkeypatch):
    dd = pytest.importorskip("dask.dataframe")
    monkeypatch.setattr("skdistill.streaming.merge_reduce.LEAST_SUMMARY", 100)
    frame = pd.DataFrame(data[0], columns=list("abcd")).assign(kind=np.tile(["u", "v"], N // 2))
    lazy = dd.from_pandas(frame.assign(label=data[1]), npartitions=4)
    fitted = []
    fit = TableEncoder.fit_transform

    def noted(self, X, y=None):
        fitted.append(len(X))
        return fit(self, X, y)

    monkeypatch.setattr(TableEncoder, "fit_transform", noted)
    coreset = SensitivityCoreset(25, preprocessor="auto", random_state=0)
    small = coreset.fit_distill(lazy[[*"abcd", "kind"]], lazy["label"])
    assert len(fitted) == 2  # and what is left of all partitions
    pd.testing.assert_frame_equal(small.X, frame.iloc[small.indices], check_dtype=False)


# Processes ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def dies_once(block, path):
    """End the worker that reads this block first."""
    if len(block) and not os.path.exists(path):
        with open(path, "w"):
            pass
        os._exit(1)
    return block


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::ResourceWarning")
def test_workers_give_the_same_set_even_when_one_dies(data, client, tmp_path, monkeypatch):
    monkeypatch.undo()  # workers import the package as it is
    X, y = lazily(data)
    with dask.config.set(scheduler="threads"):
        expected = SensitivityCoreset(25, random_state=0).fit_distill(X, y)
    with dask.config.set(scheduler=None), client.as_current():
        same_set(SensitivityCoreset(25, random_state=0).fit_distill(X, y), expected)
        path = str(tmp_path / "died")
        fragile = X.map_blocks(dies_once, path, dtype=X.dtype, meta=X._meta)
        same_set(SensitivityCoreset(25, random_state=0).fit_distill(fragile, y), expected)
    assert os.path.exists(path)
