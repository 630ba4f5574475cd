"""The codes that participants hold. The file keeps a hash of each, so that nobody who reads it can take part as them.

A code is twelve letters: four that name the study, eight by lot (40 bits), shown in groups of four.
"""

from __future__ import annotations

import hashlib
import secrets

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # no I, L, O, U: what is read out or written down stays clear


def letters(count: int) -> str:
    """So many letters by lot."""
    return "".join(secrets.choice(ALPHABET) for _ in range(count))


def shown(code: str) -> str:
    """A code as it is read: in groups of four."""
    return "-".join(code[i : i + 4] for i in range(0, len(code), 4))


def plain(code: str) -> str:
    """A code as it was meant: groups, small letters and look-alikes don't matter. "" where it can't be one."""
    text = code[:64].upper().translate(str.maketrans("OIL", "011"))
    text = "".join(letter for letter in text if letter in ALPHABET)
    return text if len(text) == 12 else ""


def hashed(code: str) -> str:
    return hashlib.sha256(plain(code).encode()).hexdigest()
