"""Drawing: Jinja templates with autoescaping, so that no text of a user, a file or a model is ever read as HTML.

The page's panels are plain HTML (see `panel.py`): an element with `data-act` is a button, one with
`data-field` an input; `assets/unedit.js` sends both to the tab's Python.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from unedit_gui.ui import words
from unedit_gui.ui.words import translate

TEMPLATES = Path(__file__).resolve().parent / "templates"


@dataclass(frozen=True)
class Notice:
    """What a tab has to tell, where the eye is: a sentence, details in a list, and perhaps an Undo."""

    text: str
    tone: str = "good"  # good | warn | bad
    details: tuple[str, ...] = ()
    undo: bool = False
    undone: str = ""  # what that Undo takes back, where this came after it
    step: int | None = None  # a step to offer going to
    step_text: str = ""
    serial: int = 0  # of what was told in the session: the same text told again is news, too


def seconds(value: float | None) -> str:
    """A duration as a person says it: "8 s", "2 min 5 s"."""
    if value is None:
        return ""
    whole = max(0, round(value))
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"


def plural(count: int, one: str, many: str = "") -> str:
    """A count with its word, in the language that is being drawn: "1 question", "3 questions"."""
    return f"{count:,} {words.translate(one if count == 1 else many or one + 's')}"


def shorten(text: str, limit: int = 60) -> str:
    """A text on one line, cut where it is too long."""
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def number(value: float | None, digits: int = 2) -> str:
    """A figure with so many digits, or a dash where nothing was measured."""
    return "–" if value is None else f"{value:.{digits}f}"


def percent(value: float | None) -> str:
    """A share in percent, or a dash."""
    return "–" if value is None else f"{value:.0%}"


def when(created: str) -> str:
    """A stored UTC time as the clock on the wall shows it, written as in the language that is being drawn."""
    try:
        return datetime.fromisoformat(created).astimezone().strftime(translate("%d %b %H:%M"))
    except ValueError:
        return created


def rich(text: str, /, **values: Any) -> Markup:
    """A translated sentence that has markup in it, such as a bold word: what isn't markup is escaped."""
    return escape(words.translate(text)).format(**values)


def entry(value: Any) -> str:
    """A value of a manifest as people read it."""
    if value is None:
        return "–"
    if isinstance(value, list | tuple):
        return shorten(", ".join(map(str, value)) or "none", 80)
    return f"{value:g}" if isinstance(value, float) else shorten(str(value), 80)


def _environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (seconds, plural, shorten, number, percent, when, entry)
    found.filters.update({function.__name__: function for function in filters})
    found.globals.update(_=words.translate, rich=rich, language=words.language)
    return found


_TEMPLATES = _environment()


def draw(template: str, **values: Any) -> str:
    """The HTML of a template with these values."""
    return _TEMPLATES.get_template(f"{template}.html").render(values)
