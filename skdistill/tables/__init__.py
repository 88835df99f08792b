"""Features of any table: what ``preprocessor="auto"`` makes of its columns."""

from .encoder import TableEncoder

__all__ = ["TableEncoder"]
