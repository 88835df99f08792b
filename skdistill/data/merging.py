"""Several small sets as one: rows below each other, classes united, weights as they are.

Sets of disjoint parts of a data set add up: their union stands for all of it. That is the merge
step of merge-and-reduce, and all that another engine needs to run it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
from scipy import sparse

from .._input.frames import column_names, is_frame, is_pandas

_TEXT = "OUS"


def concatenate(parts: Sequence[Any]) -> dict[str, Any]:
    """Put the fields of several sets below each other.

    Parameters
    ----------
    parts : sequence of DistilledData
        At least one.

    Returns
    -------
    dict
        Arguments of a DistilledData, without `predictor_params`, which belong to one set of rows.
        `indices` are those of the parts as they stand, None where a part has none.

    Raises
    ------
    ValueError
        If there are no parts, or they differ in columns, in having a target, or in its form.
    TypeError
        If the rows differ in form.
    """
    if not parts:
        raise ValueError("concat needs at least one small set, got an empty list.")
    rows = [part.X for part in parts]
    _check_columns(rows, [part.feature_names for part in parts])
    labels = [part.y for part in parts]
    _check_labels(labels)
    classes = _united_classes(parts)
    indices = [part.indices for part in parts]
    return {
        "X": concatenate_rows(rows),
        "y": None if labels[0] is None else np.concatenate(labels),
        "sample_weight": np.concatenate([part.sample_weight for part in parts]),
        "targets": _targets(parts, classes),
        "classes": classes,
        "indices": None if any(i is None for i in indices) else np.concatenate(indices),
        "feature_names": parts[0].feature_names,
    }


def concatenate_rows(rows: Sequence[Any]) -> Any:
    """Rows of the same form, arrays, CSR matrices or DataFrames, below each other."""
    if len(rows) == 1:
        return rows[0]
    forms = {_form(X) for X in rows}
    if len(forms) > 1:
        raise TypeError(
            f"The parts hold rows of different forms, {sorted(forms)}; convert them to one first."
        )
    if is_frame(rows[0]):
        return _concatenate_frames(rows)
    if sparse.issparse(rows[0]):
        return sparse.vstack(rows, format="csr")
    return np.concatenate(rows)


def _form(X: Any) -> str:
    if is_frame(X):
        return f"DataFrame of {type(X).__module__.partition('.')[0]}"
    return "CSR matrix" if sparse.issparse(X) else "array"


def _concatenate_frames(frames: Sequence[Any]) -> Any:
    """Frames below each other; categories that differ are united and not lost to text."""
    if not is_pandas(frames[0]):
        return nw.concat([nw.from_native(frame, eager_only=True) for frame in frames]).to_native()
    import pandas as pd
    from pandas.api.types import union_categoricals

    whole = pd.concat(frames)
    for position in range(frames[0].shape[1]):
        columns = [frame.iloc[:, position] for frame in frames]
        if len({column.dtype for column in columns}) > 1 and all(
            isinstance(column.dtype, pd.CategoricalDtype) for column in columns
        ):
            united = union_categoricals(columns, ignore_order=True)
            whole.isetitem(position, pd.Series(united, index=whole.index))
    return whole


def _check_columns(rows: Sequence[Any], names: Sequence[Any]) -> None:
    for number, (X, own) in enumerate(zip(rows, names, strict=True)):
        if X.shape[1] != rows[0].shape[1]:
            raise ValueError(
                f"Part {number} has {X.shape[1]} features, part 0 has {rows[0].shape[1]}; "
                "all parts need the same columns."
            )
        if (own is None) != (names[0] is None) or (own is not None and (own != names[0]).any()):
            raise ValueError(
                f"The feature names of part {number} are {own}, those of part 0 {names[0]}; "
                "all parts need the same columns in the same order."
            )
        if not (is_frame(X) and is_frame(rows[0])):
            continue
        if (here := column_names(X)) != (first := column_names(rows[0])):
            raise ValueError(
                f"The columns of part {number} are {here}, those of part 0 "
                f"{first}; all parts need the same columns in the same order."
            )


def _check_labels(labels: Sequence[Any]) -> None:
    first = labels[0]
    for number, y in enumerate(labels):
        if (y is None) != (first is None):
            without, with_ = (number, 0) if y is None else (0, number)
            raise ValueError(
                f"Part {without} has no y, part {with_} has; make all parts with a target or none."
            )
        if y is None:
            continue
        if y.shape[1:] != first.shape[1:]:
            raise ValueError(
                f"y of part {number} has shape {y.shape}, that of part 0 {first.shape}; all parts "
                "need the same outputs."
            )
        if (y.dtype.kind in _TEXT) != (first.dtype.kind in _TEXT):
            raise ValueError(
                f"y of part {number} has dtype {y.dtype}, that of part 0 {first.dtype}; numbers "
                "would become text: convert y before the parts are made."
            )


def _united_classes(parts: Sequence[Any]) -> Any:
    """Classes of any part; those of a part that does not tell are the labels of its rows."""
    given = [part.classes for part in parts]
    if all(classes is None for classes in given):
        return None
    if any(isinstance(classes, list) for classes in given):
        if not all(isinstance(c, list) and len(c) == len(given[0]) for c in given):
            raise ValueError("The parts must all have classes for the same number of outputs.")
        return [reduce(np.union1d, columns) for columns in zip(*given, strict=True)]
    known = [p.classes if p.classes is not None else np.unique(p.y) for p in parts]
    return reduce(np.union1d, known)


def _targets(parts: Sequence[Any], classes: Any) -> np.ndarray | None:
    """Soft labels in the columns of the united classes; None where a part has none."""
    if any(part.targets is None for part in parts):
        return None
    if not isinstance(classes, np.ndarray):
        if len({part.targets.shape[1] for part in parts}) > 1:
            raise ValueError("The targets of the parts have different numbers of columns.")
        return np.concatenate([part.targets for part in parts])
    found = []
    for number, part in enumerate(parts):
        own = part.classes
        if own is None or len(own) != part.targets.shape[1]:
            raise ValueError(
                f"Part {number} has {part.targets.shape[1]} columns of targets, which its classes "
                f"{own} do not name."
            )
        wide = np.zeros((len(part.targets), len(classes)), dtype=part.targets.dtype)
        wide[:, np.searchsorted(classes, own)] = part.targets
        found.append(wide)
    return np.concatenate(found)
