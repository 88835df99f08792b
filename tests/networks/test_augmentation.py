"""Augmentation: slow oracles for each operation, sharing of draws, gradients, the strategies."""

from __future__ import annotations

import math

import pytest
import torch
from small_problems import generator

from skdistill.networks.augmentation import (
    COLOURED,
    OPERATIONS,
    WITHOUT_FLIP,
    Augmentation,
    Draw,
    make_augmentation,
    resolve_strategy,
)

SHAPE = (3, 8, 12)
D = 3 * 8 * 12


def images(b=6, seed=1):
    return torch.randn(b, D, generator=generator(seed), dtype=torch.float64)


@pytest.fixture
def augmentation():
    return Augmentation(COLOURED, SHAPE, generator())


def coloured(x, u):
    x = x + u[0] - 0.5
    grey = sum(x) / 3
    x = torch.stack([grey + (channel - grey) * 2 * u[1] for channel in x])
    return x.mean() + (x - x.mean()) * (u[2] + 0.5)


def cropped(x, u):
    # An eighth of 8 is 1 pixel, of 12 is 1.5, rounded to 2.
    down, right = math.floor(u[0] * 3) - 1, math.floor(u[1] * 5) - 2
    out = torch.zeros_like(x)
    for i in range(8):
        for j in range(12):
            if 0 <= i + down < 8 and 0 <= j + right < 12:
                out[:, i, j] = x[:, i + down, j + right]
    return out


def cut(x, u):
    top, left = math.floor(u[0] * 9) - 2, math.floor(u[1] * 13) - 3
    out = x.clone()
    out[:, max(0, top) : top + 4, max(0, left) : left + 6] = 0
    return out


def flipped(x, u):
    return x.flip(2) if u[0] < 0.5 else x


def warped(x, matrix):
    """Bilinear interpolation, pixel by pixel, about the centre of the image."""
    out = torch.zeros_like(x)
    for i in range(8):
        for j in range(12):
            across, down = 2 * j / 11 - 1, 2 * i / 7 - 1
            a = (matrix[0][0] * across + matrix[0][1] * down + 1) * 11 / 2
            b = (matrix[1][0] * across + matrix[1][1] * down + 1) * 7 / 2
            for p in (math.floor(b), math.floor(b) + 1):
                for q in (math.floor(a), math.floor(a) + 1):
                    if 0 <= p < 8 and 0 <= q < 12:
                        out[:, i, j] += x[:, p, q] * (1 - abs(b - p)) * (1 - abs(a - q))
    return out


def scaled(x, u):
    factors = [1 / 1.2 + float(v) * (1.2 - 1 / 1.2) for v in u[:2]]
    return warped(x, [[factors[0], 0], [0, factors[1]]])


def rotated(x, u):
    angle = math.radians(30 * (float(u[0]) - 0.5))
    return warped(x, [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def as_dc(x, u):
    """One of the three operations that DC's networks for MNIST see."""
    if u[2] < 1 / 3:
        return cropped(x, u)
    if u[2] < 2 / 3:
        factors = [0.8 + 0.4 * float(v) for v in u[:2]]
        return warped(x, [[1 / factors[0], 0], [0, 1 / factors[1]]])
    angle = math.radians(90 * (float(u[0]) - 0.5))
    return warped(x, [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


ORACLES = {
    "color": coloured, "crop": cropped, "cutout": cut,
    "flip": flipped, "scale": scaled, "rotate": rotated,
    "dc": as_dc,
}  # fmt: skip


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_are_those_written_out(name, augmentation):
    x = images()
    numbers = torch.rand((6, 3), generator=generator(3), dtype=torch.float64)
    numbers[:3, 2] = torch.tensor([0.1, 0.5, 0.9])  # all three of "dc"
    found = augmentation(x, Draw(name, numbers)).reshape(6, *SHAPE)
    for k in range(6):
        expected = ORACLES[name](x[k].reshape(SHAPE), numbers[k])
        torch.testing.assert_close(found[k], expected, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("name", OPERATIONS)
def test_one_draw_for_all_images_and_networks(name, augmentation):
    draw = Draw(name, torch.rand((1, 3), generator=generator(4)))
    x = images(6)
    apart = torch.cat([augmentation(row[None], draw) for row in x])
    torch.testing.assert_close(augmentation(x, draw), apart)
    torch.testing.assert_close(augmentation(x.reshape(2, 3, D), draw).reshape(6, D), apart)


@pytest.mark.parametrize("name", OPERATIONS)
def test_gradients(name, augmentation):
    draw = Draw(name, torch.rand((1, 3), generator=generator(5)))
    assert torch.autograd.gradcheck(
        lambda x: augmentation(x, draw), images(2).requires_grad_(), fast_mode=True
    )


def test_all_operations_are_drawn_and_repeat_with_the_seed():
    state = torch.get_rng_state()
    first, second = (Augmentation(COLOURED, SHAPE, generator(2)) for _ in range(2))
    draws = [first.draw() for _ in range(100)]
    assert {draw.name for draw in draws} == set(OPERATIONS) - {"dc"}
    for draw in draws:
        again = second.draw()
        assert again.name == draw.name and torch.equal(again.numbers, draw.numbers)
    assert first.draw(7).numbers.shape == (7, 3)
    assert torch.equal(torch.get_rng_state(), state)


def test_auto_leaves_digits_unmirrored_and_vectors_alone():
    assert resolve_strategy("auto", (3, 32, 32)) == COLOURED
    assert resolve_strategy("auto", (1, 28, 28)) == WITHOUT_FLIP
    assert resolve_strategy("auto", None) is None
    assert make_augmentation(None, (1, 28, 28), generator()) is None
    assert make_augmentation("crop_flip", (1, 28, 28), generator()).names == ["crop", "flip"]


@pytest.mark.parametrize(
    ("augment", "shape", "message"),
    [
        ("crop_blur", SHAPE, "augment='crop_blur' is unknown; use 'auto', None"),
        ("", SHAPE, "augment='' is unknown"),
        (3, SHAPE, "augment=3 is unknown"),
        ("crop", None, "augment='crop' needs images: give image_shape"),
    ],
)
def test_bad_strategies_are_named(augment, shape, message):
    with pytest.raises(ValueError, match=message):
        resolve_strategy(augment, shape)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", OPERATIONS)
def test_cuda_agrees_with_the_cpu(name, augmentation):
    draw = Draw(name, torch.rand((6, 3), generator=generator(6)))
    x = images().float()
    torch.testing.assert_close(augmentation(x.cuda(), draw).cpu(), augmentation(x, draw))
