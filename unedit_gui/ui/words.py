"""The page's words in another language: a catalogue per language, in which the English sentence is the key.

`_("Ask both")` in a template or in Python gives the sentence in the language that is being drawn, or the English one
where the catalogue has none; `_("{n} columns", n=3)` fills in what changes. Which language that is, `speaking` says:
a panel is drawn for one browser session at a time, and a context variable keeps threads apart.

Gradio's own `gr.I18n` translates labels in the browser, by the browser's language, and reaches nothing that Python
writes. So it decides which language a page begins in (see `ui/app.py`), and this catalogue has the words.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

import yaml

FOLDER = Path(__file__).resolve().parent / "languages"
LANGUAGES = {"en": "English", "de": "Deutsch"}
_current: ContextVar[str] = ContextVar("language", default="en")


@cache
def catalogue(language: str) -> dict[str, str]:
    """English sentences with those of a language; English itself has none."""
    path = FOLDER / f"{language}.yaml"
    return yaml.safe_load(path.read_text("utf-8")) if language in LANGUAGES and path.is_file() else {}


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Words are in this language inside the block."""
    token = _current.set(language if language in LANGUAGES else "en")
    try:
        yield
    finally:
        _current.reset(token)


def translate(text: str, /, **values: object) -> str:
    """A sentence in the language that is being drawn, with `{name}` filled in from `values`."""
    found = catalogue(_current.get()).get(text, text)
    return found.format(**values) if values else found


def language() -> str:
    """The language that is being drawn."""
    return _current.get()
