"""Cells of a CSV file (RFC 4180) that a spreadsheet opens without running anything. Text in, text out."""

from collections.abc import Iterable
from typing import Final

_RUNS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a cell begins with that a spreadsheet takes for a formula, or that hides one behind it."""


def csv_row(cells: Iterable[str]) -> str:
    """One line, with its end. Each cell is quoted; one that could be a formula begins with an apostrophe."""
    return ",".join(_cell(cell) for cell in cells) + "\r\n"


def _cell(text: str) -> str:
    bare = text.replace("\x00", "")
    safe = f"'{bare}" if bare.lstrip(" \u00a0\ufeff").startswith(_RUNS) else bare
    return '"' + safe.replace('"', '""') + '"'
