"""Few rows: 20 and 50 rows learnt from 300 and 1,000, against chosen rows with solved labels.

For each seed a part of the table is drawn to learn from; up to 5,000 other rows are the test part.
The chosen rows get the best labels for the rows they were chosen from, with gamma and ridge tuned
on a fifth of these. Differences are paired by seed. Seconds are process CPU seconds.
"""

from __future__ import annotations

import numpy as np
from _report import dot_chart, mean_and_error, parser, save
from _rivals import Table, solved_labels
from learning import learnt, read
from sklearn.model_selection import train_test_split

TABLES = ("california_housing", "friedman", "digits", "noisy")
SIZES = (300, 1000)
BUDGETS = (20, 50)
RIVALS = ("k-means", "uniform")
TEST_ROWS = 5000


def draw(X: np.ndarray, y: np.ndarray, n: int, seed: int) -> Table:
    """Part of `n` rows to learn from and a test part, of all classes where there are such."""
    stratify = None if y.dtype.kind == "f" else y
    test = min(TEST_ROWS, len(X) - n - len(np.unique(y)) if stratify is not None else len(X) - n)
    parts = train_test_split(
        X, y, train_size=n, test_size=test, random_state=seed, stratify=stratify
    )
    return Table(*parts)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--tables", nargs="+", default=TABLES, help="which tables")
    args = options.parse_args()
    rows, values = [], {}
    for name in args.tables:
        X, y = read(name, args.data)
        for n in SIZES:
            for m in BUDGETS:
                if y.dtype.kind != "f" and m < len(np.unique(y)):
                    continue  # fewer rows than classes
                tables = [draw(X, y, n, seed) for seed in range(args.seeds)]
                made = [learnt(table, m, seed) for seed, table in enumerate(tables)]
                score = np.array([o.score for o in made])
                found = {"learnt": score}
                for how in RIVALS:
                    found[how] = np.array(
                        [solved_labels(t, m, how, seed).score for seed, t in enumerate(tables)]
                    )
                scores = [mean_and_error(found[how]) for how in found]
                gains = [mean_and_error(score - found[how]) for how in RIVALS]
                cost = mean_and_error([o.fit for o in made])
                rows.append([name, n, m, *scores, *gains, cost])
                values[f"{name}\n{m} of {n}"] = dict(zip(found, scores, strict=True))
                print(rows[-1], flush=True)
        # After every table: an interrupted run keeps what it has.
        figure = dot_chart(values, "R² or accuracy", "Rows learnt from few, and chosen from few")
        header = ["table", "n", "m", *found, "over k-means", "over uniform", "fit CPU s"]
        save("learning_small", args.out, header, rows, vars(args), figure)


if __name__ == "__main__":
    main()
