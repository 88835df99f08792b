"""What stored sets, and fits, do without: torch, pandas, and the callbacks of scikit-learn 1.9."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import skdistill
from skdistill import DistilledData, SensitivityCoreset
from skdistill.networks import ConvFeatures

READ = """
import pickle, sys
from pathlib import Path
import sklearn.compose, sklearn.linear_model
sys.modules |= {"pandas": None, "sklearn.callback": None}
from skdistill import DistilledData
folder = Path(sys.argv[1])
coreset, features = (
    pickle.loads((folder / name).read_bytes()) for name in ("coreset.pkl", "features.pkl")
)
print(len(coreset.distilled_.X), len(features.get_feature_names_out()))
small = DistilledData.load(folder / "small.npz")
small.save(folder / "again.npz")
print(len(small), "torch" in sys.modules)

del sys.modules["pandas"]  # which scikit-learn looks at
import numpy as np
from skdistill import DatasetDistiller, DistilledRegressor
X = np.random.default_rng(0).normal(size=(60, 3))
distiller = DatasetDistiller(5, max_iter=3, early_stopping=False, random_state=0)
model = DistilledRegressor(distiller=distiller)
print(hasattr(distiller, "set_callbacks"), len(distiller.fit_distill(X, X[:, 0])))
print(hasattr(model, "set_callbacks"), len(model.fit(X, X[:, 0]).distilled_))
"""


def test_stored_sets_are_read_and_rows_learnt_in_a_bare_process(digits, tmp_path):
    X, _, y, _ = digits
    coreset = SensitivityCoreset(20, loss="kernel_ridge", random_state=0).fit(X[:300], y[:300])
    features = ConvFeatures((1, 8, 8), 6, patch_size=3, n_components=12, random_state=0)
    (tmp_path / "coreset.pkl").write_bytes(pickle.dumps(coreset))
    (tmp_path / "features.pkl").write_bytes(pickle.dumps(features.fit(X[:40])))
    coreset.distilled_.save(tmp_path / "small.npz")
    done = subprocess.run(
        [sys.executable, "-c", READ, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": str(Path(skdistill.__file__).parents[1])},
        capture_output=True,
        text=True,
    )
    read, *fitted = done.stdout.split("False", 1)
    assert (read.split(), done.stderr) == (["20", "12", "20"], "")  # and torch is not there
    assert fitted[0].split() == ["False", "5"] * 2  # as in versions before 1.9
    assert len(DistilledData.load(tmp_path / "again.npz")) == 20
