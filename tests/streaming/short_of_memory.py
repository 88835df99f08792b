"""Read a stream under growing limits of memory, and print what became of it; run by a test."""

from __future__ import annotations

import json
import resource
import warnings

import numpy as np

from skdistill import SensitivityCoreset
from skdistill.streaming import coreset as streams

N, ROWS, D = 240_000, 20_000, 16


class Hungry(SensitivityCoreset):
    """Holds 60 MiB more for a block of eight chunks, so that limits that only halves fit under
    span many steps of the search."""

    def _reduced(self, part, *args):
        held = np.empty((len(part), 400), np.uint8)
        reduced = super()._reduced(part, *args)
        assert len(held) == len(part)
        return reduced


def chunks():
    """Chunks of `ROWS` rows, made when they are asked for; the last row of each is an outlier."""
    for number in range(N // ROWS):
        X = np.random.default_rng(number).normal(size=(ROWS, D)).astype(np.float32)
        X[-1] = 1e3 * (number + 1)
        yield X


def used():
    """Bytes of address space."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def main():
    streams.CHUNK_ROWS = 8 * ROWS
    SensitivityCoreset(100, random_state=0).fit(next(chunks())[:5000])  # loads what is needed
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    found = []
    for headroom in range(8, 240, 8):
        found.append(under_a_limit(used() + headroom * 2**20, hard))
        if not found[-1]["told"] and found[-1]["n_seen"]:
            break  # memory was enough
    print(json.dumps(found))


def under_a_limit(limit, hard):
    """What a fit comes to."""
    coreset = Hungry(100, random_state=0)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
        try:
            weight = float(coreset.fit(chunks()).distilled_.sample_weight.sum())
        except (MemoryError, RuntimeError) as error:
            weight = repr(error)[:200]
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, hard))
    kept = (np.arange(ROWS - 1, N, ROWS)[:, None] == getattr(coreset, "indices_", [-1])).any(1)
    return {
        "weight": weight,
        "n_seen": getattr(coreset, "n_samples_seen_", None),
        "kept": int(kept.sum()),
        "told": [str(warning.message) for warning in told],
    }


if __name__ == "__main__":
    main()
