"""Lines that `verbose` prints."""

import re

from sklearn.datasets import load_iris

from skdistill import DatasetDistiller
from skdistill.learning.progress import Look, Progress


def test_time_left_is_that_of_the_stage():
    said, now = [], iter([100.0, 104.0, 500.0, 507.0, 900.0])
    tell = Progress(said.append, clock=lambda: next(now))
    for part, step, score in (("part 1 of 2", 0, 0.5), ("part 1 of 2", 20, 0.75)):
        tell(Look(part, "solve", step, 60, score))
    for step in (0, 10, 1000):
        tell(Look("", "learn", step, 1000, None))
    assert said == [
        "part 1 of 2, solve, step 0 of 60: score 0.5000",
        "part 1 of 2, solve, step 20 of 60: score 0.7500, 8 s left of it",
        "learn, step 0 of 1000",
        "learn, step 10 of 1000, 12 min left of it",
        "learn, step 1000 of 1000",
    ]


def test_verbose_names_parts_and_stages(capsys):
    X, y = load_iris(return_X_y=True)
    DatasetDistiller(6, max_iter=8, verbose=1, random_state=0).fit(X, y)
    told = capsys.readouterr().out
    for part in range(1, 6):
        assert re.search(rf"part {part} of 5, solve, step \d of \d: score [01].\d+", told)
    assert re.search(r"\] solve, step \d of \d", told)  # on all rows, none held out
