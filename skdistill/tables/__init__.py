"""Features of any table: what ``preprocessor="auto"`` makes of its columns."""

from .encoder import InfiniteTableError, TableEncoder, UnreadableTableError

__all__ = ["InfiniteTableError", "TableEncoder", "UnreadableTableError"]
