"""Differentiable augmentation of images, the same for real and learnt ones.

Differentiable siamese augmentation (Zhao & Bilen, 2021): one operation of a strategy is drawn for
each step, with one draw of its numbers for all images of the step, so that what a technique
compares differs in the images alone. Operations and their strengths are those of that paper's code;
all are differentiable in the images. Networks are trained with numbers of its own for each image.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from .. import _torch as torch

BRIGHTNESS, SATURATION, CONTRAST = 1.0, 2.0, 0.5
CROP, CUTOUT = 0.125, 0.5  # shares of the side
SCALE, ROTATE = 1.2, 15.0  # largest factor; largest angle, in degrees
DC_SCALE, DC_ROTATE = 0.2, 45.0  # of the evaluation of DC on MNIST, whose shift is that of "crop"
COLOURED = "color_crop_cutout_flip_scale_rotate"
WITHOUT_FLIP = "color_crop_cutout_scale_rotate"


class Draw(NamedTuple):
    """Name of an operation and its uniform numbers (k, 3), k being 1 or the number of images."""

    name: str
    numbers: Any


class Augmentation:
    """Operations on images, drawn from a generator of its own on the CPU.

    The draws are the same on all devices, and none waits for a device.

    Parameters
    ----------
    strategy : str
        Operations joined by "_": "color", "crop", "cutout", "flip", "scale", "rotate", and "dc",
        one of shift, stretch and turn for each image.
    image_shape : tuple of int
        Channels, height and width.
    generator : torch.Generator
        Seeds the own one.

    References
    ----------
    .. [1] B. Zhao, H. Bilen. "Dataset Condensation with Differentiable Siamese Augmentation". ICML
       2021.
    """

    def __init__(self, strategy: str, image_shape: tuple[int, int, int], generator: Any) -> None:
        self.names = strategy.split("_")
        self.image_shape = image_shape
        self._generator = torch.Generator().manual_seed(draw_seed(generator))

    def draw(self, count: int = 1) -> Draw:
        """Draw an operation and its numbers: one set for all images, or `count` sets."""
        pick = int(torch.randint(len(self.names), (1,), generator=self._generator))
        return Draw(self.names[pick], torch.rand((count, 3), generator=self._generator))

    def __call__(self, rows: Any, draw: Draw) -> Any:
        """Augment rows.

        Parameters
        ----------
        rows : Tensor of shape (..., d)
            Standardised images: what lies outside of one is 0.
        draw : Draw
            Its numbers are for all rows, or as many as there are rows.

        Returns
        -------
        Tensor of the same shape
        """
        images = rows.reshape(-1, *self.image_shape)
        numbers = draw.numbers.to(device=rows.device, dtype=rows.dtype, non_blocking=True)
        # One number for each image, or one for all, against (images, channels, height, width).
        found = OPERATIONS[draw.name](images, numbers.T.reshape(3, -1, 1, 1, 1))
        return found.reshape(rows.shape)


def draw_seed(generator: Any) -> int:
    """Draw a seed for a generator of its own, wherever `generator` lives."""
    return int(torch.randint(2**62, (1,), generator=generator, device=generator.device))


def resolve_strategy(augment: str | None, image_shape: tuple[int, int, int] | None) -> str | None:
    """Operations that a parameter `augment` asks for.

    Parameters
    ----------
    augment : str or None
        "auto" is all operations for images of several channels. Images of one channel are not
        flipped: the mirror image of a digit or letter is none. Vectors are not augmented.
    image_shape : tuple of int or None

    Returns
    -------
    str or None

    Raises
    ------
    ValueError
        If an operation is unknown, or asked for without images.
    """
    if augment is None:
        return None
    if augment == "auto":
        if image_shape is None:
            return None
        return COLOURED if image_shape[0] > 1 else WITHOUT_FLIP
    unknown = [name for name in str(augment).split("_") if name not in OPERATIONS]
    if unknown or not isinstance(augment, str):
        raise ValueError(
            f"augment={augment!r} is unknown; use 'auto', None, or names from "
            f"{', '.join(OPERATIONS)} joined by '_', such as {COLOURED!r}."
        )
    if image_shape is None:
        raise ValueError(
            f"augment={augment!r} needs images: give image_shape=(channels, height, width), or use "
            "augment='auto', which leaves vectors as they are."
        )
    return augment


def make_augmentation(
    augment: str | None, image_shape: tuple[int, int, int] | None, generator: Any
) -> Augmentation | None:
    """Return the augmentation of a parameter `augment`, or None; see `resolve_strategy`."""
    strategy = resolve_strategy(augment, image_shape)
    if strategy is None or image_shape is None:
        return None
    return Augmentation(strategy, image_shape, generator)


# Operations: images (b, C, H, W) and uniform numbers (3, k, 1, 1, 1) -> images --------------------


def _color(images: Any, u: Any) -> Any:
    """Brightness, saturation and contrast."""
    images = images + (u[0] - 0.5) * BRIGHTNESS
    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * (u[1] * SATURATION)
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (images - mean) * (u[2] + CONTRAST)


def _crop(images: Any, u: Any) -> Any:
    """Shift by whole pixels; what comes in is 0."""
    height, width = images.shape[2:]
    return _shift(height, u[0], images) @ images @ _shift(width, u[1], images).mT


def _shift(side: int, u: Any, images: Any) -> Any:
    """Matrices (k, 1, side, side) that move a column by up to a share of the side."""
    most = int(side * CROP + 0.5)
    offset = torch.floor(u * (2 * most + 1)) - most
    place = torch.arange(side, device=images.device)
    return (place[:, None] + offset == place).to(images.dtype)


def _cutout(images: Any, u: Any) -> Any:
    """Set a rectangle of half the side, cut off at the frame, to 0."""
    inside = None
    for side, number, axis in zip(images.shape[2:], u[:2], (2, 3), strict=True):
        size = int(side * CUTOUT + 0.5)
        first = torch.floor(number * (side + 1 - size % 2)) - size // 2
        place = torch.arange(side, device=images.device).reshape(-1, *[1] * (3 - axis))
        within = (place >= first) & (place < first + size)
        inside = within if inside is None else inside & within
    return torch.where(inside, torch.zeros_like(images), images)


def _flip(images: Any, u: Any) -> Any:
    """Mirror left and right, every second time."""
    return torch.where(u[0] < 0.5, images.flip(3), images)


def _scale(images: Any, u: Any) -> Any:
    """Stretch height and width, each by its own factor."""
    return _stretched(images, 1 / SCALE + u[:2] * (SCALE - 1 / SCALE))


def _rotate(images: Any, u: Any) -> Any:
    """Turn about the centre."""
    return _turned(images, (2 * u[0] - 1) * ROTATE)


def _dc(images: Any, u: Any) -> Any:
    """Shift, stretch or turn, each image by one of them (Zhao, Mopuri & Bilen, 2021)."""
    stretched = _stretched(images, 1 / (1 + (2 * u[:2] - 1) * DC_SCALE))
    turned = _turned(images, (2 * u[0] - 1) * DC_ROTATE)
    others = torch.where(u[2] < 2 / 3, stretched, turned)
    return torch.where(u[2] < 1 / 3, _crop(images, u), others)


def _stretched(images: Any, shares: Any) -> Any:
    """Stretch images so that shares (2, k, 1, 1, 1) of their height and width fill them."""
    none = torch.zeros_like(shares[0])
    return _warp(images, [[shares[0], none], [none, shares[1]]])


def _turned(images: Any, degrees: Any) -> Any:
    """Turn images by angles (k, 1, 1, 1)."""
    angle = degrees * (math.pi / 180)
    return _warp(images, [[angle.cos(), -angle.sin()], [angle.sin(), angle.cos()]])


def _warp(images: Any, matrix: list[list[Any]]) -> Any:
    """Interpolate images at linearly mapped places; outside of the image is 0."""
    rows = [
        torch.stack([*(x.reshape(-1) for x in row), torch.zeros_like(row[0].reshape(-1))], 1)
        for row in matrix
    ]
    theta = torch.stack(rows, 1)
    functional = torch.nn.functional
    grid = functional.affine_grid(theta, [len(theta), *images.shape[1:]], align_corners=True)
    grid = grid.expand(len(images), -1, -1, -1)
    return functional.grid_sample(images, grid, align_corners=True)


OPERATIONS = {
    "color": _color,
    "crop": _crop,
    "cutout": _cutout,
    "flip": _flip,
    "scale": _scale,
    "rotate": _rotate,
    "dc": _dc,
}
