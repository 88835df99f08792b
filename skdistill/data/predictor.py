"""The kernel ridge predictor of a learnt set, rebuilt with scikit-learn alone.

Rows and targets do not say which kernel they were learnt for. A few plain numbers beside them do.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from sklearn.compose import TransformedTargetRegressor
from sklearn.gaussian_process.kernels import RBF
from sklearn.kernel_ridge import KernelRidge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

OF_LENGTH_SCALE = {"rbf": (), "mirror_rbf": ("n_odd",)}
SCALED = {"laplacian": ("gamma",), "linear": (), "polynomial": ("gamma", "degree", "coef0")}
KERNELS = {**OF_LENGTH_SCALE, **SCALED}  # with the numbers that they need


def as_predictor_params(params: Any, n_features: int) -> dict[str, Any] | None:
    """Return parameters of the predictor as text, floats and float64 arrays."""
    if params is None:
        return None
    if not isinstance(params, Mapping):
        raise TypeError(f"predictor_params must be a mapping or None, got {params!r}.")
    kernel = str(params.get("kernel"))
    if kernel not in KERNELS:
        raise ValueError(
            f"predictor_params has kernel={kernel!r}; use one of {tuple(KERNELS)}, or None."
        )
    of_features = ("length_scale",) if kernel in OF_LENGTH_SCALE else ("shift", "factor")
    numbers = ("alpha", *KERNELS[kernel])
    expected = {"kernel", "intercept", *of_features, *numbers}
    if set(params) - {"temperature"} != expected:
        raise ValueError(
            f"predictor_params of the kernel {kernel!r} needs the keys {sorted(expected)}, got "
            f"{sorted(params)}."
        )
    found: dict[str, Any] = {"kernel": kernel}
    for name in (*numbers, *({"temperature"} & set(params))):
        found[name] = float(params[name])
    for name in of_features:
        found[name] = np.asarray(params[name], dtype=np.float64)
        if found[name].shape != (n_features,):
            raise ValueError(
                f"predictor_params has {name} of shape {found[name].shape}; X needs "
                f"({n_features},)."
            )
    found["intercept"] = np.asarray(params["intercept"], dtype=np.float64)
    n_odd = found.get("n_odd", 1.0)
    if not (n_odd.is_integer() and 1 <= n_odd <= n_features):
        raise ValueError(
            f"predictor_params has n_odd={n_odd:g}; it must be a whole number from 1 to "
            f"{n_features}, the number of features."
        )
    return found


def describe(
    kernel: Any, shift: np.ndarray, factor: np.ndarray, alpha: float, intercept: np.ndarray
) -> dict[str, Any] | None:
    """Parameters of a predictor whose kernel works on ``(x - shift) * factor``.

    None for a kernel that scikit-learn does not have.
    """
    common = {"alpha": alpha, "intercept": intercept}
    if not isinstance(kernel.name, str) or kernel.name not in KERNELS:
        return None
    own = {name: getattr(kernel, name) for name in KERNELS[kernel.name]}
    if kernel.name in OF_LENGTH_SCALE:
        with np.errstate(divide="ignore"):
            scale = 1 / (np.sqrt(2 * kernel.gamma) * factor)
        return {"kernel": kernel.name, "length_scale": scale, **own, **common}
    return {"kernel": kernel.name, "shift": shift, "factor": factor, **own, **common}


def fit_predictor(X: Any, targets: Any, params: dict[str, Any] | None) -> Any:
    """Fit kernel ridge regression on rows and targets; see `DistilledData.make_predictor`."""
    if params is None or targets is None:
        raise ValueError(
            "This set does not say which predictor it was learnt for: only sets of a "
            "DatasetDistiller with a target and one of the kernels "
            f"{tuple(KERNELS)} do. Train an estimator on it: estimator.fit(**small.normalized())."
        )
    alpha = params["alpha"]
    if params["kernel"] == "mirror_rbf":
        # Kernel ridge regression on rows and mirror images, with the same targets, gives both the
        # same coefficients: the predictor of the mean kernel, at half of the ridge.
        X = with_mirror_images(X, int(params["n_odd"]))
        targets, alpha = np.concatenate([targets, targets]), 2 * alpha
    if params["kernel"] in OF_LENGTH_SCALE:
        regressor: Any = KernelRidge(alpha=alpha, kernel=RBF(params["length_scale"]))
    else:
        own = {name: params[name] for name in SCALED[params["kernel"]]}
        regressor = make_pipeline(
            FunctionTransformer(partial(np.add, -params["shift"])),
            FunctionTransformer(partial(np.multiply, params["factor"])),
            KernelRidge(alpha=alpha, kernel=params["kernel"], **own),
        )
    # KernelRidge has no intercept: it is taken from the targets and added to what is predicted.
    model = TransformedTargetRegressor(
        regressor,
        func=partial(np.add, -params["intercept"]),
        inverse_func=partial(np.add, params["intercept"]),
        check_inverse=False,
    )
    return model.fit(X, targets)


def with_mirror_images(X: Any, n_odd: int) -> Any:
    """Rows (m, d), then the same with another sign of the last features: (2 m, d)."""
    values = np.asarray(X)
    sign = np.ones(values.shape[1], dtype=values.dtype)
    sign[-n_odd:] = -1
    both = np.concatenate([values, values * sign])
    return type(X)(both, columns=X.columns) if hasattr(X, "iloc") else both
