"""The picture that the command line draws."""

from __future__ import annotations

import matplotlib
import matplotlib.image
import matplotlib.pyplot as plt
import numpy as np
import pytest


@pytest.mark.parametrize("source", ["digits", "diabetes"])
def test_picture(run, source, tmp_path):
    path = tmp_path / "small.png"
    figures = plt.get_fignums()
    output = run(source, "-n", 40, "--picture", path)
    assert output.endswith(f"drew {path}\n")
    image = matplotlib.image.imread(path)
    height, width, _ = image.shape
    assert width == 1800 and height >= 600
    left, right = image[:, : width // 2, :3], image[:, width // 2 :, :3]
    assert np.mean(left < 0.95) > 0.02 and np.mean(right < 0.95) > 0.002  # neither panel is blank
    assert plt.get_fignums() == figures


def test_picture_of_coloured_images(run, tmp_path):
    images = np.random.default_rng(0).random((60, 4, 5, 3))
    np.savez(tmp_path / "images.npz", X=images, y=np.arange(60) % 2)
    told = run(tmp_path / "images.npz", "-n", 8, "--picture", tmp_path / "small.png")
    assert told.endswith("small.png\n")


def test_picture_of_a_mixed_table(run, houses_csv, tmp_path):
    run(houses_csv, "-n", 40, "--picture", tmp_path / "small.svg")
    text = (tmp_path / "small.svg").read_text(encoding="utf-8")
    assert text.startswith("<?xml")


def test_backend_is_left_alone(run, tmp_path):
    before = matplotlib.rcParams["backend"]
    run("diabetes", "-n", 20, "--picture", tmp_path / "small.pdf")
    assert matplotlib.rcParams["backend"] == before
