"""How many parameters a GGUF file has, from the shapes in its header.

The gguf package's own reader makes an object of every word of the vocabulary, which takes seconds; here all that is
not needed is stepped over.
"""

from __future__ import annotations

import struct
from math import prod
from pathlib import Path
from typing import BinaryIO

_VERSIONS = (2, 3)
_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # of a value, by the number of its type
_TEXT, _ARRAY = 8, 9
_DIMENSIONS = 4  # of a tensor, at most


def parameters(path: Path | str) -> int | None:
    """The number of parameters; None for what is no GGUF file, damaged, or of a version that isn't known."""
    try:
        with Path(path).open("rb") as file:
            return _count(file)
    except (OSError, OverflowError, ValueError, LookupError, struct.error):
        return None


def _count(file: BinaryIO) -> int | None:
    magic, version, tensors, values = _read(file, "<4sIQQ")
    if magic != b"GGUF" or version not in _VERSIONS:
        return None
    for _ in range(values):
        _skip_texts(file, 1)  # its name
        _skip_value(file, *_read(file, "<I"))
    total = 0
    for _ in range(tensors):
        _skip_texts(file, 1)
        (dimensions,) = _read(file, "<I")
        if dimensions > _DIMENSIONS:
            return None
        total += prod(_read(file, f"<{dimensions}Q"))
        _read(file, "<IQ")  # how its numbers are written, and where
    return total or None


def _skip_value(file: BinaryIO, kind: int) -> None:
    count = 1
    if kind == _ARRAY:
        kind, count = _read(file, "<IQ")
    if kind == _TEXT:
        _skip_texts(file, count)
    else:
        file.seek(count * _BYTES[kind], 1)


def _skip_texts(file: BinaryIO, count: int) -> None:
    for _ in range(count):
        file.seek(*_read(file, "<Q"), 1)


def _read(file: BinaryIO, format: str) -> tuple:
    return struct.unpack(format, file.read(struct.calcsize(format)))
