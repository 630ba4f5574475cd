"""Small pieces of HTML that every tab is made of. Whatever comes from a user, a file or a model goes through `esc`.

The page's own panels are plain HTML (see `panel.py`): an element with `data-act` is a button, one with
`data-field` an input; `assets/unedit.js` sends both to the tab's Python.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


def esc(text: object) -> str:
    """Text as it is safe between tags and inside quoted attributes."""
    return html.escape("" if text is None else str(text), quote=True)


def attributes(values: Mapping[str, Any]) -> str:
    """Attributes from a mapping; None and False are left out, True stands alone, `_` becomes `-`."""
    parts = []
    for name, value in values.items():
        if value is None or value is False:
            continue
        name = name.rstrip("_").replace("_", "-")
        parts.append(f" {name}" if value is True else f' {name}="{esc(value)}"')
    return "".join(parts)


def button(text: str, act: str, *, kind: str = "plain", disabled: bool = False, hint: str = "", **data: Any) -> str:
    """A button that sends `act`. kind: "main" (one per view), "plain", "quiet", "danger"."""
    extra = {f"data-{name.replace('_', '-')}": value for name, value in data.items()}
    attrs = attributes({"data-act": act, "disabled": disabled, "title": hint or None, **extra})
    return f'<button type="button" class="btn {kind}"{attrs}>{esc(text)}</button>'


def icon_button(symbol: str, label: str, act: str, **data: Any) -> str:
    """A small button with a symbol, and a name for those who can't see it."""
    extra = {f"data-{name.replace('_', '-')}": value for name, value in data.items()}
    attrs = attributes({"data-act": act, "aria-label": label, "title": label, **extra})
    return f'<button type="button" class="btn icon"{attrs}><span aria-hidden="true">{esc(symbol)}</span></button>'


def hint(text: str, about: str = "") -> str:
    """A question mark that explains a word, on hover and on keyboard focus."""
    name = f"{about}: {text}" if about else text
    return f'<button type="button" class="hint" aria-label="{esc(name)}" data-tip="{esc(text)}">?</button>'


def pill(text: str, tone: str = "") -> str:
    """A short state. tone: "", "good", "warn", "bad", "accent"."""
    return f'<span class="pill {tone}">{esc(text)}</span>'


def heading(title: str, lead: str, number: int) -> str:
    """The head of a step: its number, its name and one sentence on what it is for."""
    return f'<header class="step-head"><h2><span class="num">{number}</span>{esc(title)}</h2><p>{lead}</p></header>'


def area(
    field: str, value: str, *, label: str, rows: int = 1, placeholder: str = "", visible_label: bool = False, **more: Any
) -> str:
    """A text area. `label` is its name for screen readers, shown above it with `visible_label`."""
    extra = {f"data-{name.replace('_', '-')}": v for name, v in more.items()}
    attrs = attributes(
        {
            "data-field": field,
            "rows": rows,
            "value": value,
            "placeholder": placeholder or None,
            "aria-label": None if visible_label else label,
            "spellcheck": "false",
            **extra,
        }
    )
    # The first newline after <textarea> is dropped by browsers, so one is given to drop.
    control = f"<textarea{attrs}>\n{esc(value)}</textarea>"
    return f'<label class="field"><span class="label">{esc(label)}</span>{control}</label>' if visible_label else control


def text_input(field: str, value: object, *, label: str, kind: str = "text", extra: str = "", **more: Any) -> str:
    """A labelled one-line input; `extra` is HTML behind the label (a hint)."""
    data = {(k if k in ("min", "max", "step", "placeholder") else f"data-{k.replace('_', '-')}"): v for k, v in more.items()}
    attrs = attributes({"type": kind, "data-field": field, "value": "" if value is None else value, **data})
    return (
        f'<div class="field"><span class="label-line"><label class="label" for="f-{esc(field)}">{esc(label)}</label>'
        f'{extra}</span><input id="f-{esc(field)}"{attrs}></div>'
    )


def select(field: str, choices: Iterable[tuple[str, str]], chosen: str, *, label: str, extra: str = "") -> str:
    """A labelled drop-down of (value, text) pairs."""
    options = "".join(
        f'<option value="{esc(value)}"{" selected" if value == chosen else ""}>{esc(text)}</option>'
        for value, text in choices
    )
    return (
        f'<div class="field"><span class="label-line"><label class="label" for="f-{esc(field)}">{esc(label)}</label>'
        f'{extra}</span><select id="f-{esc(field)}" data-field="{esc(field)}">{options}</select></div>'
    )


def check(field: str, text: str, on: bool, *, disabled: bool = False, extra: str = "", **data: Any) -> str:
    """A check box with its text."""
    more = {f"data-{name.replace('_', '-')}": value for name, value in data.items()}
    attrs = attributes({"type": "checkbox", "data-field": field, "checked": on, "disabled": disabled, **more})
    return f'<span class="check"><label><input{attrs}><span>{esc(text)}</span></label>{extra}</span>'


def radios(
    field: str, legend: str, choices: Sequence[tuple[str, str, str]], chosen: str | None, *, extra: str = "", style: str = ""
) -> str:
    """A fieldset of radio buttons: (value, text, note) each. `chosen` None leaves all of them unset."""
    parts = []
    for value, text, note in choices:
        attrs = attributes(
            {"type": "radio", "name": f"r-{field}", "data-field": field, "value": value, "checked": value == chosen}
        )
        small = f"<small>{esc(note)}</small>" if note else ""
        parts.append(f'<label class="choice"><input{attrs}><span class="text"><b>{esc(text)}</b>{small}</span></label>')
    return (
        f'<fieldset class="choices {style}"><legend>{esc(legend)}{extra}</legend>'
        f'<div class="options">{"".join(parts)}</div></fieldset>'
    )


@dataclass(frozen=True)
class Notice:
    """What a tab has to tell, where the eye is: a sentence, details in a list, and perhaps an Undo."""

    text: str
    tone: str = "good"  # good | warn | bad
    details: tuple[str, ...] = ()
    undo: bool = False
    step: int | None = None  # a step to offer going to
    step_text: str = ""

    def html(self) -> str:
        shown = self.details[:50]
        more = len(self.details) - len(shown)
        items = "".join(f"<li>{esc(line)}</li>" for line in shown) + (f"<li>and {more:,} more</li>" if more else "")
        listing = f"<ul>{items}</ul>" if items else ""
        buttons = button("Undo", "undo", kind="quiet") if self.undo else ""
        if self.step:
            buttons += button(self.step_text, "go", kind="quiet", step=self.step)
        role = "alert" if self.tone == "bad" else "status"
        return (
            f'<div class="notice {self.tone}" role="{role}"><div><p>{esc(self.text)}</p>{listing}</div>'
            f'<div class="notice-acts">{buttons}{icon_button("×", "Close this message", "dismiss")}</div></div>'
        )


def notice(found: Notice | None) -> str:
    """A notice's HTML; an empty place of the same shape where there is none."""
    return found.html() if found else '<div class="no-notice"></div>'


def empty(title: str, text: str, buttons: str = "") -> str:
    """What a view shows while it has nothing: what it would show, and what to do next."""
    return f'<div class="empty"><h3>{esc(title)}</h3><p>{text}</p><div class="acts">{buttons}</div></div>'


def meter(done: int, total: int | None, label: str) -> str:
    """A progress bar; without a total it only says that something moves."""
    if not total:
        return f'<div class="meter moving" role="progressbar" aria-label="{esc(label)}"><i></i></div>'
    percent = max(0, min(100, round(100 * done / total)))
    return (
        f'<div class="meter" role="progressbar" aria-label="{esc(label)}" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{percent}"><i style="width:{percent}%"></i></div>'
    )


def seconds(value: float | None) -> str:
    """A duration as a person says it: "8 s", "2 min 5 s"."""
    if value is None:
        return ""
    whole = max(0, round(value))
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60} s"


def plural(count: int, one: str, many: str = "") -> str:
    """"1 question", "3 questions"."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
