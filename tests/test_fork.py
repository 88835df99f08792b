"""A process forked from one that has worked in threads fits too: their pools are not copied."""

from __future__ import annotations

# A process of its own: other tests have set threads, and a child that hangs ends with it.
PROGRAM = """
import os, signal, sys, warnings
import numpy as np
import torch
from skdistill import DatasetDistiller, SensitivityCoreset
from skdistill._device import blas_threads, one_blas_thread, set_blas_threads

warnings.simplefilter("ignore")
torch.set_num_threads(2)
set_blas_threads([2] * len(blas_threads()))
rng = np.random.default_rng(0)
X = rng.normal(size=(200, 6))
y = (X[:, 0] * X[:, 1] > 0).astype(int)
A = torch.randn(500, 500)

def fits():
    coreset = SensitivityCoreset(20, loss="kernel_ridge", random_state=0).fit_distill(X, y)
    learnt = DatasetDistiller(8, max_iter=2, early_stopping=False, random_state=0).fit_distill(X, y)
    return [float(small.X.sum()) for small in (coreset, learnt)]

def child(work):
    pid = os.fork()
    if not pid:
        signal.alarm(240)  # ends a child that hangs
        try:
            work()
        except BaseException as error:
            print(repr(error), flush=True)
            os._exit(1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0, "the child did not end"

def same():
    assert torch.get_num_threads() == 1
    np.testing.assert_allclose(fits(), expected, rtol=1e-3)

expected = fits()
A @ A  # in two threads, whose pool is alive when the process forks
np.ones((500, 500)) @ np.ones((500, 500))
with one_blas_thread()._lock:  # as if another thread began a fit at this moment
    child(same)
assert torch.get_num_threads() == 2 and set(blas_threads()) == {2}
"""


def test_a_forked_process_fits(forking):
    done = forking.run(PROGRAM)
    assert done.returncode == 0, done.stdout + done.stderr
