"""Reduce a file that is larger than memory: read in parts, once, and never held.

There is no comparison with models trained on all rows, which would need them all.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from .._files import replacing
from ..streaming.sources import CHUNK_ELEMENTS, ENCODED_ROWS
from ..tables import TableEncoder
from .columns import (
    are_row_numbers,
    checked_target,
    checked_weights,
    choose_target,
    choose_weight,
    column_values,
    listed_columns,
    name_columns,
    row_numbers_told,
    target_convention,
    target_numbers,
)
from .features import fit_encoder
from .forms import Form, find_form, unpacked
from .methods import Wish, make_coreset
from .table import (
    TEXT_SEPARATORS,
    InputError,
    import_pandas,
    import_pyarrow,
    reading,
    suffix_of,
)
from .task import guess_task
from .text_files import batches_of, typed
from .writing import check_output

PART_ROWS = 2**16  # of text, whose first part tells what each column is
FIRST_ROWS = 2**15  # of parquet files, to look at before the pass
BATCH_ROWS = ENCODED_ROWS  # of parquet files in the pass: a block is then one part
BAR = 30  # characters


def run_stream(options: argparse.Namespace) -> None:
    """Do what the options say with a file that is read in parts.

    Parameters
    ----------
    options : Namespace
        From the parser of `make_parser`, with ``stream``.

    Raises
    ------
    InputError
        If the input, the options or the output cannot be worked with.
    """
    path = Path(options.source)
    suffix = suffix_of(path)
    if not path.is_file() or suffix not in (*TEXT_SEPARATORS, ".parquet"):
        raise InputError("--stream is for csv, tsv and parquet files; leave it out for all else")
    if isinstance(options.n_samples, float):
        raise InputError("--stream does not know the number of rows: pass -n as a number of rows")
    if (
        not options.output
        or options.method not in (None, "coreset")
        or options.picture
        or not options.n_samples
    ):
        raise InputError(
            "--stream chooses rows and writes them: it needs -n and -o, and takes no"
            " --picture and no --method but coreset"
        )
    check_output(options.output, "-o", options.source)
    out = suffix_of(options.output) or suffix
    if out not in (*TEXT_SEPARATORS, ".parquet"):
        raise InputError(f"-o {options.output!r} must end in .csv, .tsv or .parquet")
    parts = _Parts(path, suffix, options.header)
    first = next(parts.frames(quiet=True), None)
    if first is None or not len(first):
        raise InputError(f"{options.source!r} is empty: it has no rows")
    columns = list(first.columns)
    drop = listed_columns(options.drop, columns)
    weight, notes = choose_weight(path, columns, options.target, drop, options.weight)
    apart = [] if weight is None else [weight]
    target, note = choose_target(path, columns, options.target, drop, apart)
    decimal = target_convention(column_values(first[target]))

    def read_target(frame: Any) -> np.ndarray:
        return checked_target(target_numbers(column_values(frame[target]), decimal), target)

    y = read_target(first)
    task = guess_task(y) if options.task == "auto" else options.task
    others = [name for name in columns if name not in (target, *apart, *drop)]
    numbers = [name for name in others if are_row_numbers(first[name])]
    notes += [row_numbers_told(name) for name in numbers]
    if len(numbers) == len(others):
        raise InputError(f"{options.source!r} has no column besides the target {target!r}")
    fit_encoder(encoder := TableEncoder(), first[others].drop(columns=numbers))
    said = f" ({note})" if note else ""
    print(
        f"{options.source}: target {target}{said}, {task}; in the first rows {encoder.describe()}"
    )
    for line in notes:
        print(line)
    encoder = TableEncoder(leave_out=(*drop, *numbers))  # which are written all the same
    wish = Wish(options.n_samples, task, options.seed, options.loss, preprocessor=encoder)
    coreset = make_coreset(wish)
    began = time.perf_counter()
    del first

    def read_chunk(frame: Any) -> tuple[Any, np.ndarray, np.ndarray | None]:
        given = None if weight is None else _weights_of(frame[weight])
        return frame.drop(columns=[target, *apart]), read_target(frame), given

    chunks = map(read_chunk, parts.frames())
    try:
        small = coreset.fit(chunks).distilled_
    except InputError:
        raise
    except (
        ValueError,
        TypeError,
    ) as error:  # of columns that change their type on the way, too many classes
        raise InputError(str(error)) from error
    seconds = time.perf_counter() - began
    weight = weight or _free("weight", columns)
    frame = small.to_pandas(y_name=target, weight_name=weight)
    frame = frame[list(dict.fromkeys([*columns, weight]))]
    with replacing(options.output) as beside:
        if out == ".parquet":
            frame.to_parquet(beside, index=False)
        else:
            frame.to_csv(beside, sep=TEXT_SEPARATORS[out], index=False)
    print(
        f"wrote {options.output}: {len(small):,} rows for {coreset.n_samples_seen_:,}, weights in"
        f" {weight!r}, in {seconds:.1f} s"
    )


class _Parts:
    """The parts of a file, as DataFrames of the same columns and types of text."""

    def __init__(self, path: Path, suffix: str, header: str) -> None:
        self.path, self.suffix = path, suffix
        import_pandas(f"reading {suffix} files")
        self._header = header
        self._form: Form | None = None
        self._texts: set[str] | None = None

    def frames(self, quiet: bool = False) -> Iterator[Any]:
        """Yield the parts, and show how far the file is read unless `quiet`, for a first look."""
        read = partial(self._parquet, quiet) if self.suffix == ".parquet" else self._text
        bar = None if quiet or not sys.stderr.isatty() else _Bar(sys.stderr)
        n_rows = 0
        parts = reading(self.path, read)
        while (part := reading(self.path, lambda: next(parts, None))) is not None:
            frame, share = part
            name_columns(self.path, frame)
            n_rows += len(frame)
            if bar is not None:
                bar.show(n_rows, share)
            del part
            yield frame
            del frame
        if bar is not None:
            bar.end()

    def _parquet(self, first: bool) -> Iterator[tuple[Any, float]]:
        import pyarrow.parquet as pq

        # Columns are read as they are needed: to have them ready takes memory for a row group.
        with pq.ParquetFile(self.path, pre_buffer=False) as file:
            n_rows, total = 0, max(1, file.metadata.num_rows)
            size = min(BATCH_ROWS, max(1, CHUNK_ELEMENTS // max(1, file.metadata.num_columns)))
            size = min(size, FIRST_ROWS) if first else size
            for batch in file.iter_batches(batch_size=size, use_threads=False):
                n_rows += batch.num_rows
                # Columns of their own share the memory of the batch.
                part = batch.to_pandas(split_blocks=True), n_rows / total
                del batch
                yield part
                del part  # or it would be in memory beside the next

    def _text(self) -> Iterator[tuple[Any, float]]:
        pa = import_pyarrow(f"reading {self.suffix} files")
        if self._form is None:
            self._form = find_form(self.path, self.suffix, self._header)
        total = max(1, self.path.stat().st_size)
        with open(self.path, "rb") as file, unpacked(file, self.path) as stream:
            for cells in batches_of(stream, self._form):
                for start in range(0, cells.num_rows, PART_ROWS):
                    part = pa.Table.from_batches([cells.slice(start, PART_ROWS)])
                    frame = typed(part, self._texts or set())
                    if self._texts is None:  # text stays text where a later part holds numbers only
                        kinds = frame.dtypes.items()
                        self._texts = {n for n, dtype in kinds if dtype.kind not in "iufb"}
                    yield frame, file.tell() / total


def _free(name: str, taken: Any) -> str:
    while name in taken:
        name += "_"
    return name


class _Bar:
    """One line that says how much of a file is read."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream, self._began = stream, time.perf_counter()

    def show(self, n_rows: int, share: float) -> None:
        """Draw the line again."""
        seconds = max(1e-9, time.perf_counter() - self._began)
        share = min(1.0, max(1e-9, share))
        done = "#" * round(BAR * share)
        left = seconds * (1 - share) / share
        rate = n_rows / seconds
        self._stream.write(
            f"\r[{done:.<{BAR}}] {n_rows:,} rows, {rate:,.0f} rows/s, {left:.0f} s left "
        )
        self._stream.flush()

    def end(self) -> None:
        """Leave the line."""
        self._stream.write("\n")


def _weights_of(column: Any) -> np.ndarray:
    """Weights of a part, which alone may all be zero."""
    return checked_weights(column_values(column), column.name, len(column), whole=False)
