"""Features to measure nearness in, where the columns themselves do not say which rows are alike."""

from .supervised_embedding import SupervisedEmbedding

__all__ = ["SupervisedEmbedding"]
