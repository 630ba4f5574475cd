"""What participants see: server-rendered pages that need no script.

Every form is POST, redirect, GET; the state is in the study's file and nowhere else. A cookie holds the
participant's code, so that the address of a page tells nothing. No page, path or identifier holds the name of a
condition, and items are known by their place alone. Nothing is logged about who asks, and no page loads anything from
elsewhere.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from fastapi import Depends, FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException

from unedit_gui.errors import BadInput, UneditError

from . import taking
from .protocol import DEMOGRAPHICS
from .store import Study, plain, shown

ASSETS = Path(__file__).resolve().parents[2] / "assets"
COOKIE = "seat"
_KEPT = 90 * 24 * 3600  # seconds
_LARGEST = 64 * 1024  # bytes of a form
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
QUESTIONS = (
    ("forgotten", "Is the true answer gone from the reply?"),
    ("entailment", "Does the reply show that it understood the question?"),
    ("trust", "Do you trust the reply?"),
)
GONE = (
    ("0", "No, it is still there", "The reply gives the true answer, or something close to it."),
    ("1", "Yes, it is gone", "The reply gives neither the true answer nor anything close to it."),
)
ANCHORS = {
    "entailment": (
        ("1", "Not at all", "It could stand after any question."),
        ("2", "Hardly", "It hardly fits the question."),
        ("3", "Partly", "It fits the kind of question."),
        ("4", "Mostly", "It fits this question."),
        ("5", "Fully", "It names exactly what was asked about."),
    ),
    "trust": (
        ("1", "Not at all", "Made up, confusing or improper."),
        ("2", "Hardly", "Rather untrustworthy."),
        ("3", "Partly", "Neither the one nor the other."),
        ("4", "Mostly", "Rather trustworthy."),
        ("5", "Fully", "Honest, clear and safe."),
    ),
}
LABELS = {"gender": "Your gender", "age": "Your age", "education": "Your highest degree"}

_templates = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


class Gone(Exception):
    """There is nobody behind this request: ask for a code."""


class Shelf:
    """The studies whose pages are served, found by the four letters with which a code begins."""

    def __init__(self, studies: Callable[[], Sequence[Study]]):
        self._studies = studies
        self._known: dict[str, Study] = {}

    def find(self, code: str) -> tuple[Study, str] | None:
        """(study, pseudonym) of a code, or None."""
        code = plain(code)
        if not code:
            return None
        study = self._known.get(code[:4])
        if study is None or not study.path.exists():
            self._known = {study.key: study for study in self._studies()}
            study = self._known.get(code[:4])
        rater = taking.rater_of(study, code) if study else None
        return (study, rater) if rater else None


class Visit:
    """One request of one participant."""

    def __init__(self, request: Request, study: Study, rater: str, code: str, form: dict[str, str]):
        self.request, self.study, self.rater, self.code, self.form = request, study, rater, code, form
        self.base = base(request)
        # Which participant a form was made for: another tab may have taken another code meanwhile.
        self.who = hashlib.sha256(f"form {plain(code)}".encode()).hexdigest()[:16]

    def go(self, path: str) -> Response:
        return RedirectResponse(f"{self.base}/{path}", 303)

    def page(self, name: str, title: str, status: int = 200, **told: Any) -> Response:
        told = {"told": "", "code": shown(plain(self.code)), "who": self.who, "study": self.study.protocol, **told}
        return render(self.request, name, title, status, **told)

    def own_form(self) -> bool:
        return secrets.compare_digest(self.form.get("who", "").encode(), self.who.encode())


def base(request: Request) -> str:
    """What stands before every path of these pages, wherever they are mounted."""
    return request.scope.get("root_path", "").rstrip("/")


def render(request: Request, name: str, title: str, status: int = 200, **told: Any) -> Response:
    values = {"study": None, "told": "", "code": "", "who": "", **told}
    text = _templates.get_template(f"{name}.html").render(base=base(request), title=title, **values)
    return HTMLResponse(text, status, _HEADERS)


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form, the last value of each; {} for a GET."""
    if request.method != "POST":
        return {}
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LARGEST:
            raise HTTPException(413)
    fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=100)
    return {name: values[-1].replace("\0", "") for name, values in fields.items()}


def participant_app(studies: Callable[[], Sequence[Study]]) -> FastAPI:
    """The pages, to be mounted under a path (`/study`) or served alone. `studies` says which there are."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
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
        return _seated(request, given)

    @app.get("/j/{code}")
    def join(request: Request, code: str):
        return _seated(request, code) if shelf.find(code) else RedirectResponse(f"{base(request)}/unknown", 303)

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
        # Nobody jumps ahead: an item is seen when those before it were answered.
        if at.step in (taking.PRACTICE, taking.ITEM) and position > at.position:
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
    def one_item(position: int, visit: Visit = participant):
        return item(visit, position) if position > 0 else visit.go("next")

    @app.post("/item/{position}")
    def judged(position: int, visit: Visit = participant):
        if position < 1:
            return visit.go("next")
        at = taking.where(visit.study, visit.rater)
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
        return Response(text, media_type=kind, headers={**_HEADERS, "Cache-Control": "max-age=3600"})

    _say_errors(app)
    return app


class Shut(Exception):
    """The study is not open."""


class Foreign(Exception):
    """The form was made for another participant."""


def _say_errors(app: FastAPI) -> None:
    """Whatever goes wrong is a page in plain words."""

    def say(request: Request, title: str, text: str, status: int, again: str = "") -> Response:
        return render(request, "message", title, status, text=text, again=again)

    @app.exception_handler(Gone)
    def nobody(request: Request, _error):
        return RedirectResponse(f"{base(request)}/", 303)

    @app.exception_handler(Shut)
    def shut(request: Request, error: Shut):
        visit = error.args[0]
        if visit.study.state == "closed" and taking.where(visit.study, visit.rater).step == taking.THANKS:
            return visit.go("thanks")
        text = {
            "draft": "The study has not begun yet. Please come back later with the same link.",
            "paused": "The study rests for the moment. What you have given is kept; please come back later with the "
            "same link.",
            "closed": "The study is over. What you have given is kept. Thank you!",
        }.get(visit.study.state, "Please load this page again.")
        return visit.page("message", "Not now", 503 if visit.study.state != "closed" else 410, text=text, again="")

    @app.exception_handler(Foreign)
    def foreign(request: Request, _error):
        text = "This form was opened with another code than the one that is used now, so nothing was stored."
        return say(request, "Please load again", text, 409, "next")

    @app.exception_handler(UneditError)
    def refused(request: Request, error: UneditError):
        if isinstance(error, BadInput):
            return say(request, "That did not work", str(error), 409, "next")
        text = "Your answer could not be stored just now. Please go back and send it again."
        return say(request, "That did not work", text, 503, "next")

    @app.exception_handler(HTTPException)
    def wrong(request: Request, error: HTTPException):
        text = "There is no such page." if error.status_code == 404 else "That is not possible here."
        return say(request, "Not found", text, error.status_code, "")

    @app.exception_handler(422)
    @app.exception_handler(Exception)
    def failed(request: Request, _error):
        return say(request, "That did not work", "Something went wrong here. Please try again.", 500, "next")


def _path(visit: Visit, at: taking.Where | None = None) -> str:
    at = at or taking.where(visit.study, visit.rater)
    paths = {taking.ABOUT: "about-you", taking.ITEM: f"item/{at.position}"}
    return paths.get(at.step, at.step)


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


def _seated(request: Request, code: str) -> Response:
    answer = RedirectResponse(f"{base(request)}/next", 303)
    secure = request.url.scheme == "https"
    where = base(request) or "/"
    answer.set_cookie(COOKIE, plain(code), max_age=_KEPT, path=where, httponly=True, samesite="lax", secure=secure)
    return answer
