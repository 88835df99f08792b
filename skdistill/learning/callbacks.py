"""scikit-learn's callbacks, where the installed version has them (1.9 and later)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Empty where scikit-learn has no callbacks."""

    def with_callbacks(method: Callable) -> Callable:
        """Leave a method as it is where scikit-learn has no callbacks."""
        return method


__all__ = ["CallbackSupportMixin", "FitTask", "with_callbacks"]

T = TypeVar("T")
PARTS = 100  # of a stage that callbacks hear of: each step would cost more than it tells


class FitTask:
    """What callbacks hear of a fit: its stages, hundredths of their steps, estimators inside it.

    Nobody hears of a fit before `begin`.

    Parameters
    ----------
    estimator : estimator
        With `CallbackSupportMixin`, in a method decorated by `with_callbacks`.
    X, y, sample_weight
        As passed to `fit`.
    """

    def __init__(self, estimator: Any, X: Any, y: Any, sample_weight: Any) -> None:
        self._told = {
            "estimator": estimator,
            "X": X,
            "y": y,
            "metadata": {"sample_weight": sample_weight},
        }
        self._root: Any = None
        self.is_heard = bool(getattr(estimator, "_skl_callbacks", ()))

    def begin(self, n_parts: int) -> FitTask:
        """Say that the fit begins; once it is known how many tasks are below it at most.

        A bar moves by shares of that number, and jumps to its end where the fit takes fewer.
        """
        estimator = self._told["estimator"]
        if hasattr(estimator, "_init_callback_context"):
            self._root = estimator._init_callback_context(max_subtasks=n_parts)
            self._root.call_on_fit_task_begin(**self._told)
        return self

    @contextmanager
    def part(self, name: str, inner: Any) -> Iterator[None]:
        """Fit of an estimator inside this one as a task: it hears the callbacks of this one.

        Parameters
        ----------
        name : str
        inner : estimator
            Callbacks that were handed down are taken from it again at the end.
        """
        if self._root is None:
            yield
            return
        context = self._root.subcontext(task_name=name)
        with context.propagate_callback_context(inner):
            context.call_on_fit_task_begin(**self._told)
            yield
            context.call_on_fit_task_end(**self._told)

    def each(self, name: str, items: Collection[T]) -> Iterator[T]:
        """Go through the items, each a task below one of this name.

        Parameters
        ----------
        name : str
        items : collection

        Yields
        ------
        object
            Each item; none after a callback asks to stop.
        """
        if not self.is_heard:
            yield from items
            return
        with self.stage(name, len(items)) as reached:
            for place, item in enumerate(items):
                if reached(place):
                    return
                yield item
            reached(len(items))

    def end(self) -> None:
        """Say that the fit is over."""
        if self._root is not None:
            self._root.call_on_fit_task_end(**self._told)

    @contextmanager
    def stage(self, name: str, n_steps: int) -> Iterator[Callable[[int], bool]]:
        """Stage of training as a task.

        Parameters
        ----------
        name : str
        n_steps : int

        Yields
        ------
        callable
            To be called with the number of steps made, from 0 to `n_steps`, before each next one;
            returns whether a callback asks to end the stage.
        """
        every = max(1, -(-n_steps // PARTS))
        context = self._root.subcontext(task_name=name, max_subtasks=-(-n_steps // every))
        context.call_on_fit_task_begin(**self._told)
        under_way: Any = None

        def reached(step: int) -> bool:
            nonlocal under_way
            if step % every and step < n_steps:
                return False
            stop = False
            if under_way is not None:
                stop = under_way.call_on_fit_task_end(**self._told)
                under_way = None
            if step < n_steps and not stop:
                under_way = context.subcontext(task_name="steps")
                under_way.call_on_fit_task_begin(**self._told)
            return stop

        try:
            yield reached
        finally:
            if under_way is not None:
                under_way.call_on_fit_task_end(**self._told)
            context.call_on_fit_task_end(**self._told)
