"""A process that ends at any moment over a good file leaves the old file or the new one, whole."""

from __future__ import annotations

import json

import numpy as np

ROWS = (900, 1100)
KILLS = {".npz": 20, ".csv": 20, ".parquet": 10}
# Forks a writer for each kill, and tells how many rows the file then has.
WRITERS = """
import json, os, signal, sys
from types import SimpleNamespace
import numpy as np
import pandas as pd
from skdistill import DistilledData
from skdistill.cli.writing import _write_whole

folder, plan = sys.argv[1:]
rng = np.random.default_rng(0)
sets = [DistilledData(rng.normal(size=(n, 8)), np.arange(n) % 2) for n in (900, 1100)]

def write(small):
    table = SimpleNamespace(suffix=suffix, separator=",")
    if suffix == ".npz":
        small.save(path)
    else:
        _write_whole(small.to_pandas(), table, path, suffix, index=False)

def n_rows():
    if suffix == ".npz":
        return len(DistilledData.load(path))
    frame = pd.read_csv(path) if suffix == ".csv" else pd.read_parquet(path)
    assert not frame.isna().any(axis=None)
    return len(frame)

found = {}
for suffix, seconds in json.loads(plan).items():
    path = folder + "/small" + suffix
    write(sets[0])
    found[suffix] = []
    for wait in seconds:
        child = os.fork()
        if not child:  # the kernel ends it, after so much work, as SIGKILL does: with no last word
            signal.setitimer(signal.ITIMER_PROF, wait)
            while True:
                for small in reversed(sets):
                    write(small)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), status
        found[suffix].append(n_rows())
print(json.dumps(found))
"""


def test_a_killed_writer_leaves_a_whole_file(tmp_path, forking):
    rng = np.random.default_rng(0)
    plan = {suffix: rng.uniform(0.001, 0.1, n).round(4).tolist() for suffix, n in KILLS.items()}
    done = forking.run(WRITERS, str(tmp_path), json.dumps(plan))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert {suffix: len(rows) for suffix, rows in found.items()} == KILLS
    for rows in found.values():
        assert set(rows) <= set(ROWS) and ROWS[1] in rows
