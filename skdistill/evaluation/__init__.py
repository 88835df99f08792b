"""What a small set is worth: models trained on it from scratch, scored on rows it has not seen."""

from ._evaluate import evaluate

__all__ = ["evaluate"]
