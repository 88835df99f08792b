"""DatasetDistiller through its public face, on real data."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from named import named
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process.kernels import RBF
from sklearn.kernel_ridge import KernelRidge as SklearnKernelRidge
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdistill import (
    DatasetDistiller,
    DistilledClassifier,
    DistilledRegressor,
    SensitivityCoreset,
)
from skdistill.learning import runner
from skdistill.learning.trainer import train
from skdistill.networks import MLP
from skdistill.objectives import AnalyticRidge, FeatureRegression, KernelRidge


@pytest.fixture(scope="module")
def diabetes():
    X, y = load_diabetes(return_X_y=True)
    return train_test_split(X, y, random_state=0)


def quick(n_samples=12, **options):
    return DatasetDistiller(n_samples, **{"max_iter": 40, "random_state": 0, **options})


# What it is for --------------------------------------------------------------------------------


def test_learnt_rows_beat_chosen_rows_on_digits(digits):
    X, X_test, y, y_test = digits
    learnt = DistilledClassifier(distiller=DatasetDistiller(20, max_iter=120, random_state=0))
    chosen = DistilledClassifier(distiller=SensitivityCoreset(20, random_state=0))
    score = learnt.fit(X, y).score(X_test, y_test)
    assert score > 0.93
    assert score > chosen.fit(X, y).score(X_test, y_test) + 0.04


def test_learnt_rows_of_a_regression(diabetes):
    X, X_test, y, y_test = diabetes
    model = DistilledRegressor(distiller=DatasetDistiller(20, max_iter=200, random_state=0)).fit(
        X, y
    )
    assert model.score(X_test, y_test) > 0.3
    small = model.distilled_
    assert small.X.shape == (20, X.shape[1])
    assert small.sample_weight.sum() == pytest.approx(len(X))


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_scikit_learn_reproduces_the_predictor(kind, digits, diabetes):
    X, X_test, y, _ = digits if kind == "classes" else diabetes
    X = X.copy()
    X[:, 0] = 3.0  # a constant feature has no influence
    distiller = quick().fit(X, y)
    small = distiller.distilled_
    model = SklearnKernelRidge(alpha=distiller.alpha_, kernel=RBF(distiller.length_scale_))
    model.fit(small.X, small.targets - distiller.intercept_)
    expected = distiller.make_predictor().predict(X_test)
    found = model.predict(X_test) + distiller.intercept_
    assert_allclose(found.reshape(expected.shape), expected, atol=1e-6 * np.abs(expected).max())


def test_training_improves_on_the_start(digits):
    X, X_test, y, y_test = digits
    scores = [
        DistilledClassifier(distiller=quick(10, max_iter=n)).fit(X, y).score(X_test, y_test)
        for n in (0, 80)
    ]
    assert scores[1] > scores[0] + 0.03


# Parameters ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"init": "uniform"},
        {"init": "sensitivity"},
        {"init": "sensitivity_kmeans"},
        {"init": SensitivityCoreset(12, random_state=0)},
        {"objective": "analytic_ridge"},
        {"objective": "analytic_ridge", "kernel": "linear"},
        {"objective": AnalyticRidge(reg=1e-3)},
        {"objective": KernelRidge(reg=1e-4, loss="squared_error")},
        {"batch_sampling": "uniform"},
        {"batch_loss": "squared_error"},
        {"batch_loss": "cross_entropy"},
        {"batch_loss": "margin", "uniform_mixing": (0.0, 0.0)},
        {"batch_loss": named(lambda targets, outputs: np.abs(targets - outputs).max(1))},
        {"reweight": True, "uniform_mixing": 0.1},
        {"learn_labels": "solve"},
        {"learn_labels": True},
        {"learn_labels": False},
        {"learn_kernel": False, "gamma": 0.01},
        {"kernel": "laplacian"},
        {"kernel": "polynomial"},
        {"kernel": "linear"},
        {"kernel": "ntk", "kernel_params": {"depth": 1}},
        {"optimizer": "sgd"},
        {"standardize": False},
        {"class_balance": True},
        {"early_stopping": False},
        {"batch_size": 64, "max_iter": 25},
    ],
    ids=str,
)
@pytest.mark.usefixtures("quick_fits")
def test_every_way_learns_digits(options, digits):
    X, X_test, y, y_test = digits
    distiller = quick(**{"max_iter": 12, **options})
    model = DistilledClassifier(distiller=distiller).fit(X[:300], y[:300])
    assert len(model.distilled_) == 12
    assert np.isfinite(model.distilled_.targets).all()
    assert model.score(X_test, y_test) > 0.5
    assert model.distiller_.n_iter_ >= 1


def test_a_frozen_or_given_set_is_the_start(digits):
    X, _, y, _ = (part[:400] for part in digits)
    coreset = SensitivityCoreset(12, random_state=0).fit(X, y)
    for init in (FrozenEstimator(coreset), coreset.distilled_):
        rows = quick(init=init, max_iter=0).fit_distill(X, y).X
        assert_allclose(rows, coreset.distilled_.X, atol=1e-8)


@pytest.mark.usefixtures("quick_fits")
def test_warm_start_goes_on_from_the_rows_before(digits):
    X, _, y, _ = digits
    X, y = X[:400], y[:400]
    distiller = quick(warm_start=True).fit(X, y)
    before = distiller.distilled_.X
    after = distiller.set_params(max_iter=0).fit(X, y).distilled_.X
    assert_allclose(after, before, atol=1e-6 * np.abs(before).max())


def test_a_fit_forgets_the_one_before(digits):
    X, _, y, _ = digits
    distiller = quick(max_iter=2, early_stopping=False).fit(X, y)
    assert hasattr(distiller, "alpha_") and hasattr(distiller, "intercept_")
    distiller.fit(X)
    assert not {"alpha_", "intercept_", "classes_"} & set(vars(distiller))
    distiller.fit(X, y).set_params(objective="distribution_matching").fit(X, y)
    assert not {"alpha_", "intercept_"} & set(vars(distiller))


def test_the_sensitivity_start_stays_on_the_device(digits, monkeypatch):
    seen = []
    fit = SensitivityCoreset.fit

    def noted(self, *args, **options):
        seen.append(self.device)
        return fit(self, *args, **options)

    monkeypatch.setattr(SensitivityCoreset, "fit", noted)
    X, _, y, _ = digits
    quick(init="sensitivity", max_iter=0, early_stopping=False, device="cpu").fit(X, y)
    assert seen == ["cpu"]


def test_without_a_target_the_subspace_is_learnt(digits):
    X = digits[0]
    learnt, start = quick(max_iter=100).fit(X), quick(max_iter=0).fit(X)

    def explained(distiller):
        return (distiller.transform(X) ** 2).sum(1).mean()

    assert explained(learnt) > explained(start)
    assert learnt.distilled_.y is None


@pytest.mark.usefixtures("quick_fits")
def test_weights_are_repetitions(diabetes):
    X, _, y, _ = diabetes
    weight = np.random.default_rng(0).integers(0, 4, len(X))
    weighted = quick().fit(X, y, sample_weight=weight)
    repeated = quick().fit(X.repeat(weight, axis=0), y.repeat(weight))
    assert_allclose(weighted.distilled_.X, repeated.distilled_.X)
    assert_allclose(weighted.distilled_.sample_weight, repeated.distilled_.sample_weight)


def test_forms_and_types(digits):
    pd = pytest.importorskip("pandas")
    X, _, y, _ = digits
    names = np.array([f"digit {label}" for label in y])
    frame = pd.DataFrame(X.astype(np.float32)).add_prefix("pixel ")
    few = {"max_iter": 3, "early_stopping": False}
    small = quick(**few).fit_distill(frame, names)
    assert list(small.X.columns) == list(frame.columns)
    assert small.y.dtype.kind == "U"
    assert quick(**few).fit_distill(X.astype(np.float32), y).X.dtype == np.float32
    many = quick(**few).fit_distill(X, np.stack([X[:, 20], X[:, 30]], axis=1))
    assert many.y.shape == (12, 2)


@pytest.mark.usefixtures("quick_fits")
def test_same_seed_same_bits_and_no_torch_in_the_pickle(digits):
    X, X_test, y, _ = digits
    X, y = X[:400], y[:400]
    first, second = (quick(max_iter=12).fit(X, y) for _ in range(2))
    assert_array_equal(first.distilled_.X, second.distilled_.X)
    assert_array_equal(first.loss_curve_, second.loss_curve_)
    pickled = pickle.dumps(first)
    assert len(pickled) < 100_000
    assert b"torch" not in pickled.replace(b"_torch", b"")
    assert_array_equal(pickle.loads(pickled).transform(X_test), first.transform(X_test))


@pytest.mark.usefixtures("quick_fits")
def test_in_pipelines_and_grids(digits):
    X, _, y, _ = (part[:300] for part in digits)
    assert make_pipeline(StandardScaler(), quick(), RidgeClassifier()).fit(X, y).score(X, y) > 0.7
    grid = GridSearchCV(
        DistilledClassifier(
            distiller=quick(objective=KernelRidge(), early_stopping=False, max_iter=8)
        ),
        {
            "distiller__n_samples": [10, 20],
            "distiller__objective__reg": [1e-6, 1e-3],
        },
        cv=2,
    ).fit(X, y)
    assert grid.best_score_ > 0.7


# Trouble ---------------------------------------------------------------------------------------


def test_a_huge_rate_ends_finite_with_a_warning(digits):
    X, X_test, y, _ = digits
    with pytest.warns(ConvergenceWarning, match="learning_rate"):
        distiller = quick(learning_rate=1e4, max_iter=60).fit(X[:400], y[:400])
    assert np.isfinite(distiller.distilled_.X).all()
    assert np.isfinite(distiller.make_predictor().predict(X_test)).all()


@pytest.mark.parametrize(
    "objective", ["kernel_ridge", "nearest_neighbors", FeatureRegression(MLP(16), n_networks=2)]
)
def test_without_held_out_rows_a_huge_rate_hands_out_the_start(digits, objective):
    X, _, y, _ = (part[:400] for part in digits)
    options = {"objective": objective, "early_stopping": False, "max_iter": 20}
    with pytest.warns(ConvergenceWarning, match="the start is kept"):
        spoilt = quick(learning_rate=1000.0, **options).fit(X, y)
    start = quick(**{**options, "max_iter": 0}).fit(X, y)
    assert_allclose(spoilt.distilled_.X, start.distilled_.X)
    found = spoilt.make_predictor().predict(X).argmax(1)
    assert (found == start.make_predictor().predict(X).argmax(1)).mean() > 0.99
    quick(**options).fit(X, y)  # without a warning


def test_without_held_out_rows_a_huge_rate_is_seen_for_numbers(diabetes):
    X, _, y, _ = diabetes
    with pytest.warns(ConvergenceWarning, match="the start is kept"):
        spoilt = quick(learning_rate=1000.0, early_stopping=False).fit(X, y)
    assert r2_score(y, spoilt.make_predictor().predict(X)) > 0.3


def test_an_interruption_keeps_the_best_set(digits):
    X, X_test, y, y_test = digits
    calls = []

    def interrupting(targets, outputs):
        calls.append(len(targets))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return np.abs(targets - outputs).sum(1)

    distiller = quick(batch_loss=interrupting, refresh_every=10, max_iter=400)
    with pytest.raises(KeyboardInterrupt):
        distiller.fit(X, y)
    model = DistilledClassifier(distiller=FrozenEstimator(distiller)).fit(X, y)
    assert model.score(X_test, y_test) > 0.5


INTERRUPTED = """
import sys, warnings
import numpy as np
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from skdistill import DatasetDistiller, DistilledClassifier

def interrupting(targets, outputs):
    raise KeyboardInterrupt

X = np.random.default_rng(0).normal(size=(60, 2))
y = X[:, 0] > 0
distiller = DatasetDistiller(
    4, batch_loss=interrupting, early_stopping=False, max_iter=20, random_state=0
)

def inside(call):
    try:
        call()
    except KeyboardInterrupt:
        return "stopped"
    return "went on"

sys.ps1 = ">>> "
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    distiller.fit(X, y)
    small = distiller.fit_distill(X, y)
    Z = distiller.fit_transform(X, y)
print(len(small), Z.shape, [str(w.message)[:11] for w in caught])
print(inside(lambda: distiller.fit(X, y)), len(distiller.distilled_))
print(inside(lambda: cross_val_score(DistilledClassifier(distiller=distiller), X, y, cv=2)))
try:
    make_pipeline(distiller).fit(X, y)
except KeyboardInterrupt:
    print("stopped")
del sys.ps1
try:
    distiller.fit(X, y)
except KeyboardInterrupt:
    print("stopped", len(distiller.distilled_))
"""


def test_only_by_hand_an_interrupted_fit_returns(forking):
    done = forking.run(INTERRUPTED)
    told = ["Interrupted"] * 3
    assert done.stdout.splitlines() == [
        f"4 (60, 4) {told}",
        "stopped 4",
        "stopped",
        "stopped",
        "stopped 4",
    ], done.stderr


def test_the_coordinates_are_held_once(monkeypatch):
    """Rows held out and rows trained on are parts of one tensor, in the order of the split."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2500, 3))
    found = []

    def watching(trainer):
        found.append((trainer.data, trainer.held_out))
        return train(trainer)

    monkeypatch.setattr(runner, "train", watching)
    options = {"gamma": 0.5, "standardize": False, "max_iter": 2, "random_state": 0}
    DatasetDistiller(5, **options).fit(X, X[:, 0])
    ((data, held_out),) = found
    assert (len(data), len(held_out)) == (2250, 250)
    memory = [part.rows.untyped_storage().data_ptr() for part in (data, held_out)]
    assert memory[0] == memory[1]
    for part in (data, held_out):  # targets are the standardised first feature
        first = part.rows[:, 0].double().numpy()
        assert_allclose(part.targets[:, 0], (first - X[:, 0].mean()) / X[:, 0].std(), atol=1e-6)
    together = np.sort(np.concatenate([data.rows[:, 0].numpy(), held_out.rows[:, 0].numpy()]))
    assert_allclose(together, np.sort(X[:, 0]), atol=1e-6)
