"""The panels of a display: rows by position, rows as images, scores. Each draws to given axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

MAX_LEGEND = 10
MAX_IMAGE_LINES = 12
MAX_IMAGES_A_LINE = 30
SMALLEST_TILE = 0.3
INK = "#1b2a41"
RED = "#d1495b"
PALE = "#9aa5b1"


def draw_positions(
    ax: Any,
    positions: np.ndarray,
    small_positions: np.ndarray,
    weights: np.ndarray,
    values: Any,
    small_values: Any,
    classes: Any,
    target_name: str,
) -> None:
    """Scatter all rows, pale, and over them the small set, the area of a marker by weight."""
    # Rows far out matter most to a small set, so they stay in the picture: like logarithms
    # where they are rare, like the numbers themselves in the middle.
    widths = np.quantile(np.abs(positions), 0.9, axis=0) + np.finfo(float).tiny
    z, z_small = np.arcsinh(positions / widths), np.arcsinh(small_positions / widths)
    colour, mappable = _make_colours(values, classes)
    ax.scatter(*z.T, s=8, c=_paint(colour, values, len(z)), alpha=0.35, linewidths=0)
    named = classes is not None and max(len(str(name)) for name in classes) <= 2
    area = 170 * min(1.0, np.sqrt(60 / len(weights))) * weights / weights.max() + 10
    if named and len(classes) > MAX_LEGEND:
        area += 50
    order = np.argsort(-area)  # small markers stay visible on top of large ones
    ax.scatter(
        *z_small[order].T,
        s=area[order],
        c=_paint(colour, small_values, len(z_small))[order],
        edgecolors=INK,
        linewidths=0.7,
        alpha=0.9,
    )
    ax.set(
        xlabel="first principal component (arcsinh scale)",
        ylabel="second principal component",
        xticks=[],
        yticks=[],
    )
    ax.spines[["top", "right"]].set_visible(False)
    if mappable is not None:
        ax.figure.colorbar(mappable, ax=ax, label=target_name, pad=0.02, extend="both")
    elif classes is not None and len(classes) <= MAX_LEGEND:
        for number, name in enumerate(classes):
            ax.scatter([], [], color=colour(number), edgecolors=INK, label=str(name))
        ax.legend(title=target_name, fontsize="small", framealpha=0.9)
    elif named:
        for (x, y), number in zip(z_small, small_values, strict=True):
            ax.text(x, y, str(classes[number]), fontsize=6, ha="center", va="center", color=INK)


def _make_colours(values: Any, classes: Any) -> tuple[Callable[[Any], Any], Any]:
    """Return a function from values to colours, and what a colour bar needs (numbers only)."""
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    if values is None:
        return lambda _: RED, None
    if classes is None:
        low, high = np.quantile(values, [0.02, 0.98])  # an outlier does not take all colours
        mappable = ScalarMappable(Normalize(low, high), colormaps["viridis"])
        return mappable.to_rgba, mappable
    if len(classes) <= MAX_LEGEND:
        return lambda number: colormaps["tab10"](np.asarray(number, dtype=int)), None

    def pastel(number: Any) -> Any:  # which the names of the classes can be read on
        colours = np.array(colormaps["rainbow"](np.asarray(number) / (len(classes) - 1)))
        colours[..., :3] = 0.4 + 0.6 * colours[..., :3]
        return colours

    return pastel, None


def _paint(colour: Callable[[Any], Any], values: np.ndarray | None, n: int) -> np.ndarray:
    """Return one colour for each of n rows."""
    return np.array([PALE] * n) if values is None else np.asarray(colour(values))


def draw_images(
    ax: Any,
    images: np.ndarray,
    weights: np.ndarray,
    values: Any,
    classes: Any,
) -> None:
    """Draw the small set as images, one line a class, heavy rows first and larger."""
    from matplotlib.colors import LinearSegmentedColormap

    ink = LinearSegmentedColormap.from_list("ink", ["#e8edf3", INK])
    lines = _image_lines(weights, values, classes)
    size = np.maximum(np.sqrt(weights / weights.max()), SMALLEST_TILE)
    low, high = images.min(), images.max()
    right = 0.0
    for line, (_, rows) in enumerate(lines):
        x = 0.0
        for row in rows[:MAX_IMAGES_A_LINE]:
            half = 0.46 * size[row]
            ax.imshow(
                (images[row] - low) / ((high - low) or 1.0),
                cmap=ink,
                vmin=0,
                vmax=1,
                extent=(x, x + 2 * half, line + half, line - half),
            )
            x += 2 * half + 0.08
        hidden = len(rows) - MAX_IMAGES_A_LINE
        if hidden > 0:
            ax.text(x + 0.1, line, f"+{hidden}", va="center", fontsize="small", color=INK)
            x += 1
        right = max(right, x)
    ax.set(xlim=(-0.2, right), ylim=(len(lines) - 0.4, -0.6), xticks=[], anchor="NW")
    ax.set_yticks(range(len(lines)), [name for name, _ in lines])
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)


def _image_lines(weights: np.ndarray, values: Any, classes: Any) -> list[tuple[str, np.ndarray]]:
    """Return name and rows of each line, heaviest first: a class, or a range of the target."""
    heavy_first = np.argsort(-weights, kind="stable")
    if classes is not None:
        return [
            (str(name), heavy_first[values[heavy_first] == number])
            for number, name in enumerate(classes[:MAX_IMAGE_LINES])
        ]
    n_lines = min(MAX_IMAGE_LINES, int(np.ceil(np.sqrt(len(weights) / 2))))
    if values is None:
        return [("", rows) for rows in np.array_split(heavy_first, n_lines)]
    parts = np.array_split(np.argsort(values, kind="stable"), n_lines)
    return [(f"{np.mean(values[rows]):.3g}", rows[np.argsort(-weights[rows])]) for rows in parts]


def draw_scores(ax: Any, scores: Mapping[str, Sequence[float]], score_name: str) -> None:
    """Draw each mean as a dot; of several scores also each one and the standard deviation."""
    colours = [INK, RED, "#66788a"]
    for line, (name, draws) in enumerate(scores.items()):
        values, mean = np.asarray(draws, dtype=float), float(np.mean(draws))
        colour = colours[min(line, len(colours) - 1)]
        if line == 0:
            ax.axvline(mean, color=colour, linestyle=":", linewidth=1)
        text = f"{mean:.3f}"
        if len(values) > 1:
            spread = float(np.std(values, ddof=1))
            text += f" \N{PLUS-MINUS SIGN} {spread:.3f}"
            span = [mean - spread, mean + spread]
            ax.plot(span, [line, line], color=colour, linewidth=3, alpha=0.4)
            ax.plot(values, np.full(len(values), line + 0.13), "|", color=colour, markersize=8)
        ax.plot(mean, line, "o", color=colour, markersize=11)
        ax.annotate(
            f"{name}   {text}",
            (0.0, line - 0.26),
            xycoords=("axes fraction", "data"),
            color=colour,
            fontweight="bold",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 2},
        )
    ax.set(ylim=(len(scores) - 0.6, -0.5), yticks=[], xlabel=score_name)
    ax.margins(x=0.15)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.set_title("A model trained on", loc="left")
