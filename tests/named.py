"""Functions among the parameters of tests, which print as their names."""

from __future__ import annotations

from collections.abc import Callable
from functools import update_wrapper
from typing import Any


class named:  # noqa: N801 (a decorator)
    """A function whose repr holds no address.

    The names of tests are made of parameters. Workers that run them side by side must find the same
    names, and an address differs from process to process.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        update_wrapper(self, function)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__wrapped__(*args, **kwargs)

    def __repr__(self) -> str:
        return self.__name__

    def __reduce__(self) -> str:  # pickled and copied as a function is: by its name
        return self.__qualname__
