"""Networks and frozen feature maps for techniques that learn images."""

from .conv_features import ConvFeatures

__all__ = ["ConvFeatures"]
