"""Which variants answer in the chat: two panes (the original, and all that is switched on), or up to six columns
(the original, and five edits or stacks of edits side by side)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unedit_gui.errors import BadInput
from unedit_gui.ui.session import Author, Pane, Session, Turn
from unedit_gui.ui.words import translate as _
from unedit_gui.workbench.shared import COLUMNS

if TYPE_CHECKING:
    from unedit_gui.edits.edit import Edit
    from unedit_gui.ui.lab import Lab

MOST = COLUMNS
VIEWS = (("panes", "Two panes"), ("columns", "Columns"), ("duel", "Blinded duel"))


def view(session: Session) -> str:
    """How the chat is laid out: one of VIEWS."""
    found = session.form.get("view", "panes")
    return found if found in dict(VIEWS) else "panes"


def chosen(lab: Lab, session: Session) -> list[tuple[str, ...]]:
    """The edits of each column beside the original; what was deleted meanwhile is left out."""
    if session.columns is None:
        order = [i for i in lab.edits if i in session.enabled] + [i for i in lab.edits if i not in session.enabled]
        return [(i,) for i in order[: MOST - 1]]
    return [ids for ids in session.columns if all(i in lab.edits for i in ids)]


def stack(lab: Lab, ids: tuple[str, ...]) -> tuple[Edit, ...]:
    """The edits of a column with those that they were made on top of, oldest first."""
    return tuple(dict.fromkeys(part for i in ids for part in lab.bench.stack(lab.edits[i])))


def names(lab: Lab, ids: tuple[str, ...]) -> str:
    """What a column is called."""
    return " + ".join(lab.edits[i].name for i in ids)


def plan(lab: Lab, session: Session) -> list[tuple[Pane, tuple[Edit, ...]]]:
    """The panes that the next question gets, with the edits that answer in each; the original first."""
    found: list[tuple[Pane, tuple[Edit, ...]]] = [(Pane("original", lab.author()), ())]
    if view(session) == "columns":
        for ids in chosen(lab, session):
            found.append((Pane("+".join(ids), lab.author([lab.edits[i] for i in ids], " + ")), stack(lab, ids)))
    elif on := lab.enabled(session):
        found.append((Pane("edited", lab.author(on)), on))
    return found


def model_of(turn: Turn) -> tuple[str, ...]:
    """The model that answered a turn, as (fingerprint, name), for two may be called alike; empty while none has."""
    by = turn.panes[0].by if turn.panes else Author()
    return (by.fingerprint, by.model) if by.model else ()


def switched(turns: list[Turn], number: int) -> str:
    """The model that a turn was answered by, where that isn't the one of the turns before; else ""."""
    now = model_of(turns[number])
    before = next(filter(None, map(model_of, reversed(turns[:number]))), ())
    return now[1] if now and before and now[0] != before[0] else ""


def history(turns: list[Turn], pane: Pane) -> list[dict[str, str]]:
    """The conversation that the last turn belongs to, as a pane has it, ending in its question.

    Each goes on with what the same edits said before, wherever they stood. What another model or other edits said is
    no history of it.
    """
    start = max((i for i, turn in enumerate(turns) if turn.fresh or switched(turns, i)), default=0)
    found = []
    for turn in turns[start:-1]:
        same = [p for p in turn.panes if p.edits == pane.edits]
        if same and same[0].text:
            found.append({"role": "user", "content": turn.question})
            found.append({"role": "assistant", "content": same[0].text})
    return [*found, {"role": "user", "content": turns[-1].question}]


# ---------------------------------------------------------------- the page


def field(lab: Lab, session: Session, data: dict) -> bool:
    """Take a change of one of the choices; False if it is none of them."""
    name, on = data["field"], data.get("value") == "1"
    if name == "view":
        show(session, str(data["value"]))
    elif name == "column":
        _choose(lab, session, (str(data["edit"]),), on)
    elif name == "stacked":
        session.stacking = (session.stacking | {data["edit"]}) if on else session.stacking - {data["edit"]}
        session.touch("chat")
    else:
        return False
    return True


def show(session: Session, wanted: str) -> None:
    """Lay the chat out in another way."""
    if wanted in dict(VIEWS):
        session.form["view"] = wanted
        session.form.pop("focus", None)
        session.notices.pop("chat", None)
        session.touch("chat")


def _choose(lab: Lab, session: Session, ids: tuple[str, ...], on: bool) -> None:
    now = chosen(lab, session)
    if on and ids not in now:
        session.touch("chat")
        if len(now) >= MOST - 1:
            raise BadInput(_("{n} columns are the most, the original among them; take one away first.", n=MOST))
        now = [*now, ids]
    elif not on:
        now = [other for other in now if other != ids]
    if (told := session.notices.get("chat")) is not None and told.tone == "bad":  # its cause is mended
        del session.notices["chat"]
    session.columns = now
    session.touch("chat")


def _drop(lab: Lab, session: Session, data: dict) -> None:
    _choose(lab, session, tuple(str(data["column"]).split("+")), False)


def _choosing(lab: Lab, session: Session, data: dict) -> None:
    session.form["choosing"] = "" if session.form.get("choosing") else "1"
    session.touch("chat")


def _stack(lab: Lab, session: Session, data: dict) -> None:
    ids = tuple(i for i in reversed(list(lab.edits)) if i in session.stacking)
    if len(ids) < 2:
        raise BadInput("Tick at least two edits to be one column together.")
    _choose(lab, session, ids, True)
    session.stacking = set()


def _focus(lab: Lab, session: Session, data: dict) -> None:
    """Show one column alone; the same again goes back to all."""
    slot = str(data["slot"])
    session.form["focus"] = "" if session.form.get("focus") == slot else slot
    session.touch("chat")


def drawn(lab: Lab, session: Session) -> dict[str, Any]:
    """What the template needs to know of the choice."""
    now = chosen(lab, session)
    panes = [pane for pane, _ in plan(lab, session)]
    focus = session.form.get("focus", "")
    return {
        "view": view(session),
        "views": VIEWS,
        "columns": now,
        "stacks": [("+".join(ids), names(lab, ids)) for ids in now if len(ids) > 1],
        "plan": panes,
        "focus": focus if any(pane.slot == focus for pane in panes) else "",
        "choosing": bool(session.form.get("choosing")),
        "stacked": session.stacking,
    }


ACTS = {"drop-column": _drop, "choosing": _choosing, "stack": _stack, "focus": _focus}
