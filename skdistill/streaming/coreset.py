"""What `SensitivityCoreset` does with streams: chunk by chunk, or from a source of chunks."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from numbers import Integral
from os import PathLike
from typing import IO, Any

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.utils import check_array, check_consistent_length, check_random_state
from sklearn.utils.validation import _check_sample_weight, _num_samples, validate_data

from .._device import is_out_of_memory
from .._input.caller import warn_caller
from .._input.order import one_of_each_stretch
from .._input.rows import check_two_dimensional
from .._input.targets import plain_target, target_kind
from ..data import DistilledData
from ..tables import TableEncoder
from . import state
from .merge_reduce import (
    FINAL,
    REFERENCE_LOSSES,
    Reading,
    Reduce,
    Stream,
    Window,
    in_halves,
    seed,
    sizes,
    take,
    union,
)
from .on_dask import fit_dask
from .sources import CHUNK_ELEMENTS, CHUNK_ROWS, ENCODED_ROWS, Source, in_memory, naming

# Blocks of `partial_fit`: the rows that fill none are scored again with each call.
PARTIAL_ROWS = 2**15
PARTIAL_ELEMENTS = 2**21
ENCODED_TO = 20_000  # rows of the first block that "auto" learns the columns of a table from
# Parameters of the reductions on the way. Only this draw has unbiased weights whatever the loss,
# and a class that is dropped on the way is lost for good.
ON_THE_WAY = {"sampling": "systematic", "stratify": "auto", "window": None, "verbose": 0}


@dataclass(frozen=True)
class Part:
    """How a fit to a part of a stream differs from a fit to a whole data set.

    Attributes
    ----------
    budget : int or None
        Rows to draw; None for `n_samples`. Where there are fewer, all are taken, with no warning.
    scored_for : int
        Rows that clusters and ridge are chosen for: those asked for in the end.
    seed : int
    reference : FrozenEstimator or None
        Model that rows are scored by.
    encoder : TableEncoder or None
        Makes the features; None where the preprocessor is to be fitted.
    """

    budget: int | None
    scored_for: int
    seed: int
    reference: Any = None
    encoder: Any = None

    @property
    def on_the_way(self) -> bool:
        """Whether what is drawn is reduced further, with rows of other parts."""
        return self.budget is not None


NO_SHARE = (
    "n_samples={!r} is a share of the rows, and how many there are is not known before a stream "
    "ends; pass their number, e.g. n_samples=1000."
)


def counts_rows(estimator: Any) -> bool:
    """Check for ``available_if`` that the budget is a number of rows."""
    if not isinstance(estimator.n_samples, Integral):
        raise AttributeError(NO_SHARE.format(estimator.n_samples))
    return True


class StreamingMixin:
    """`fit` of sources, `partial_fit`, and the state of a stream.

    The class has the parameters below and ``_read(X, y, sample_weight)``, ``_target_type()`` and
    ``_fit_rows(X, y, sample_weight, part)``, which leaves `_kind` and `_reference`.
    """

    n_samples: Any
    loss: Any
    window: Any
    random_state: Any
    preprocessor: Any
    distilled_: DistilledData
    sensitivities_: np.ndarray
    n_samples_seen_: int
    _kind: str
    _stream: Stream | Window

    # From chunks to a small set --------------------------------------------------------------

    def _fit_source(self, source: Source) -> None:
        """Read all chunks of a source once, and choose rows of all of them."""
        read_together(source, [self])

    def _read_source(
        self, source: Source, stream: Any, number: int, item: Any
    ) -> tuple[Stream, bool]:
        """Read a chunk of a source on; the stream, and whether memory was enough for it."""
        X, y, sample_weight = item
        place = 0 if stream is None else stream.n_seen
        with naming(f"chunk {number}, which starts at row {place}"):
            chunk, kind = self._chunk(X, y, sample_weight, stream)
            if stream is None:
                width = chunk.X.shape[1]
                stream = self._new_stream(width, kind, CHUNK_ROWS, CHUNK_ELEMENTS, None)
        assert isinstance(stream, Stream)  # a window is for `partial_fit`
        earlier = stream.copy()
        try:
            stream.add(chunk, self._reduction(stream), keeps=source.keeps_chunks)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error) or not earlier.levels:
                raise
            earlier.forget_rest()
            return earlier, False
        return stream, True

    def _fit_dask(self, X: Any, y: Any, sample_weight: Any) -> None:
        """Choose rows of a Dask collection; see `fit_dask`."""
        self._rows_wanted()
        entropy = int(check_random_state(self.random_state).randint(2**31))
        self._finish(fit_dask(self, X, y, sample_weight, entropy))

    def _fit_chunk(self, X: Any, y: Any, sample_weight: Any) -> None:
        """Read one chunk on, and choose rows of all chunks so far."""
        self._rows_wanted()
        earlier = getattr(self, "_stream", None)
        if earlier is None and self.window is None and hasattr(self, "distilled_"):
            earlier = self._of_an_earlier_fit()
        chunk, kind = self._chunk(X, y, sample_weight, earlier)
        if earlier is not None:
            stream = earlier.copy()
        else:
            stream = self._new_stream(
                chunk.X.shape[1], kind, PARTIAL_ROWS, PARTIAL_ELEMENTS, self.window
            )
        if isinstance(stream, Window) != (self.window is not None):
            raise ValueError(
                f"window={self.window!r} was changed to or from None after the first chunk; start "
                "again with a clone of the estimator."
            )
        if isinstance(stream, Window):
            stream.length = self.window
        self._read_on(stream, chunk)
        self._finish(stream)

    def _of_an_earlier_fit(self) -> Stream | Window:
        """Stream that begins with the rows chosen by `fit` from data in memory."""
        small = self.distilled_
        stream = self._new_stream(
            small.X.shape[1], self._kind, PARTIAL_ROWS, PARTIAL_ELEMENTS, None
        )
        assert isinstance(stream, Stream)
        stream.n_seen = self.n_samples_seen_
        stream.rest.append(
            DistilledData(
                small.X,
                small.y,
                small.sample_weight,
                indices=small.indices,
                feature_names=small.feature_names,
            )
        )
        return stream

    def _new_stream(
        self, n_features: int, kind: str, max_rows: int, max_elements: int, window: int | None
    ) -> Stream | Window:
        if self.preprocessor is not None:
            max_rows = min(max_rows, ENCODED_ROWS)
        limits = sizes(self._rows_wanted(), n_features, max_rows, max_elements)
        entropy = int(check_random_state(self.random_state).randint(2**31))
        if window is not None:
            return Window(limits, entropy, kind=kind, length=window)
        return Stream(limits, entropy, kind=kind)

    def _rows_wanted(self) -> int:
        if not isinstance(self.n_samples, Integral):
            raise ValueError(NO_SHARE.format(self.n_samples))
        return int(self.n_samples)

    def _chunk(
        self, X: Any, y: Any, sample_weight: Any, stream: Reading | None
    ) -> tuple[DistilledData, str]:
        """Check a chunk, against those before it too; its rows and the kind of its target."""
        X, y, sample_weight = (in_memory(values) for values in (X, y, sample_weight))
        if stream is not None:
            validate_data(self, X, reset=False, skip_check_array=True)
        if self.preprocessor is None:
            data = self._read(X, y, None)  # type: ignore[attr-defined]
            X, y, kind = data.X, data.y, data.target.kind
        else:
            # The preprocessor is fitted to blocks, which may be larger than this chunk.
            check_two_dimensional(X)
            y = plain_target(y)
            validate_data(self, X, reset=stream is None, skip_check_array=True)
            if y is not None:
                y = check_array(y, ensure_2d=False, dtype=None, input_name="y")
                check_consistent_length(X, y)
            kind = target_kind(y, self._target_type())  # type: ignore[attr-defined]
        if sample_weight is not None:
            # A chunk without any weight is no mistake, as a whole data set would be.
            check = _check_sample_weight if np.any(sample_weight) else _zero_weights
            sample_weight = check(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        if stream is not None and stream.kind not in (None, kind):
            raise ValueError(
                f"y holds {_KINDS[kind]} here, and {_KINDS[str(stream.kind)]} in earlier "
                "chunks; pass the same kind each time, or set target_type."
            )
        names = getattr(self, "feature_names_in_", None)
        return DistilledData(X, y, sample_weight, feature_names=names), kind

    def _read_on(self, stream: Stream | Window, chunk: DistilledData) -> None:
        stream.add(chunk, self._reduction(stream))

    def _summary(self, stream: Stream, chunk: DistilledData | None) -> DistilledData | None:
        """One small set of a stream that a last chunk is added to."""
        reduce = self._reduction(stream)
        if chunk is not None:
            stream.add(chunk, reduce, keeps=True)
        return stream.summary(reduce)

    def _reduction(self, stream: Reading) -> Reduce:
        def reduce(parts: list[DistilledData], n_rows: int, seed: int) -> DistilledData:
            n_parts = sum(map(len, parts))
            try:
                part = union(parts)
                assert part.indices is not None
                # What is wrong with a block may lie in any of its chunks.
                with naming(f"rows {part.indices[0]} to {part.indices[-1]}"):
                    self._learn_columns(stream, part)
                    return self._reduced(part, n_rows, seed, stream)
            except (MemoryError, RuntimeError) as error:
                # Halves would be hardly more than what is to be kept.
                if not is_out_of_memory(error) or n_parts <= 4 * n_rows:
                    raise
            # The error is gone here, and with it the memory of what failed.
            warn_caller(
                f"Out of memory: a block of {n_parts} rows is reduced in two halves.",
                RuntimeWarning,
            )
            halves = [reduce(half, n_rows, seed) for half in in_halves(parts)]
            return reduce(halves, n_rows, seed)

        return reduce

    def _learn_columns(self, stream: Reading, part: DistilledData) -> None:
        """Fit the encoder of a stream to rows of its first block."""
        if not self._columns_are_learnt or stream.encoder is not None:
            return
        rng = np.random.RandomState(0)
        which = one_of_each_stretch(len(part), min(ENCODED_TO, len(part)), rng)
        stream.table = take(part, which).X
        stream.encoder = self._fitted_encoder(stream.table)

    @property
    def _columns_are_learnt(self) -> bool:
        """Whether the features are those of "auto", which every later row has too."""
        return isinstance(self.preprocessor, str | TableEncoder)

    def _fitted_encoder(self, table: Any) -> Any:
        return self._make_preprocessor(self.preprocessor).fit(table)  # type: ignore[attr-defined]

    def _reduced(
        self, part: DistilledData, n_rows: int, seed: int, stream: Reading
    ) -> DistilledData:
        """Small set of a part of a stream, scored by its model and encoder."""
        inner = type(self)(**self.get_params(deep=False))  # type: ignore[attr-defined]
        inner.set_params(**ON_THE_WAY)  # type: ignore[attr-defined]
        if not isinstance(getattr(self, "class_share", ""), str):
            # Shares by name speak of classes that this part may not have.
            inner.set_params(class_share="balanced")  # type: ignore[attr-defined]
        how = Part(n_rows, self._rows_wanted(), seed, stream.reference, stream.encoder)
        inner._fit_rows(part.X, part.y, part.sample_weight, how)  # type: ignore[attr-defined]
        small = inner.distilled_
        assert part.indices is not None and small.indices is not None
        stream.reference = inner._frozen_reference()
        return DistilledData(
            small.X,
            small.y,
            small.sample_weight,
            indices=part.indices[small.indices],
            feature_names=part.feature_names,
        )

    def _frozen_reference(self) -> Any:
        model = self.__dict__.pop("_reference", None)
        return None if model is None else FrozenEstimator(model)

    def _finish(self, stream: Stream | Window) -> None:
        """Choose `n_samples` rows of all that the stream holds."""
        parts = stream.parts()
        if not parts:
            raise ValueError(
                "sample_weight is zero for every row so far; give at least one row a positive "
                "weight."
            )
        whole = union(parts)
        how = Part(
            None,
            self._rows_wanted(),
            seed(stream.entropy, FINAL, stream.n_seen),
            stream.reference,
            # What is left stands for the whole stream and tells its columns better than the first
            # block, but the reference model knows the features of that.
            stream.encoder if self.loss in REFERENCE_LOSSES else None,
        )
        self._fit_rows(  # type: ignore[attr-defined]
            whole.X, whole.y, whole.sample_weight, how
        )
        small = self.distilled_
        assert whole.indices is not None and small.indices is not None
        small.indices = self.indices_ = whole.indices[small.indices]
        del self.sensitivities_  # those of rows that are forgotten with the next chunk
        self.n_samples_seen_ = stream.n_seen
        stream.reference = self._frozen_reference()
        self._stream = stream

    # Files -----------------------------------------------------------------------------------

    def save_state(self, file: str | PathLike[str] | IO[bytes]) -> None:
        """Write what `partial_fit` goes on from to an npz file; it contains no pickle.

        A named file is replaced as a whole: a crash leaves the old one or the new one.

        Parameters
        ----------
        file : str, path or binary file
            Where to write.

        Raises
        ------
        NotFittedError
            Before the first call of `partial_fit`.

        TypeError
            If a column has a type that cannot be stored without pickle, or the rows are scored by
            a model that was fitted on the first chunk.
        """
        state.save(file, self)

    def load_state(self, file: str | PathLike[str] | IO[bytes]) -> Any:
        """Go on from what :meth:`save_state` wrote, on an estimator of the same parameters.

        Parameters
        ----------
        file : str, path or binary file
            What to read; nothing in it is executed.

        Returns
        -------
        self : SensitivityCoreset
            With the attributes, and the future, of the estimator that wrote the state.

        Raises
        ------
        ValueError
            If the file is no such state, is damaged, or belongs to other parameters.
        """
        stream, names = state.load(file, self)
        self.__dict__.pop("feature_names_in_", None)
        if names is not None:
            self.feature_names_in_ = names
        self._finish(stream)
        return self


def read_together(source: Source, coresets: list[Any]) -> None:
    """Fit several coresets in one pass over a source.

    Parameters
    ----------
    source : Source
    coresets : list of SensitivityCoreset
        Their budgets are numbers of rows.
    """
    for coreset in coresets:
        coreset._rows_wanted()
    streams: list[Any] = [None] * len(coresets)
    enough = True
    numbers = count()  # enumerate would hold an item while the next is read
    for item in source:
        number = next(numbers)
        if not _num_samples(item[0]):
            continue
        for i, coreset in enumerate(coresets):
            streams[i], fits = coreset._read_source(source, streams[i], number, item)
            enough &= fits
        if not enough:
            n_seen = min(stream.n_seen for stream in streams)
            told = f"the small set stands for the first {n_seen} rows, and not for more"
            warn_caller(f"Out of memory: {told}.", RuntimeWarning)
            break
        del item  # or it would be in memory beside the next
    if streams[0] is None:
        raise ValueError(
            "X has no rows (left); a generator gives its chunks once only: make a new one for "
            "each fit."
        )
    for coreset, stream in zip(coresets, streams, strict=True):
        stream.close(coreset._reduction(stream))
        coreset._finish(stream)


def _zero_weights(sample_weight: Any, X: Any, **checks: Any) -> np.ndarray:
    check_consistent_length(sample_weight, X)
    return np.zeros(_num_samples(X))


_KINDS = {
    "none": "nothing",
    "classes": "classes",
    "multilabel": "several labels",
    "numbers": "numbers",
}
