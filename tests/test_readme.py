"""The README's Python runs, block after block, and its numbers of rows and columns are true."""

from __future__ import annotations

import re
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_python_blocks():
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    names: dict = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert len(names["small"]) == 200
    assert names["F"].shape == (1797, 50)
    assert names["search"].best_score_ > 0.8


def test_commands_that_newcomers_copy():
    first, second = re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)[:2]
    assert re.fullmatch(r"pip install \S.* && python -m skdistill digits\n", first)
    assert re.fullmatch(r"pip install \S.*\[test\].* && python -m pytest -n 2\n", second)
