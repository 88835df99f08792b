"""Starts: budgets of classes, drawn rows, centres."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

from skdistill.learning.starts import _row_of_each, drawn_start, kmeans_start, kmeans_starts
from skdistill.objectives import TrainingSet


def classes(sizes=(60, 30, 10), d=3, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.repeat(np.arange(len(sizes)), sizes)
    rows = torch.from_numpy(rng.normal(size=(len(codes), d)) + 10 * codes[:, None])
    targets = torch.eye(len(sizes), dtype=torch.float64)[codes]
    return TrainingSet(rows, targets, torch.ones(len(codes)), torch.from_numpy(codes))


def test_drawn_rows_are_distinct_rows_of_their_classes():
    data = classes()
    start = drawn_start(data, np.ones(100), 20, np.random.RandomState(0))
    assert len(set(start.index.tolist())) == 20
    assert torch.bincount(data.codes[start.index]).tolist() == [12, 6, 2]
    torch.testing.assert_close(start.rows, data.rows[start.index])
    torch.testing.assert_close(start.targets, data.targets[start.index])


def test_importance_is_followed():
    data = classes()
    importance = np.full(100, 1e-9)
    importance[[3, 5, 70, 95]] = 1.0
    start = drawn_start(data, importance, 4, np.random.RandomState(0))
    assert set(start.index.tolist()) == {3, 5, 70, 95}


@pytest.mark.parametrize("importance", [np.zeros(100), np.full(100, np.nan)])
def test_useless_importance_is_uniform(importance):
    start = drawn_start(classes(), importance, 10, np.random.RandomState(0))
    assert len(start.index) == 10


def test_balanced_start_repeats_rows_of_a_tiny_class():
    data = classes(sizes=(50, 50, 2))
    start = drawn_start(data, np.ones(102), 30, np.random.RandomState(0), balance=True)
    assert torch.bincount(data.codes[start.index]).tolist() == [10, 10, 10]


def test_centres_lie_in_their_classes():
    data = classes()
    start = kmeans_start(data, 10, np.random.RandomState(0))
    assert start.targets.argmax(1).tolist() == [0] * 6 + [1] * 3 + [2]
    centre_of_class = torch.round(start.rows.mean(1) / 10).long()
    assert centre_of_class.tolist() == start.targets.argmax(1).tolist()


def test_centres_for_numbers_carry_the_mean_of_their_cluster():
    rows = torch.tensor([[0.0], [0.1], [9.0], [9.1]], dtype=torch.float64)
    targets = torch.tensor([[1.0], [3.0], [5.0], [9.0]], dtype=torch.float64)
    data = TrainingSet(rows, targets, torch.tensor([3.0, 1.0, 1.0, 1.0]))
    start = kmeans_start(data, 2, np.random.RandomState(0))
    order = start.rows[:, 0].argsort()
    torch.testing.assert_close(start.targets[order, 0], torch.tensor([1.5, 7.0]).double())


def test_centres_for_numbers_separate_rows_by_their_target():
    features = torch.randn(200, 2, generator=torch.Generator().manual_seed(0)).double()
    targets = torch.where(torch.arange(200) % 2 == 0, 5.0, -5.0).double()[:, None]
    data = TrainingSet(features, targets, torch.ones(200))
    start = kmeans_start(data, 2, np.random.RandomState(0))
    order = start.targets[:, 0].argsort()
    torch.testing.assert_close(start.targets[order, 0], torch.tensor([-5.0, 5.0]).double())
    away = start.rows[order] - features.mean(0)
    for group, place in zip((features[1::2], features[::2]), away, strict=True):
        # From the middle towards the mean of the cluster, as far as its rows lie.
        distance = (group - features.mean(0)).square().sum(1).mean().sqrt()
        direction = torch.nn.functional.normalize(group.mean(0) - features.mean(0), dim=0)
        torch.testing.assert_close(place, distance * direction)


def test_centres_for_numbers_vary_as_the_rows_do():
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(500, 6, generator=generator).double() + 3
    weight = torch.rand(500, generator=generator) + 0.5
    data = TrainingSet(rows, rows[:, :1].clone(), weight)
    start = kmeans_start(data, 10, np.random.RandomState(0))
    middle = (weight.double() @ rows) / weight.sum()
    # With the weights of the clusters they would be equal; the clusters here weigh about the same.
    spread = (start.rows - middle).square().sum(1).mean()
    assert spread == pytest.approx((rows - middle).square().sum(1).mean().item(), rel=0.15)
    assert spread > 2 * (plain_centres(rows, weight) - middle).square().sum(1).mean()


def test_one_centre_for_numbers_is_the_mean():
    rows = torch.randn(50, 3, generator=torch.Generator().manual_seed(0)).double()
    data = TrainingSet(rows, rows[:, :1].clone(), torch.ones(50))
    start = kmeans_start(data, 1, np.random.RandomState(0))
    torch.testing.assert_close(start.rows[0], rows.mean(0))


def plain_centres(rows, weight):
    model = KMeans(10, n_init=1, random_state=0).fit(rows.numpy(), sample_weight=weight.numpy())
    return torch.from_numpy(model.cluster_centers_)


def test_without_a_target_features_alone_are_clustered():
    rows = torch.tensor([[0.0], [0.1], [9.0], [9.1]], dtype=torch.float64)
    start = kmeans_start(TrainingSet(rows, None, torch.ones(4)), 2, np.random.RandomState(0))
    assert start.targets is None
    torch.testing.assert_close(start.rows.sort(0).values, torch.tensor([[0.05], [9.05]]).double())


def test_more_centres_than_distinct_rows():
    rows = torch.tensor([[0.0], [0.0], [1.0]], dtype=torch.float64)
    data = TrainingSet(rows, rows.clone(), torch.ones(3))
    start = kmeans_start(data, 3, np.random.RandomState(0))
    assert sorted(start.rows[:, 0].tolist()) == [0.0, 0.0, 1.0]


def test_rows_of_clusters_are_rows_one_of_each():
    rng = np.random.default_rng(0)
    centre = np.repeat(10.0 * np.arange(5), 30)
    X = centre[:, None] + rng.normal(size=(150, 2))
    data = TrainingSet(
        torch.from_numpy(X), torch.from_numpy(centre[:, None]), torch.ones(150).double()
    )
    start = kmeans_start(data, 5, np.random.RandomState(0), rows_of_clusters=True)
    distance = (start.rows[:, None] - data.rows[None]).abs().sum(2)
    nearest, row = distance.min(1)
    assert nearest.tolist() == [0] * 5
    assert len(set(row.tolist())) == 5
    assert torch.equal(start.targets, data.targets[row])
    assert len(start.targets.unique()) >= 4  # five random rows come from 3.4 groups on average


def test_rows_of_clusters_follow_the_weights():
    label, weight = np.zeros(4, int), np.array([1.0, 1.0, 1.0, 5.0])
    rng = np.random.RandomState(0)
    drawn = [int(_row_of_each(label, weight, rng)[1][0]) for _ in range(800)]
    assert abs(np.mean(np.array(drawn) == 3) - 5 / 8) < 4 * (5 / 8 * 3 / 8 / 800) ** 0.5


def test_rows_of_the_same_clusters_are_drawn_several_times():
    data = classes()
    centres, *drawn = kmeans_starts(data, 10, np.random.RandomState(0), 3)
    assert len(drawn) == 3
    for start in drawn:
        assert torch.equal(start.targets, centres.targets)
        distances = torch.cdist(start.rows, data.rows)  # each is a real row of its class
        nearest = distances.argmin(1)
        assert distances.amin(1).max() < 1e-5
        assert torch.equal(data.codes[nearest], centres.targets.argmax(1))
        # ... and of its cluster: its centre is the nearest one of its class.
        of_class = data.codes[nearest][:, None] == centres.targets.argmax(1)
        away = torch.cdist(start.rows, centres.rows).masked_fill(~of_class, np.inf)
        assert torch.equal(away.argmin(1), torch.arange(10))
    assert not torch.equal(drawn[0].rows, drawn[1].rows)


def test_outliers_in_the_target_are_no_clusters_of_their_own():
    rows = torch.from_numpy(np.random.default_rng(0).normal(size=(300, 2)))
    found = []
    for size in (10.0, 1000.0):
        numbers = rows[:, :1] + 0.1 * rows[:, 1:]
        numbers[::20] = size  # 5 % of them
        data = TrainingSet(rows, numbers, torch.ones(300))
        found.append(kmeans_start(data, 6, np.random.RandomState(0)).rows)
    torch.testing.assert_close(*found)  # how far they are off has no say
    spread = found[0][:, 0].std()
    assert spread > 0.7  # and the usual numbers still have


def test_numbers_that_are_mostly_the_same_are_not_cut_off():
    rows = torch.zeros(100, 1, dtype=torch.float64)
    numbers = torch.zeros(100, 1, dtype=torch.float64)
    numbers[:10] = 5.0
    start = kmeans_start(TrainingSet(rows, numbers, torch.ones(100)), 2, np.random.RandomState(0))
    assert sorted(start.targets[:, 0].tolist()) == [0.0, 5.0]
