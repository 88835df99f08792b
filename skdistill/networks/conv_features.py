"""Frozen one-layer convolutional features of images, as a scikit-learn transformer.

Kernels on pixels compare images place by place; kernels on these features compare what is seen in
about the same place. They are fitted without labels in seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from .. import _torch as torch
from .._device import for_each_block, resolve_device
from .._docs import DocLinkMixin
from ._architecture import check_image_shape
from ._feature_map import FeatureMap, pooling
from ._filters import (
    KMEANS_STEPS,
    normalise_patches,
    principal_scaling,
    spherical_kmeans,
    whitening,
)
from ._mirror import shows_the_same_mirrored
from ._units import outlier_limits, within_limits

N_PATCHES = 50_000  # patches that filters are learnt from
N_IMAGES = 10_000  # images that patches and principal directions are taken from
CONTRAST_REG = 0.01
FILTERS = ("kmeans", "patches", "random")
N_FILTERS, N_COMPONENTS = 256, 512  # twice as many with mirror images
BLOCK_ELEMENTS = {"cpu": 2**19, "cuda": 2**27}  # responses of a block; 2 MB stay in cache
PROJECTED_ROWS = 500  # images that are projected together


class ConvFeatures(DocLinkMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    r"""One layer of frozen convolutional features, pooled, projected and of length 1.

    Patches are normalised in contrast and whitened, and compared with filters found by spherical
    k-means. Responses are rectified on both sides, averaged over overlapping cells and square
    rooted; principal directions of variances w are scaled by (w + 10 w_last)^(-1/4), and rows are
    brought to length 1. No label is used. Images are worked on block by block.

    Parameters
    ----------
    image_shape : tuple of 3 int or None, default=None
        Channels, height and width of the image that a row holds, in this order. None takes rows as
        signals, images of one channel and one line: (1, 1, n_features).

    n_filters : int or "auto", default="auto"
        Number of filters. "auto" is 256, and as many again, mirrored, with `mirror`.

    patch_size : int, default=6
        Height and width of patches, cut to those of the image.

    stride : int, default=2
        Step between patches.

    filters : {"kmeans", "patches", "random"}, default="kmeans"
        Filters by spherical k-means, random whitened patches, or normal random numbers.

    whitening_reg : float, default=0.1
        Added to the eigenvalues of the covariance of patches, whose mean is about 1.

    threshold : float, default=0.5
        Responses below it, on either side, count as 0.

    n_cells : int, default=3
        Cells of the average pooling along height and along width.

    mirror : bool, "signed" or "auto", default="auto"
        True gives an image and its mirror image the same features, the mean of both. "signed" keeps
        what tells them apart: they share the first half of the features, and the other half
        changes its sign. With ``kernel="mirror_rbf"`` of the distiller, which its "auto" looks for,
        they still count as the same image. Right for photographs, wrong for writing. "auto" is
        "signed" where mirror images are as near to the other images as the images themselves are,
        and False elsewhere: see Notes. Half of the filters are the other half mirrored. Exact where
        the width less `patch_size` is a multiple of `stride`; otherwise the last columns, which no
        patch reaches, make a difference.

    n_components : int or "auto", default="auto"
        Most features. "auto" is 512, and 1,024 with `mirror`. Directions without variance are left
        out. ``mirror="signed"`` has as many of either kind: half of an odd number is rounded down,
        and there is at least one.

    device : str, default="auto"
        "auto" takes CUDA where there is one and the CPU otherwise.

    random_state : int, RandomState instance or None, default=None
        Draws images, patches and first filters.

    Attributes
    ----------
    map_ : FeatureMap
        Filters, pooling and projection, NumPy arrays all.

    mirror_ : bool or "signed"
        What `mirror` came to.

    limits_ : ndarray of shape (2, n_features) or None
        What outliers count as: cells that lie a hundred times as far out as nearly all others.
        None where there were none.

    device_ : str
        Where the features were fitted.

    n_odd_ : int
        Last features that change their sign in the mirror image; 0 unless `mirror_` is "signed".

    n_parameters_ : int
        Numbers that the map consists of. Distilled rows of features are useless without it: it
        belongs to the size of what is stored.

    n_features_in_ : int
        Number of features seen during `fit`.

    feature_names_in_ : ndarray of shape (n_features,)
        Names of features seen during `fit`, where all are strings.

    See Also
    --------
    skdistill.DatasetDistiller : Learns rows, of features too.

    Notes
    -----
    Rows of float64 are worked on and returned in float64. All others, integers too, are worked on
    and returned in float32, which is twice as fast. The transform of integers is therefore float32.

    ``mirror="auto"`` compares up to 1,000 images, and their mirror images, with up to 4,000 others.
    Where the nearest other image is on average less than a twentieth farther from the mirror image,
    a mirror makes no difference. For photographs (CIFAR-10) it was a hundredth at most, for digits
    (MNIST) a seventh at least. Photographs of writing, such as house numbers, may pass for others;
    ``mirror="signed"`` keeps what tells an image from its mirror image, and ``kernel="auto"`` of
    the distiller looks at the classes too.
    Vectors, images of one line or column and fewer than 200 images are not mirrored, nor is an odd
    number of filters.

    References
    ----------
    .. [1] A. Coates, H. Lee, A. Ng, "An analysis of single-layer networks in unsupervised feature
       learning", AISTATS 2011.
    .. [2] A. Coates, A. Ng, "Learning feature representations with k-means", in Neural Networks:
       Tricks of the Trade, 2012.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skdistill.networks import ConvFeatures
    >>> X, _ = load_digits(return_X_y=True)
    >>> features = ConvFeatures((1, 8, 8), 16, patch_size=3, stride=1, random_state=0)
    >>> features.fit_transform(X).shape
    (1797, 288)
    """

    _parameter_constraints: ClassVar[dict] = {
        "image_shape": ["array-like", None],
        **{
            name: [Interval(Integral, 1, None, closed="left")]
            for name in ("patch_size", "stride", "n_cells")
        },
        **{
            name: [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"})]
            for name in ("n_filters", "n_components")
        },
        "filters": [StrOptions(set(FILTERS))],
        "whitening_reg": [Interval(Real, 0, None, closed="neither")],
        "threshold": [Interval(Real, 0, None, closed="left")],
        "mirror": ["boolean", StrOptions({"signed", "auto"})],
        "device": [str],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        image_shape: tuple[int, int, int] | None = None,
        n_filters: int | str = "auto",
        *,
        patch_size: int = 6,
        stride: int = 2,
        filters: str = "kmeans",
        whitening_reg: float = 0.1,
        threshold: float = 0.5,
        n_cells: int = 3,
        mirror: bool | str = "auto",
        n_components: int | str = "auto",
        device: str = "auto",
        random_state: Any = None,
    ) -> None:
        self.image_shape = image_shape
        self.n_filters = n_filters
        self.patch_size = patch_size
        self.stride = stride
        self.filters = filters
        self.whitening_reg = whitening_reg
        self.threshold = threshold
        self.n_cells = n_cells
        self.mirror = mirror
        self.n_components = n_components
        self.device = device
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> ConvFeatures:
        """Learn filters and principal directions.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Images as rows: channels, then lines, then columns.

        y : Ignored
            Not used, present for API consistency by convention.

        Returns
        -------
        ConvFeatures
            The fitted transformer.
        """
        self._validate_params()
        self._check_mirror()
        X = validate_data(self, X, dtype="numeric", ensure_min_samples=2)
        shape = check_image_shape(self.image_shape, X.shape[1]) or (1, 1, X.shape[1])
        self.limits_ = outlier_limits(X, np.full(len(X), 1 / len(X)), shape)
        X = within_limits(X, self.limits_)
        device = resolve_device(self.device)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(X), generator=generator)[:N_IMAGES].sort().values.numpy()
        self.mirror_ = self._mirror(X, order, shape)
        n_filters, n_components = self._sizes()
        fitted = self._fit_filters(X, order, shape, n_filters, generator)
        mean, covariance = _moments(fitted, X, order, device)
        n_components = max(1, n_components // len(covariance))
        groups = [principal_scaling(C, n_components, generator) for C in covariance]
        kept = min(group.shape[1] for group in groups)
        components = np.stack([group[:, :kept] for group in groups])
        self.map_ = replace(fitted, center=mean, components=components)
        self.n_odd_ = kept if self.mirror_ == "signed" else 0
        self.device_ = str(device)
        self.n_parameters_ = sum(
            int(array.size) for array in (fitted.kernels, fitted.bias, mean, components)
        )
        self._n_features_out = len(components) * kept
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Features of images.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Images as rows.

        Returns
        -------
        ndarray of shape (n_samples, n_features_out)
            Rows of length 1; 0 for an image equal to the mean of the features.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype="numeric", reset=False)
        dtype = _float_type(X)
        X = within_limits(X, self.limits_)
        out = np.empty((len(X), self._n_features_out), dtype)
        for start, stop, block in _blocks(self.map_, X, resolve_device(self.device)):
            out[start:stop] = block
        return out

    def torch_function(self, device: Any = "cpu", dtype: Any = None) -> Callable[[Any], Any]:
        """Return the fitted map as a differentiable PyTorch function.

        Parameters
        ----------
        device : str or torch.device, default="cpu"
            Where it will be called.

        dtype : torch.dtype or None, default=None
            Of the rows it will be given; None is float32.

        Returns
        -------
        callable
            Tensor (b, n_features) of pixels -> Tensor (b, n_features_out) of features.
        """
        check_is_fitted(self)
        return self.map_.on(device, torch.float32 if dtype is None else dtype)

    def _fit_filters(
        self,
        X: np.ndarray,
        order: np.ndarray,
        shape: tuple[int, int, int],
        n_filters: int,
        generator: Any,
    ) -> FeatureMap:
        channels, height, width = shape
        size = min(self.patch_size, height), min(self.patch_size, width)
        raw = _random_patches(X[order], shape, size, generator)
        patches, epsilon = normalise_patches(raw, CONTRAST_REG)
        if self.mirror_:
            flipped = patches.reshape(-1, channels, *size).flip(-1).reshape(patches.shape)
            patches = torch.cat([patches, flipped])
        mean, Z = whitening(patches.numpy(), self.whitening_reg)
        whitened = (patches - torch.from_numpy(mean)) @ torch.from_numpy(Z)
        if self.filters == "random":
            whitened = whitened[:0]
        steps = KMEANS_STEPS if self.filters == "kmeans" else 0
        n_learnt = n_filters // 2 if self.mirror_ else n_filters
        filters = spherical_kmeans(whitened.float(), n_learnt, generator, steps).double().numpy()
        kernels = filters @ Z
        bias = kernels @ mean
        # A patch enters without its mean, whether or not the filter sees it.
        kernels -= kernels.mean(1, keepdims=True)
        kernels = kernels.reshape(-1, channels, *size)
        if self.mirror_:
            kernels = np.concatenate([kernels, kernels[..., ::-1]])
            bias = np.concatenate([bias, bias])
        positions = [(n - s) // self.stride + 1 for n, s in zip(shape[1:], size, strict=True)]
        pool = pooling(positions[0], self.n_cells), pooling(positions[1], self.n_cells)
        return FeatureMap(
            shape, kernels, bias, epsilon, self.stride, self.threshold, pool, self.mirror_
        )

    def _mirror(self, X: np.ndarray, order: np.ndarray, shape: tuple[int, int, int]) -> bool | str:
        """Replace "auto" by what the images show; an odd number of filters cannot be mirrored."""
        if self.mirror != "auto":
            return self.mirror if isinstance(self.mirror, str) else bool(self.mirror)
        if self._has_odd_filters() or self.image_shape is None or min(shape[1:]) == 1:
            return False
        return "signed" if shows_the_same_mirrored(X[order], shape) else False

    def _sizes(self) -> tuple[int, int]:
        """Return the numbers of filters and of features, with "auto" replaced."""
        asked, usual = (self.n_filters, self.n_components), (N_FILTERS, N_COMPONENTS)
        sides = 2 if self.mirror_ else 1
        filters, features = (
            sides * default if isinstance(size, str) else size
            for size, default in zip(asked, usual, strict=True)
        )
        return filters, features

    def _has_odd_filters(self) -> bool:
        return not isinstance(self.n_filters, str) and self.n_filters % 2 == 1

    def _check_mirror(self) -> None:
        if self.mirror and self.mirror != "auto" and self._has_odd_filters():
            raise ValueError(
                f"n_filters={self.n_filters!r} must be even with mirror={self.mirror!r}: half "
                "of the filters are the other half mirrored."
            )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _float_type(X: np.ndarray) -> np.dtype:
    return np.dtype(np.float64 if X.dtype == np.float64 else np.float32)


def _random_patches(
    images: np.ndarray, shape: tuple[int, int, int], size: tuple[int, int], generator: Any
) -> Any:
    """Patches (n, channels * height * width) at random places of images, float64."""
    n = max(len(images), N_PATCHES // len(images) * len(images))
    which = np.arange(n) % len(images)
    place = [
        torch.randint(whole - part + 1, (n,), generator=generator).numpy()
        for whole, part in zip(shape[1:], size, strict=True)
    ]
    views = np.lib.stride_tricks.sliding_window_view(
        images.reshape(-1, *shape), size, axis=(2, 3)
    )  # (images, channels, lines, columns, *size)
    patches = views[which, :, place[0], place[1]]
    return torch.from_numpy(patches.reshape(n, -1).astype(np.float64))


def _blocks(feature_map: FeatureMap, X: np.ndarray, device: Any, rows: Any = None) -> Any:
    """Features of blocks of rows, in order: (start, stop, NumPy array), one after the other."""
    dtype = torch.float64 if X.dtype == np.float64 else torch.float32
    loaded = feature_map.on(device, dtype)
    positions = len(feature_map.pool[0]) * len(feature_map.pool[1])
    elements = positions * len(feature_map.kernels)
    block = max(1, BLOCK_ELEMENTS[device.type] // elements)
    together = -(-PROJECTED_ROWS // block) * block
    n_rows = len(X) if rows is None else len(rows)
    first = 0
    found: dict[int, Any] = {}

    def work(start: int, stop: int) -> None:
        index = slice(first + start, first + stop)
        part = X[index] if rows is None else X[rows[index]]
        pixels = torch.from_numpy(part.astype(_float_type(X))).to(device)
        with torch.no_grad():
            found[start] = loaded.pooled(pixels)

    for first in range(0, n_rows, together):
        stop = min(first + together, n_rows)
        # Blocks that do not fit into memory are halved in there.
        for_each_block(work, stop - first, block, parallel=device.type == "cpu")
        pooled = torch.cat([found[start] for start in sorted(found)])
        found.clear()
        with torch.no_grad():
            yield first, stop, loaded.project(pooled).cpu().numpy()


def _moments(
    feature_map: FeatureMap, X: np.ndarray, rows: np.ndarray, device: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Mean (groups, width) and covariance (groups, width, width), float64, of pooled features.

    The images count with their mirror images: what differs by its sign has the mean 0. Products of
    centred blocks are taken in float32.
    """
    total: Any = None
    second: Any = None
    shift: Any = None
    parts: list[np.ndarray] = []

    def add() -> None:
        nonlocal total, second, shift
        block = np.concatenate(parts)
        parts.clear()
        if total is None or second is None:
            shift = block.mean(0, dtype=np.float64)
            shift[1:] = 0
            total = np.zeros(shift.shape)
            second = np.zeros((*shift.shape, shift.shape[1]))
        centred = block - shift.astype(block.dtype)
        total += centred.sum(0, dtype=np.float64)
        for group, of_group in enumerate(centred.transpose(1, 0, 2)):
            second[group] += of_group.T @ of_group

    for _, _, block in _blocks(feature_map, X, device, rows):
        parts.append(block)
        if sum(map(len, parts)) >= 1000:
            add()
    if parts:
        add()
    mean = total / len(rows)
    mean[1:] = 0
    rounded = shift.astype(_float_type(X)).astype(np.float64)
    return rounded + mean, second / len(rows) - mean[:, :, None] * mean[:, None]
