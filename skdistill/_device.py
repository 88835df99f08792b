"""Where the heavy work runs: device choice, and blocks that shrink when memory runs out."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from threading import Lock
from typing import Any

from threadpoolctl import ThreadpoolController

from . import _torch as torch

# About 1 MB of float32 a tile: it stays in a core's cache between the passes that touch it.
CPU_TILE_ELEMENTS = 2**19
# An accelerator wants few, large launches instead.
GPU_TILE_ELEMENTS = 2**26
SMALL_WORK = 2**27  # multiplications that one core does in about 10 ms
SMALL_TABLE = 2**18  # values up to which boosting gains little by a second core
DATA_SHARE = 0.5  # of a device's free memory that data may take for good; the rest is for the work


def resolve_device(device: Any) -> Any:
    """Turn the ``device`` parameter into a `torch.device`.

    Parameters
    ----------
    device : str or torch.device
        "auto" takes CUDA where there is one and the CPU otherwise.

    Returns
    -------
    torch.device

    Raises
    ------
    ValueError
        If the name is unknown or no such device is present.
    """
    if isinstance(device, str) and device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(
            f"device={device!r} is unknown; use 'auto', 'cpu', 'cuda' or 'cuda:0'."
        ) from error
    if resolved.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (resolved.index or 0) >= count:
            raise ValueError(
                f"device={device!r} was asked for, but PyTorch sees {count} CUDA device(s) here; "
                "use device='auto' or device='cpu', or install a CUDA build of PyTorch."
            )
    elif resolved.type != "cpu":
        raise ValueError(f"device={device!r} is not supported; use 'auto', 'cpu' or 'cuda'.")
    return resolved


def tile_rows(n_columns: int, device: Any) -> int:
    """Rows of a tile of `n_columns` columns that suits the device."""
    elements = CPU_TILE_ELEMENTS if device.type == "cpu" else GPU_TILE_ELEMENTS
    return max(256 if device.type == "cpu" else 4096, elements // max(1, n_columns))


def free_memory(device: Any) -> int:
    """Bytes of an accelerator that are free, or held by PyTorch without use."""
    with torch.cuda.device(device):
        free, _ = torch.cuda.mem_get_info()
        return free + torch.cuda.memory_reserved() - torch.cuda.memory_allocated()


def fits(n_bytes: int, device: Any) -> bool:
    """Whether data may stay on a device for good; the CPU has no other place for them."""
    return device.type == "cpu" or n_bytes <= DATA_SHARE * free_memory(device)


class Beside:
    """Work on a CUDA device beside what is under way there, which it does not wait for.

    The host is ahead of the device: a copy that is asked for here runs while the device is still
    busy with what it was asked for before.
    """

    def __init__(self, device: Any) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)
        self.catch_up()

    def __call__(self, work: Callable[[], tuple[Any, ...]]) -> tuple[Any, ...]:
        """Tensors (or None) that `work` makes, for use by all that is asked for from now on."""
        with torch.cuda.stream(self._stream):
            found = work()
        here = torch.cuda.current_stream(self._device)
        here.wait_stream(self._stream)
        for tensor in found:
            if tensor is not None:
                tensor.record_stream(here)  # its memory is not given away before
        return found

    def catch_up(self) -> None:
        """Let later work see the results of all that was asked for so far."""
        self._stream.wait_stream(torch.cuda.current_stream(self._device))


def for_each_block(
    work: Callable[[int, int], None],
    n_rows: int,
    block: int,
    *,
    parallel: bool = False,
    what: str = "rows",
) -> int:
    """Call ``work(start, stop)`` over all rows; halve the block when memory runs out.

    Returns the block that memory was enough for, for who is to do the same again.

    `work` must keep its result only as its last action, so that a block that failed half-way can
    be done again. With `parallel` blocks run in as many threads as PyTorch uses, each on one core:
    operations on a tile that fits a core's cache are too short to be shared out themselves. Calls
    of `work` must then not depend on each other. `what` the blocks consist of is for the warning.
    """
    n_parts = min(torch.get_num_threads(), -(-n_rows // block)) if parallel else 1
    if n_parts <= 1:
        return _run_blocks(work, 0, n_rows, block, what)

    def part(number: int) -> int:
        # OpenMP keeps this limit for each calling thread: nobody else's setting changes.
        with _thread_pools().limit(limits=1, user_api="openmp"):
            start, end = (n_rows * k // n_parts for k in (number, number + 1))
            return _run_blocks(work, start, end, block, what)

    with ThreadPoolExecutor(n_parts) as executor:
        return min(executor.map(part, range(n_parts)))


class _OneBlasThread:
    """Limit of the whole process, shared by all threads that ask for it.

    The first to come sets it and the last to go restores it: a thread that saved the limit of
    another would leave it there for good.
    """

    def __init__(self) -> None:
        self._before: list[int] = []
        self.start_anew()

    def start_anew(self) -> None:
        """Forget who asked for the limit: those threads are not in a forked process."""
        self._lock, self._count = Lock(), 0

    def __enter__(self) -> None:
        with self._lock:
            if self._count == 0:
                self._before = blas_threads()
                set_blas_threads([1] * len(self._before))
            self._count += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._count -= 1
            if self._count == 0:
                set_blas_threads(self._before)


_one_blas_thread = _OneBlasThread()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_one_blas_thread.start_anew)


def one_blas_thread() -> AbstractContextManager[None]:
    """Context in which BLAS works on one core; the process's setting is restored after it."""
    return _one_blas_thread


@contextmanager
def threads_for(work: float, device: Any) -> Iterator[None]:
    """Context in which small work stays on one core.

    Threads that share out products of a millisecond wait for each other longer than they work as
    soon as another process wants a core.

    Parameters
    ----------
    work : float
        Multiplications of a typical operation.
    device : torch.device
    """
    if device.type != "cpu" or work > SMALL_WORK or torch.get_num_threads() == 1:
        yield
        return
    with _one_core(_thread_pools()):
        yield


class SmallFits:
    """Contexts in which models that learn from few rows stay on one core.

    Boosting shares out pieces of work so small that its threads mostly wait for each other, the
    longer the busier the machine is. The libraries are those that are loaded now.
    """

    def __init__(self) -> None:
        self._pools = ThreadpoolController()

    def __call__(self, X: Any) -> AbstractContextManager[None]:
        """Context for a fit on rows X (n, d), or for their predictions."""
        n, d = X.shape
        return _one_core(self._pools) if n * d <= SMALL_TABLE else nullcontext()


@contextmanager
def _one_core(pools: ThreadpoolController) -> Iterator[None]:
    # OpenMP keeps the limit for each calling thread.
    with pools.limit(limits=1, user_api="openmp"), one_blas_thread():
        yield


def blas_threads() -> list[int]:
    """Limit of each BLAS library that is loaded."""
    return [library.num_threads for library in _blas()]


def set_blas_threads(numbers: list[int]) -> None:
    """Set the limits that `blas_threads` tells."""
    for library, number in zip(_blas(), numbers, strict=True):
        library.set_num_threads(number)
        # threadpoolctl 3.8 lets only the thread that set a limit set another while it
        # lives; here the last to leave need not be the one that came first.
        if hasattr(library, "clear_controlling_thread"):
            library.clear_controlling_thread()


def _blas() -> list[Any]:
    return _thread_pools().select(user_api="blas").lib_controllers


@cache
def _thread_pools() -> ThreadpoolController:
    """Find the controls of the loaded libraries once: it takes milliseconds."""
    return ThreadpoolController()


def _run_blocks(
    work: Callable[[int, int], None], start: int, end: int, block: int, what: str
) -> int:
    while start < end:
        stop = min(end, start + block)
        try:
            work(start, stop)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error) or stop - start == 1:
                raise
        else:
            start = stop
            continue
        # The error is gone here, and with it what the work that failed had made.
        block = max(1, (stop - start) // 2)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        warnings.warn(
            f"Out of memory: going on with blocks of {block} {what}.",
            RuntimeWarning,
            stacklevel=2,
        )
    return block


def is_out_of_memory(error: BaseException) -> bool:
    """Whether NumPy, PyTorch or CUDA says with this error that memory has run out."""
    return (
        isinstance(error, (MemoryError, torch.OutOfMemoryError))
        or "not enough memory" in str(error)
        or "can't allocate memory" in str(error)
        or "_ALLOC_FAILED" in str(error)  # cuDNN, cuBLAS
    )
