"""Draw pictures again from their records, without measuring anything.

    python benchmarks/figures.py importance techniques feature_pools

Each name is that of a script whose `picture` takes the header and the rows of its record.
"""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("names", nargs="+", help="records")
    for name in options.parse_args().names:
        record = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        figure = importlib.import_module(name).picture(record["header"], record["rows"])
        figure.savefig(RESULTS / f"{name}.png", dpi=120, bbox_inches="tight")


if __name__ == "__main__":
    main()
