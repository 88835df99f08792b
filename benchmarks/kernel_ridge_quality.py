"""Worst relative error of the kernel ridge loss on m weighted rows, over adversarial functions.

The functions are the closed-form maximisers of single rows' shares in the loss (for the rows of
largest sensitivity and for random rows, in three sizes and both directions), and ridge solutions of
random subsets. The error of a weighted sample is ``|L_S(f) / L(f) - 1|``, the ridge term being kept
and not sampled. Below 3,000 rows the scores are exact; above, they come from landmarks.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg
from _report import dot_chart, load_table, mean_and_error, parser, save
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import StandardScaler

from skdistill import SensitivityCoreset

TABLES = ("california_housing", "letter", "friedman")
SIZES = (2500, 8000)
CHOOSERS = {
    "uniform": {"uniform_mixing": 1.0},
    "uniform_mixing=0": {"uniform_mixing": 0.0},
    "uniform_mixing=0.2": {"uniform_mixing": 0.2},
    "uniform_mixing=0.5 (default)": {},
    "0.5, iid": {"sampling": "iid"},
}


def read(table: str, n: int, folder, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Standardised random rows and target of a table."""
    X, y = load_table(table, folder)
    rows = np.random.default_rng(seed).permutation(len(X))[:n]
    X = StandardScaler().fit_transform(X[rows])
    return X, y[rows]


class Problem:
    """One kernel ridge problem, solved exactly, with its adversarial functions."""

    def __init__(self, X: np.ndarray, y: np.ndarray, alpha: float, m: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        n = len(X)
        Y = y[:, None] if y.dtype.kind == "f" else (y[:, None] == np.unique(y)).astype(float)
        Y = Y - Y.mean(0)
        K = rbf_kernel(X, gamma=1 / X.shape[1])
        C = K.copy()
        C[np.diag_indices(n)] += alpha
        factor = scipy.linalg.cho_factor(C, lower=True, overwrite_a=True)
        A = scipy.linalg.cho_solve(factor, Y)
        residual = -alpha * A
        optimum = alpha * float((Y * A).sum())
        norm2 = float((A * (K @ A)).sum())
        inverse_diagonal = np.empty(n)
        for block in np.array_split(np.arange(n), max(1, n // 1000)):
            unit = np.zeros((n, len(block)))
            unit[block, np.arange(len(block))] = 1
            inverse_diagonal[block] = scipy.linalg.cho_solve(factor, unit)[block, range(len(block))]
        s = 1 - alpha * inverse_diagonal + (residual**2).sum(1) / optimum
        chosen = np.unique(np.r_[np.argsort(-s)[:60], rng.choice(n, 40, replace=False)])
        self.row_losses, self.penalties = [], []
        for i in chosen:
            h = scipy.linalg.cho_solve(factor, K[:, i])  # g = sum_j h_j k(x_j, .)
            g = K @ h
            excess = float((g**2).sum() + alpha * (h @ g))
            direction = residual[i] / max(float(np.linalg.norm(residual[i])), 1e-12)
            cross = float(direction @ (A * g[:, None]).sum(0))
            for size in (0.3, 1.0, 3.0):
                for sign in (-1, 1):
                    t = sign * size * np.sqrt(optimum / excess)
                    moved = residual + t * g[:, None] * direction
                    penalty = alpha * (norm2 + 2 * t * cross + t**2 * float(h @ g))
                    self._add(moved, penalty)
        for _ in range(24):
            rows = rng.permutation(n)[:m]
            ridge = alpha * m / n * np.eye(m)
            a = scipy.linalg.solve(K[np.ix_(rows, rows)] + ridge, Y[rows], assume_a="pos")
            f = K[:, rows] @ a
            self._add(f - Y, alpha * float((a * f[rows]).sum()))

    def _add(self, residual: np.ndarray, penalty: float) -> None:
        self.row_losses.append((residual**2).sum(1))
        self.penalties.append(penalty)

    def worst_error(self, rows: np.ndarray, weight: np.ndarray) -> float:
        """Largest relative error over the functions."""
        losses, penalties = np.array(self.row_losses), np.array(self.penalties)
        estimate = losses[:, rows] @ weight + penalties
        return float(np.abs(estimate / (losses.sum(1) + penalties) - 1).max())


def main() -> None:
    options = parser(__doc__)
    options.add_argument("-m", type=int, default=300)
    args = options.parse_args()
    rows = []
    for table in TABLES:
        for n in SIZES:
            X, y = read(table, n, args.data, 0)
            first = SensitivityCoreset(args.m, loss="kernel_ridge", random_state=0).fit(X, y)
            problem = Problem(X, y, first.alpha_, args.m, 0)
            for name, given in CHOOSERS.items():
                errors = []
                for seed in range(4 * args.seeds):
                    made = SensitivityCoreset(
                        args.m, loss="kernel_ridge", alpha=first.alpha_, random_state=seed, **given
                    )
                    small = made.fit_distill(X, y)
                    errors.append(problem.worst_error(small.indices, small.sample_weight))
                rows.append([table, n, name, mean_and_error(errors)])
                print(rows[-1], flush=True)
    values: dict = {}
    for table, n, name, error in rows:
        values.setdefault(f"{table}\nn = {n}", {})[name] = error
    title = f"Kernel ridge loss on {args.m} weighted rows, over adversarial functions"
    figure = dot_chart(values, "worst relative error", title, log=True)
    header = ["table", "rows", "drawn with", "worst error"]
    save("kernel_ridge_quality", args.out, header, rows, vars(args), figure)


if __name__ == "__main__":
    main()
