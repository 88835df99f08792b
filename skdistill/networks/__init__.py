"""Networks, many of them run as one, and frozen feature maps, for techniques that learn images."""

from ._architecture import Architecture
from ._build import build
from .conv_features import ConvFeatures
from .convnet import ConvNet
from .mlp import MLP

__all__ = ["MLP", "Architecture", "ConvFeatures", "ConvNet", "build"]
