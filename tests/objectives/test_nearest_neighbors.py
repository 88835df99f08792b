"""Prototypes for nearest neighbours: loss, gradients, units, and what is made of the rows."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skdistill import DatasetDistiller, DistilledClassifier, DistilledRegressor
from skdistill.objectives import Batch, Context, NearestNeighbors
from skdistill.objectives.nearest_neighbors import DistanceVotes
from skdistill.support import Support

F64 = torch.float64


def ready(kind, **parameters):
    """A technique after `setup`, with a support of six rows and a batch of nine, in float64."""
    g = torch.Generator().manual_seed(0)
    V, X = (torch.randn(n, 4, generator=g, dtype=F64) for n in (6, 9))
    if kind == "classes":
        labels = torch.eye(3, dtype=F64)[[0, 1, 2] * 2]
        targets = torch.eye(3, dtype=F64)[torch.randint(3, (9,), generator=g)]
    else:
        labels, targets = (torch.randn(n, 2, generator=g, dtype=F64) for n in (6, 9))
    objective = NearestNeighbors(**parameters)
    objective.setup(Context(kind, 6, 4, labels.shape[1], None, g, torch.device("cpu")))
    support = Support(V, labels, {"spread": torch.tensor(1.7, dtype=F64)})
    return objective, support, Batch(X, targets), torch.rand(9, generator=g, dtype=F64)


def loss_by_loops(objective, support, batch, weights):
    V, labels = support.rows.numpy(), support.labels.numpy()
    X, targets = batch.rows.numpy(), batch.targets.numpy()
    by_class = objective._has_classes
    total = 0.0
    for s in objective.sharpness:
        for x, y, w in zip(X, targets, weights.numpy(), strict=True):
            claim = np.array([np.exp(-s * np.sum((x - v) ** 2) / 1.7) for v in V])
            claim /= claim.sum()
            if by_class:
                own = sum(c for c, label in zip(claim, labels, strict=True) if (label == y).all())
                total -= w * np.log(own) / len(objective.sharpness)
            else:
                mean = sum(c * label for c, label in zip(claim, labels, strict=True))
                total += 0.5 * w * np.sum((mean - y) ** 2) / len(objective.sharpness)
    nearest = []
    for v, label in zip(V, labels, strict=True):
        found = [
            np.sum((x - v) ** 2) / 1.7
            for x, y in zip(X, targets, strict=True)
            if not by_class or (y == label).all()
        ]
        nearest.append(min(found, default=0.0))
    return total + objective.pull * np.mean(nearest)


@pytest.mark.parametrize("kind", ["classes", "numbers"])
@pytest.mark.parametrize("pull", [0.0, 0.7])
def test_loss_is_that_of_loops_and_its_gradient_that_of_differences(kind, pull):
    objective, support, batch, weights = ready(kind, pull=pull, sharpness=(0.5, 3.0))
    names = ["rows", "labels"] if kind == "numbers" else ["rows"]
    loss, gradients = objective.gradients(support, batch, weights, names)
    assert float(loss) == pytest.approx(loss_by_loops(objective, support, batch, weights))
    for name, gradient in zip(names, gradients, strict=True):
        direction = torch.randn_like(support[name])
        ends = []
        for h in (-1e-6, 1e-6):
            moved = support.clone()
            setattr(moved, name, support[name] + h * direction)
            ends.append(loss_by_loops(objective, moved, batch, weights))
        slope = (ends[1] - ends[0]) / 2e-6
        assert slope == pytest.approx(float((gradient * direction).sum()), rel=1e-5, abs=1e-8)


def test_a_class_without_learnt_rows_counts_for_nothing():
    objective, support, batch, weights = ready("classes")
    support.labels = torch.eye(3, dtype=F64)[[0, 1] * 3]
    loss, (gradient,) = objective.gradients(support, batch, weights, ["rows"])
    known = batch.targets[:, 2] == 0
    expected = objective.gradients(
        support, Batch(batch.rows[known], batch.targets[known]), weights[known], ["rows"]
    )
    assert not known.all()
    assert float(loss) == pytest.approx(float(expected[0]))
    torch.testing.assert_close(gradient, expected[1][0])


def test_rows_far_away_stay_finite():
    objective, support, batch, weights = ready("classes", sharpness=(1e6,))
    support.rows *= 1e3
    loss, (gradient,) = objective.gradients(support, batch, weights, ["rows"])
    assert torch.isfinite(loss) and torch.isfinite(gradient).all()


# On data ---------------------------------------------------------------------------------------


def learner(n_samples=20, **options):
    parameters = {"max_iter": 150, "random_state": 0, **options}
    return DatasetDistiller(n_samples, objective="nearest_neighbors", **parameters)


def test_classes_are_learnt(digits):
    X, X_test, y, y_test = digits
    small, start = (learner(max_iter=steps).fit_distill(X, y) for steps in (150, 0))
    nearest = [KNeighborsClassifier(1).fit(s.X, s.y).score(X_test, y_test) for s in (small, start)]
    assert nearest[0] > max(0.95, nearest[1] + 0.01)
    assert (small.y == start.y).all()  # labels stay


def test_predictor_is_scikit_learn_on_the_learnt_rows(digits):
    X, X_test, y, y_test = digits
    model = DistilledClassifier(distiller=learner(n_samples=40)).fit(X, y)
    small, bandwidth = model.distilled_, model.distiller_.objective_.bandwidth
    scale = np.ptp(model.distiller_.components_) and model.distiller_._map.units.factor
    assert np.ptp(scale[np.isfinite(scale) & (scale > 0)]) < 1e-12  # one unit for all pixels
    votes = DistanceVotes(bandwidth / scale.max())
    by_hand = KNeighborsClassifier(10, weights=votes).fit(small.X, small.y)
    np.testing.assert_allclose(
        model.predict_proba(X_test), by_hand.predict_proba(X_test), atol=1e-6
    )
    assert model.score(X_test, y_test) > 0.94
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict(X_test), model.predict(X_test))


def test_numbers_are_learnt():
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, (900, 2))
    y = 100 + 50 * np.sin(2 * X[:, 0]) * np.cos(2 * X[:, 1])
    train, test = slice(600), slice(600, None)
    model = DistilledRegressor(distiller=learner(30, max_iter=300)).fit(X[train], y[train])
    start = DistilledRegressor(distiller=learner(30, max_iter=0)).fit(X[train], y[train])
    assert model.score(X[test], y[test]) > max(0.8, start.score(X[test], y[test]) + 0.05)
    fixed = learner(30, learn_labels=False).fit_distill(X[train], y[train])
    np.testing.assert_allclose(np.sort(fixed.y), np.sort(start.distilled_.y), rtol=1e-5)
    two = learner(10, max_iter=20).fit(X, np.c_[y, X[:, 0]])
    assert two.make_predictor().predict(X).shape == (900, 2)
    labels = learner(10, max_iter=20).fit(X, (X > 0).astype(int))
    assert set(np.unique(labels.distilled_.y)) == {0, 1}
    assert labels.make_predictor().predict(X).shape == (900, 2)


def two_moons_in_odd_units(n=1200, seed=0):
    """Classes that the first two features decide, in units that the others drown."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    t = rng.uniform(0, np.pi, n)
    X = np.c_[np.cos(t) + y, np.sin(t) * (1 - 2 * y) + 0.5 * y] + 0.1 * rng.normal(size=(n, 2))
    return np.c_[X * [1e-3, 10], 100 * rng.normal(size=(n, 1))], y


def test_units_are_the_users_where_their_neighbours_are_good(digits):
    X, _, y, _ = digits
    own = learner(max_iter=5).fit(X, y)._map.units.factor
    assert np.ptp(own[own > 0]) < 1e-12
    odd, y = two_moons_in_odd_units()
    scaled = learner(max_iter=5).fit(odd, y)._map.units.factor
    assert scaled[0] / scaled[1] == pytest.approx(1e4, rel=0.5)
    plain = learner(max_iter=5, standardize=False).fit(odd, y)._map.units.factor
    np.testing.assert_array_equal(plain, 1.0)


def test_in_a_pipeline_a_plain_neighbour_finds_its_rows_after_scaling():
    X, y = two_moons_in_odd_units()
    nearest = KNeighborsClassifier(1)
    model = DistilledClassifier(nearest, learner(20, max_iter=300), use_weights=False)
    score = make_pipeline(StandardScaler(), model).fit(X[:900], y[:900]).score(X[900:], y[900:])
    full = make_pipeline(StandardScaler(), nearest).fit(X[:900], y[:900]).score(X[900:], y[900:])
    assert score > 0.98 * full


def test_pull_keeps_rows_near_real_ones(digits):
    X, _, y, _ = digits
    near = []
    for pull in (0.0, 3.0):
        technique = NearestNeighbors(pull=pull)
        distiller = DatasetDistiller(20, objective=technique, max_iter=150, random_state=0)
        rows = distiller.fit_distill(X, y).X
        near.append(KNeighborsRegressor(1).fit(X, y).kneighbors(rows)[0].mean())
    assert near[1] < 0.95 * near[0]


def test_it_is_an_estimator_like_any_other(digits):
    X, _, y, _ = digits
    X, y = X[:300], y[:300]
    distiller = DatasetDistiller(12, objective=NearestNeighbors(), max_iter=10, random_state=0)
    first, second = distiller.fit_distill(X, y), clone(distiller).fit_distill(X, y)
    np.testing.assert_array_equal(first.X, second.X)
    grid = {"distiller__objective__pull": [0.0, 1.0], "distiller__objective__n_neighbors": [1, 5]}
    found = GridSearchCV(DistilledClassifier(distiller=distiller), grid, cv=2).fit(X, y)
    assert found.best_score_ > 0.7


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"sharpness": ()}, r"sharpness=\(\) of NearestNeighbors must be positive numbers"),
        ({"sharpness": (1, -1)}, "must be positive numbers"),
        ({"sharpness": "high"}, "must be positive numbers"),
        ({"pull": -1}, "pull=-1 of NearestNeighbors"),
        ({"n_neighbors": 0}, "n_neighbors=0 of NearestNeighbors"),
        ({"bandwidth": 0}, "bandwidth=0 of NearestNeighbors"),
        ({"bandwidth": "wide"}, "bandwidth='wide' of NearestNeighbors"),
    ],
)
def test_parameters_are_checked(parameters, message, digits):
    X, _, y, _ = digits
    with pytest.raises(ValueError, match=message):
        DatasetDistiller(10, objective=NearestNeighbors(**parameters)).fit(X, y)


def test_labels_of_classes_are_not_learnt(digits):
    X, _, y, _ = digits
    for asked in (True, "solve"):
        with pytest.raises(ValueError, match="keeps those of classes; use 'auto' or False"):
            learner(learn_labels=asked).fit(X, y)
    with pytest.raises(ValueError, match="learn_labels='solve' does not work"):
        learner(learn_labels="solve").fit(X, y.astype(float))
