"""The codes that participants hold. The file keeps a hash of each, so that nobody who reads it can take part as them.

A code is twelve letters: four that name the study, eight by lot (40 bits), shown in groups of four.
"""

from __future__ import annotations

import csv
import hashlib
import io
import secrets
from collections.abc import Sequence

from unedit_gui.errors import BadInput

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


def invitations(codes: Sequence[str], url: str) -> list[dict[str, str]]:
    """Each `code` with its `link`, for pages that are reached under `url`. BadInput for what is no web address."""
    address = url.strip().rstrip("/")
    if not address.startswith(("http://", "https://")) or any(sign.isspace() for sign in address):
        raise BadInput(f"The address {url!r} can't be right: give one that begins with http:// or https://.")
    if not address.endswith("/study"):
        address += "/study"
    return [{"code": code, "link": f"{address}/j/{code}"} for code in codes]


def invitations_csv(rows: Sequence[dict[str, str]]) -> str:
    """The same as CSV with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, ["code", "link"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
