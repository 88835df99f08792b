"""A process that ends at any moment over a good file leaves the old file or the new one, whole."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from skdistill import DistilledData

ROWS = (900, 1100)
KILLS = {".npz": 20, ".csv": 20, ".parquet": 10}
# Imports once, then forks a writer for each kill: importing anew would take nearly all the time.
WRITERS = """
import json, os, signal, sys
from types import SimpleNamespace
import numpy as np
from skdistill import DistilledData
from skdistill.cli.writing import _write_whole

folder, plan = sys.argv[1:]
rng = np.random.default_rng(0)
sets = [DistilledData(rng.normal(size=(n, 8)), np.arange(n) % 2) for n in (900, 1100)]

def write(small):
    path = folder + "/small" + suffix
    table = SimpleNamespace(suffix=suffix, separator=",")
    if suffix == ".npz":
        small.save(path)
    else:
        _write_whole(small.to_pandas(), table, path, suffix, index=False)

for suffix, seconds in json.loads(plan).items():
    write(sets[0])
    for wait in seconds:
        child = os.fork()
        if not child:  # the kernel ends it, after so much work, as SIGKILL does: with no last word
            signal.setitimer(signal.ITIMER_PROF, wait)
            while True:
                for small in reversed(sets):
                    write(small)
        _, status = os.waitpid(child, 0)
        print("killed" if os.WIFSIGNALED(status) else status, flush=True)
        sys.stdin.readline()
"""


def n_rows(path, suffix: str) -> int:
    if suffix == ".npz":
        return len(DistilledData.load(path))
    frame = pd.read_csv(path) if suffix == ".csv" else pd.read_parquet(path)
    assert not frame.isna().any(axis=None)
    return len(frame)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="ends copies of a process that is ready")
def test_a_killed_writer_leaves_a_whole_file(tmp_path):
    rng = np.random.default_rng(0)
    plan = {suffix: rng.uniform(0.001, 0.1, n).round(4).tolist() for suffix, n in KILLS.items()}
    command = [sys.executable, "-c", WRITERS, str(tmp_path), json.dumps(plan)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as p:
        for suffix, n_kills in KILLS.items():
            found = []
            for _ in range(n_kills):
                assert p.stdout.readline() == "killed\n"
                found.append(n_rows(tmp_path / f"small{suffix}", suffix))
                p.stdin.write("\n")
                p.stdin.flush()
            assert set(found) <= set(ROWS) and ROWS[1] in found
    assert p.returncode == 0
