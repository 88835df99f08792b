"""Distillation techniques: what the learnt rows are optimised for."""

from ..batches.training_set import Batch, Sample, TrainingSet
from .analytic_ridge import AnalyticRidge
from .base import Objective
from .characteristic_function_matching import CharacteristicFunctionMatching
from .context import Context, Stage
from .distribution_matching import DistributionMatching
from .feature_regression import FeatureRegression
from .gradient_matching import GradientMatching
from .kernel_ridge import KernelRidge
from .trajectory_matching import TrajectoryMatching

OBJECTIVES = {
    "kernel_ridge": KernelRidge,
    "analytic_ridge": AnalyticRidge,
    "characteristic_function_matching": CharacteristicFunctionMatching,
    "distribution_matching": DistributionMatching,
    "feature_regression": FeatureRegression,
    "gradient_matching": GradientMatching,
    "trajectory_matching": TrajectoryMatching,
}

__all__ = [
    "OBJECTIVES",
    "AnalyticRidge",
    "Batch",
    "CharacteristicFunctionMatching",
    "Context",
    "DistributionMatching",
    "FeatureRegression",
    "GradientMatching",
    "KernelRidge",
    "Objective",
    "Sample",
    "Stage",
    "TrainingSet",
    "TrajectoryMatching",
]
