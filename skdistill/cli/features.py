"""Numbers of the columns of any table, by the encoding of ``preprocessor="auto"``.

The encoding is learnt once, from all training rows: what a column is and how a text becomes numbers
cannot be told from a small set.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.preprocessing import StandardScaler

from .._input.frames import take_rows
from ..tables import InfiniteTableError, TableEncoder, UnreadableTableError
from .table import InputError, Table


@dataclass
class Features:
    """Encoded rows, and the way back to the units of the table.

    Attributes
    ----------
    train, test : ndarray of shape (n_samples, n_features)
        Without gaps, of a common scale.

    names : list of str
        Of the features.

    description : str
        What the columns were taken for.

    in_units : callable
        Features as `train` -> the same in the units of the table.
    """

    train: np.ndarray
    test: np.ndarray
    names: list[str]
    description: str
    in_units: Callable[[np.ndarray], np.ndarray]


def encode(table: Table, train: np.ndarray, test: np.ndarray) -> Features:
    """Encode the rows of a table.

    Parameters
    ----------
    table : Table
        What was read.

    train, test : ndarray of int
        Positions of its rows; the encoding is learnt from the former.

    Returns
    -------
    Features
        Numbers are standardised; the pixels of images are divided by one number.

    Raises
    ------
    InputError
        If columns can be encoded neither as numbers nor as dates, categories or texts.
    """
    encoder = TableEncoder()
    X = take_rows(table.X, train)
    Z = fit_encoder(encoder, X)
    with _naming_columns():  # those of the test rows too
        Z_test = encoder.transform(take_rows(table.X, test)) if len(test) else Z[:0]
    said = encoder.describe()
    names = [str(name) for name in encoder.get_feature_names_out()]
    in_units = encoder.inverse_scale
    if table.frame is None:
        names = table.feature_names or [f"x{j}" for j in names]
        scaler = StandardScaler(with_mean=not table.is_images).fit(Z)
        if table.is_images:  # no pixel counts for more than another
            scaler.scale_ = np.full(Z.shape[1], Z.std() or 1.0)
            said += " scaled together"
        Z, in_units = scaler.transform(Z), scaler.inverse_transform
        Z_test = scaler.transform(Z_test) if len(test) else Z[:0]
    return Features(Z, Z_test, names, said + _say_missing(X), in_units)


def fit_encoder(encoder: TableEncoder, X: Any) -> np.ndarray:
    """Fit an encoder to rows; what cannot be encoded is named in one line.

    Parameters
    ----------
    encoder : TableEncoder
        Fitted in place.

    X : ndarray or DataFrame
        The rows.

    Returns
    -------
    ndarray of shape (n_samples, n_features)

    Raises
    ------
    InputError
        Names all columns that are in the way.
    """
    with _naming_columns():
        return np.asarray(encoder.fit_transform(X))


@contextmanager
def _naming_columns() -> Iterator[None]:
    try:
        yield
    except (UnreadableTableError, InfiniteTableError) as error:
        told = "; ".join(f"column {name!r} holds {what}" for name, what in error.columns.items())
        drop = shlex.quote(",".join(map(str, error.columns)))
        raise InputError(f"{told}; leave out with --drop {drop}, or mend the file") from error
    except (ValueError, ImportError) as error:
        raise InputError(str(error)) from error


def _say_missing(X: Any) -> str:
    """Tell how many cells are empty."""
    missing = X.isna().to_numpy() if hasattr(X, "isna") else X != X
    count = int(missing.sum())
    return f", {f'{count:,}' if count else 'no'} value{'s' * (count > 1)} missing"
