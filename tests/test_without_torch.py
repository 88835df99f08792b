"""What is stored is read without torch and pandas: one process for all kinds of files."""

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
sys.modules["pandas"] = None
from skdistill import DistilledData
folder = Path(sys.argv[1])
coreset, features = (
    pickle.loads((folder / name).read_bytes()) for name in ("coreset.pkl", "features.pkl")
)
print(len(coreset.distilled_.X), len(features.get_feature_names_out()))
small = DistilledData.load(folder / "small.npz")
small.save(folder / "again.npz")
print(len(small), "torch" in sys.modules)
"""


def test_what_is_stored_is_read_without_torch_and_pandas(digits, tmp_path):
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
    assert (done.stdout.split(), done.stderr) == (["20", "12", "20", "False"], "")
    assert len(DistilledData.load(tmp_path / "again.npz")) == 20
