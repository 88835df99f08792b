"""Programs in processes of their own, forked from one that has imported what takes seconds.

To import torch and scikit-learn takes longer than most of what such programs do. As a script this
is the process that forks: it reads a request from each line, and answers with a status.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import traceback
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any


class Forking:
    """Runs programs in forks of one process, which uses one thread and has imported skdistill."""

    def __init__(self) -> None:
        import skdistill

        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        path = {"PYTHONPATH": str(Path(skdistill.__file__).parents[1])}
        self._process = subprocess.Popen(
            # A warning of an import is an error, as those of the test run are.
            [sys.executable, "-W", "error", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **one_thread, **path, "PYTHONHASHSEED": "77"},
        )

    def start(self, program: str, *arguments: str, folder: Path, strict: bool = False) -> None:
        """Begin a program, which writes to ``stdout`` and ``stderr`` in a folder.

        Where `strict` is set, its warnings are errors.
        """
        request = {"program": program, "arguments": arguments, "folder": str(folder)}
        print(json.dumps({**request, "strict": strict}), file=self._process.stdin, flush=True)

    def wait(self) -> int:
        """Return the status that the program has ended with."""
        return int(self._process.stdout.readline())

    def run(self, program: str, *arguments: str, strict: bool = False) -> Any:
        """Let a program end; a `subprocess.CompletedProcess` of text."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            self.start(program, *arguments, folder=folder, strict=strict)
            status = self.wait()
            told = [(folder / stream).read_text() for stream in ("stdout", "stderr")]
        return subprocess.CompletedProcess([program, *arguments], status, *told)

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def answer(program: str, arguments: list[str], folder: str, strict: bool) -> int:
    """Run a program in this process, which a fork is, and return its status."""
    for number, stream in enumerate(("stdout", "stderr"), start=1):
        file = os.open(f"{folder}/{stream}", os.O_WRONLY | os.O_CREAT)
        os.dup2(file, number)
        os.close(file)
    sys.stdout.reconfigure(line_buffering=True)
    sys.argv = ["program", *arguments]
    main = sys.modules["__main__"] = ModuleType("__main__")
    warnings.simplefilter("error" if strict else "default")
    try:
        exec(compile(program, "program", "exec", dont_inherit=True), vars(main))
    except SystemExit as stop:
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def main() -> None:
    import sklearn.linear_model
    import sklearn.model_selection
    import torch

    import skdistill.cli

    assert torch.get_num_threads() == 1 and sklearn and skdistill
    warnings.simplefilter("default")  # a fork beside a thread is one from Python 3.12 on
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, 0)
            status = answer(**json.loads(line))
            sys.stdout.flush()
            os._exit(status)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
