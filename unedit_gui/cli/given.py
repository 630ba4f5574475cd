"""What options take: checks that the parser makes while it reads them, each with a sentence of its own."""

from __future__ import annotations

from argparse import ArgumentTypeError

LARGEST_SEED = 2**63 - 1  # what every random generator in use takes


def seed(text: str) -> int:
    """A whole number that random draws can begin with."""
    found = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else -1
    if not 0 <= found <= LARGEST_SEED:
        raise ArgumentTypeError(f"{text[:30]} can't be used; give a whole number from 0 to {LARGEST_SEED:,}")
    return found


def named(text: str) -> str:
    """A name that says something: an empty one would stand for this folder, or for nothing."""
    if not text.strip():
        raise ArgumentTypeError("nothing is named; give a name")
    return text
