"""Distillation techniques: what the learnt rows are optimised for."""

from collections.abc import Callable
from functools import partial

from ..batches.training_set import Batch, Sample, TrainingSet
from .analytic_ridge import AnalyticRidge
from .base import Objective
from .characteristic_function_matching import CharacteristicFunctionMatching
from .context import Context, Stage
from .distribution_matching import DistributionMatching
from .feature_regression import FeatureRegression
from .gradient_matching import GradientMatching
from .kernel_ridge import KernelRidge
from .nearest_neighbors import NearestNeighbors
from .trajectory_matching import TrajectoryMatching
from .unrolled_training import UnrolledTraining

OBJECTIVES: dict[str, type[Objective]] = {
    "kernel_ridge": KernelRidge,
    "analytic_ridge": AnalyticRidge,
    "characteristic_function_matching": CharacteristicFunctionMatching,
    "distribution_matching": DistributionMatching,
    "feature_regression": FeatureRegression,
    "gradient_matching": GradientMatching,
    "nearest_neighbors": NearestNeighbors,
    "trajectory_matching": TrajectoryMatching,
    "unrolled_training": UnrolledTraining,
}

SHORT_NAMES: dict[str, Callable[[], Objective]] = {  # by which the papers' techniques go
    "kip": KernelRidge,
    "rfad": partial(FeatureRegression, pool="random"),
    "frepo": partial(FeatureRegression, pool="trained"),
    "dm": DistributionMatching,
    "dc": partial(GradientMatching, augment=None),
    "dsa": GradientMatching,
    "idc": partial(
        GradientMatching,
        distance="mse",
        augment="color_crop_cutout",
        train_on="real",
        factor=2,
    ),
    "mtt": TrajectoryMatching,
    "ncfm": CharacteristicFunctionMatching,
    "rat_bptt": UnrolledTraining,
}

__all__ = [
    "OBJECTIVES",
    "SHORT_NAMES",
    "AnalyticRidge",
    "Batch",
    "CharacteristicFunctionMatching",
    "Context",
    "DistributionMatching",
    "FeatureRegression",
    "GradientMatching",
    "KernelRidge",
    "NearestNeighbors",
    "Objective",
    "Sample",
    "Stage",
    "TrainingSet",
    "TrajectoryMatching",
    "UnrolledTraining",
]
