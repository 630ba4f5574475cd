"""What participants see: server-rendered pages that need no script.

Every form is POST, redirect, GET; the state is in the study's file and nowhere else. No page, path or identifier holds
the name of a condition, and items are known by their place alone.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi import Path as Number
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from unedit_gui.errors import BadInput

from . import taking
from .mishaps import Foreign, Gone, Shut, say_errors
from .protocol import DEMOGRAPHICS, MOST
from .store import Study
from .visits import COOKIE, HEADERS, Shelf, Visit, base, read_form, render, seated
from .wording import ANCHORS, GONE, LABELS, QUESTIONS

Place = Annotated[int, Number(ge=1, le=2 * MOST)]  # of an item, in its address
ASSETS = Path(__file__).resolve().parents[2] / "assets"


def participant_app(studies: Callable[[], Sequence[Study]]) -> FastAPI:
    """The pages, to be mounted under a path (`/study`) or served alone. `studies` says which there are."""
    # redirect_slashes would tell the address that a proxy asked for, which participants may not reach.
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    shelf = Shelf(studies)
    files = {
        "page.css": ("text/css", (ASSETS / "study.css").read_text("utf-8")),
        "page.js": ("text/javascript", (ASSETS / "study.js").read_text("utf-8")),
    }

    def visiting(request: Request, form: dict[str, str] = Depends(read_form)) -> Visit:  # noqa: B008
        code = request.cookies.get(COOKIE, "")
        found = shelf.find(code)
        if not found:
            raise Gone
        return Visit(request, *found, code, form)

    def taking_part(visit: Visit = Depends(visiting)) -> Visit:  # noqa: B008
        if visit.study.state != "open":
            raise Shut(visit)
        if visit.request.method == "POST" and not visit.own_form():
            raise Foreign(visit)
        return visit

    visitor, participant = Depends(visiting), Depends(taking_part)

    # ------------------------------------------------------------ coming in

    @app.get("/")
    def welcome(request: Request):
        if shelf.find(request.cookies.get(COOKIE, "")):
            return RedirectResponse(f"{base(request)}/next", 303)
        return render(request, "welcome", "Welcome", given="")

    @app.post("/")
    def enter(request: Request, form: dict[str, str] = Depends(read_form)):  # noqa: B008
        given = form.get("code", "")
        if not shelf.find(given):
            told = "This code is not known. Please check it letter by letter; a code has three groups of four."
            return render(request, "welcome", "Error: welcome", 422, given=given[:40], told=told)
        return seated(request, given)

    @app.get("/j/{code}")
    def join(request: Request, code: str):
        return seated(request, code) if shelf.find(code) else RedirectResponse(f"{base(request)}/unknown", 303)

    @app.get("/unknown")
    def unknown(request: Request):
        told = "This link is not known, or what belonged to it was erased."
        return render(request, "welcome", "Welcome", 404, given="", told=told)

    @app.get("/next")
    def next_step(visit: Visit = participant):
        return visit.go(_path(visit))

    # ---------------------------------------------------------- before items

    @app.get("/consent")
    def read_consent(visit: Visit = participant):
        return visit.page("consent", "Consent", digest=visit.study.protocol.consent_sha256)

    @app.post("/consent")
    def give_consent(visit: Visit = participant):
        if visit.form.get("agree") != "yes":
            told = "Please tick the box if you agree. If you don't, just close this page; nothing was stored."
            digest = visit.study.protocol.consent_sha256
            return visit.page("consent", "Error: consent", 422, digest=digest, told=told)
        taking.consent(visit.study, visit.rater, visit.form.get("text", ""))
        return visit.go("next")

    def about(visit: Visit, status: int = 200, told: str = "") -> Response:
        asked = [(f, LABELS[f], DEMOGRAPHICS[f], must) for f, must in visit.study.protocol.demographics]
        title = "Error: about you" if told else "About you"
        return visit.page("about", title, status, asked=asked, given=visit.form, told=told)

    @app.get("/about-you")
    def ask_about(visit: Visit = participant):
        return about(visit) if _consented(visit) else visit.go("next")

    @app.post("/about-you")
    def tell_about(visit: Visit = participant):
        if not _consented(visit):
            return visit.go("next")
        missing = [
            LABELS[field].lower()
            for field, must in visit.study.protocol.demographics
            if must and visit.form.get(field) not in DEMOGRAPHICS[field]
        ]
        if missing:
            return about(visit, 422, f"Please choose an answer: {', '.join(missing)}.")
        taking.tell(visit.study, visit.rater, visit.form)
        return visit.go("next")

    @app.get("/instructions")
    def instructions(visit: Visit = participant):
        return visit.page("instructions", "Instructions") if _consented(visit) else visit.go("next")

    @app.post("/instructions")
    def understood(visit: Visit = participant):
        if taking.where(visit.study, visit.rater).step not in (taking.CONSENT, taking.ABOUT):
            taking.begin(visit.study, visit.rater)
        return visit.go("next")

    # ------------------------------------------------------------------ items

    def item(visit: Visit, position: int, status: int = 200, told: str = "") -> Response:
        at = taking.where(visit.study, visit.rater)
        if _ahead(at, position):
            return visit.go(_path(visit, at))
        found = taking.show(visit.study, visit.rater, position)
        if found is None:
            return visit.go(_path(visit, at))
        given = dict(visit.form)
        if visit.request.method == "GET" and found.given:
            g = found.given
            given = {"forgotten": str(g.forgotten), "comment": g.comment}
            if g.forgotten:
                given |= {"entailment": str(g.entailment), "trust": str(g.trust)}
        name = "Practice" if position == 0 else f"Item {position} of {at.items}"
        return visit.page(
            "item",
            f"Error: {name}" if told else name,
            status,
            heading=name,
            item=found,
            items=at.items,
            answered=at.answered,
            given=given,
            told=told,
            missing=_missing(given) if told else (),
            nonce=visit.form.get("nonce") or secrets.token_hex(16),
            practice=visit.study.protocol.practice is not None,
            questions=dict(QUESTIONS),
            gone=GONE,
            anchors=ANCHORS,
        )

    def take(visit: Visit, position: int) -> Response | None:
        """Store what the form says; a page if it can't be stored."""
        missing = _missing(visit.form)
        if missing:
            words = dict(QUESTIONS)
            return item(visit, position, 422, "Please answer: " + " ".join(words[name] for name in missing))
        scales = [int(visit.form[name]) if visit.form["forgotten"] == "1" else None for name in ("entailment", "trust")]
        try:
            comment = visit.form.get("comment", "").replace("\r\n", "\n").strip()
            given = taking.Given(int(visit.form["forgotten"]), *scales, comment, _seconds(visit.form.get("focus", "")))
        except BadInput as error:
            return item(visit, position, 422, str(error))
        taking.answer(visit.study, visit.rater, position, given, visit.form.get("nonce", ""))
        return None

    @app.get("/practice")
    def practice(visit: Visit = participant):
        return item(visit, 0)

    @app.post("/practice")
    def practised(visit: Visit = participant):
        return take(visit, 0) or visit.go("practice/notes")

    @app.get("/practice/notes")
    def notes(visit: Visit = participant):
        found = taking.show(visit.study, visit.rater, 0)
        if found is None or found.given is None:
            return visit.go("next")
        worked = visit.study.protocol.practice
        gone = {value: label for value, label, _ in GONE}
        return visit.page("notes", "After the practice", item=found, worked=worked, gone=gone)

    @app.get("/item/{position}")
    def one_item(position: Place, visit: Visit = participant):
        return item(visit, position)

    @app.post("/item/{position}")
    def judged(position: Place, visit: Visit = participant):
        at = taking.where(visit.study, visit.rater)
        if _ahead(at, position):
            return visit.go(_path(visit, at))
        refused = take(visit, position)
        if refused:
            return refused
        # Whoever went back to change an answer goes on from there.
        return visit.go(f"item/{position + 1}" if position < at.items else "next")

    @app.get("/thanks")
    def thanks(visit: Visit = visitor):
        at = taking.where(visit.study, visit.rater)
        if at.step != taking.THANKS:
            return visit.go("next")
        return visit.page("thanks", "Thank you", at=at, open=visit.study.state == "open")

    # ------------------------------------------------------------- going away

    @app.get("/leave")
    def leave(visit: Visit = visitor):
        return visit.page("leave", "Go on later")

    @app.post("/leave")
    def left(visit: Visit = visitor):
        answer = visit.go("")
        answer.delete_cookie(COOKIE, path=visit.base or "/")
        return answer

    @app.get("/withdraw")
    def withdraw(visit: Visit = visitor):
        return visit.page("withdraw", "Withdraw")

    @app.post("/withdraw")
    def withdrawn(visit: Visit = visitor):
        if not visit.own_form():
            raise Foreign(visit)
        if visit.form.get("erase") != "yes":
            return visit.page("withdraw", "Error: withdraw", 422, told="Please tick the box to erase everything.")
        visit.study.erase(visit.rater)
        answer = visit.go("withdrawn")
        answer.delete_cookie(COOKIE, path=visit.base or "/")
        return answer

    @app.get("/withdrawn")
    def gone(request: Request):
        return render(request, "message", "Erased", text="Everything that you gave was erased.", again="")

    @app.get("/look/{name}")
    def file(name: str):
        if name not in files:
            raise HTTPException(404)
        kind, text = files[name]
        return Response(text, media_type=kind, headers={**HEADERS, "Cache-Control": "max-age=3600"})

    say_errors(app)
    return app


def _path(visit: Visit, at: taking.Where | None = None) -> str:
    at = at or taking.where(visit.study, visit.rater)
    paths = {taking.ABOUT: "about-you", taking.ITEM: f"item/{at.position}"}
    return paths.get(at.step, at.step)


def _ahead(at: taking.Where, position: int) -> bool:
    """Nobody jumps ahead: an item is seen, and judged, when those before it were answered."""
    return at.step != taking.THANKS and (at.step not in (taking.PRACTICE, taking.ITEM) or position > at.position)


def _consented(visit: Visit) -> bool:
    return taking.where(visit.study, visit.rater).step != taking.CONSENT


def _missing(form: dict[str, str]) -> list[str]:
    """Which questions of an item have no answer; the scales count only where the answer is gone."""
    missing = [] if form.get("forgotten") in ("0", "1") else ["forgotten"]
    if form.get("forgotten") == "1":
        missing += [name for name in ANCHORS if form.get(name) not in ("1", "2", "3", "4", "5")]
    return missing


def _seconds(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value < 1e7 else None
