"""Distillation techniques: what the learnt rows are optimised for."""

from .analytic_ridge import AnalyticRidge
from .base import Batch, Context, Objective, Sample, Stage, TrainingSet
from .kernel_ridge import KernelRidge

__all__ = [
    "AnalyticRidge",
    "Batch",
    "Context",
    "KernelRidge",
    "Objective",
    "Sample",
    "Stage",
    "TrainingSet",
]
