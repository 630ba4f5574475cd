"""Messages that stand in a section of a step, beside its buttons, which may be far from the step's top."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from unedit_gui.errors import UneditError
from unedit_gui.ui.lab import Lab
from unedit_gui.ui.session import Session


def told_in(place: str, view: str) -> Callable[[Callable], Callable]:
    """For an act whose complaints stand in `place`, a section of `view`.

    What stands there goes with the next click, unless it offers an Undo.
    """

    def wrapped(act: Callable) -> Callable:
        @wraps(act)
        def acted(lab: Lab, session: Session, *given) -> dict | None:
            if (found := session.notices.get(place)) is not None and not found.undo:
                del session.notices[place]
            session.touch(view)
            try:
                return act(lab, session, *given)
            except UneditError as error:
                session.tell(place, str(error), "bad")
                session.touch(view)
            return None

        return acted

    return wrapped
