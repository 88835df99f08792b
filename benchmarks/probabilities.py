"""Log loss and Brier score of the learnt rows' probabilities: softmax against projection.

The outputs of one and the same predictor become probabilities in two ways: by the softmax whose
temperature was found on held-out rows (`predict_proba`), and by projection onto the probability
simplex, which is what is done where no rows are held out. Its zeros are raised to 1e-6 for the log
loss.
"""

from __future__ import annotations

import numpy as np
from _report import load_table, mean_and_error, parser, save
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from skdistill import DatasetDistiller, DistilledClassifier
from skdistill.meta._scores import project_onto_simplex

N_ROWS = {"breast cancer": 10, "digits": 20, "letter": 50}
FLOOR = 1e-6


def log_loss(p: np.ndarray, codes: np.ndarray) -> float:
    """Mean negative logarithm of the true class's probability, floored."""
    return -float(np.log(np.maximum(p[np.arange(len(p)), codes], FLOOR)).mean())


def brier(p: np.ndarray, codes: np.ndarray) -> float:
    """Mean squared distance from the one-hot class, between 0 and 2."""
    return float(np.square(p - np.eye(p.shape[1])[codes]).sum(1).mean())


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--max-iter", type=int, default=400)
    args = options.parse_args()
    rows = []
    for name, m in N_ROWS.items():
        if name == "breast cancer":
            X, y = load_breast_cancer(return_X_y=True)
        else:
            X, y = load_table(name, args.data)
        X, X_test, y, y_test = train_test_split(X, y, test_size=0.25, random_state=0, stratify=y)
        test_codes = np.searchsorted(np.unique(y), y_test)
        found = []
        for seed in range(args.seeds):
            distiller = DatasetDistiller(m, max_iter=args.max_iter, random_state=seed)
            model = DistilledClassifier(distiller=distiller).fit(X, y)
            outputs = model.distilled_.make_predictor().predict(X_test)
            soft, flat = model.predict_proba(X_test), project_onto_simplex(outputs)
            accuracy = float((soft.argmax(1) == test_codes).mean())
            losses = [f(p, test_codes) for f in (log_loss, brier) for p in (soft, flat)]
            found.append([accuracy, *losses])
        rows.append([name, m, *(mean_and_error(column) for column in zip(*found, strict=True))])
    header = ["table", "rows", "accuracy"]
    header += [f"{s}, {w}" for s in ("log loss", "Brier") for w in ("softmax", "projected")]
    save("probabilities", args.out, header, rows, vars(args))


if __name__ == "__main__":
    main()
