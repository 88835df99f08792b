"""Networks, many of them run as one, and frozen feature maps, for techniques that learn images."""

from ._architecture import Architecture, check_image_shape
from ._build import build
from .conv_features import ConvFeatures
from .convnet import ConvNet
from .estimators import NetworkClassifier, NetworkRegressor
from .mlp import MLP

__all__ = [
    "MLP",
    "Architecture",
    "ConvFeatures",
    "ConvNet",
    "NetworkClassifier",
    "NetworkRegressor",
    "build",
    "check_image_shape",
]
