"""What participants read where something can't be done: always a page in plain words, with a way on."""

from __future__ import annotations

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from unedit_gui.errors import BadInput, UneditError

from . import taking
from .database import Refused
from .visits import base, render


class Gone(Exception):
    """There is nobody behind this request: ask for a code."""


class Shut(Exception):
    """The study is not open."""


class Foreign(Exception):
    """The form was made for another participant."""


def say_errors(app: FastAPI) -> None:
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
        if isinstance(error, Refused):
            text = "That could not be stored. Please load the page again; what you gave before is kept."
            return say(request, "That did not work", text, 409, "next")
        if isinstance(error, BadInput):
            return say(request, "That did not work", str(error), 409, "next")
        text = "Your answer could not be stored just now. Please go back and send it again."
        return say(request, "That did not work", text, 503, "next")

    @app.exception_handler(HTTPException)
    def wrong(request: Request, error: HTTPException):
        text = "There is no such page." if error.status_code == 404 else "That is not possible here."
        return say(request, "Not found", text, error.status_code, "")

    @app.exception_handler(RequestValidationError)
    def odd(request: Request, _error):  # an address with something in it that is no number of an item
        return say(request, "Not found", "There is no such page.", 404, "next")

    @app.exception_handler(Exception)
    def failed(request: Request, _error):
        return say(request, "That did not work", "Something went wrong here. Please try again.", 500, "next")
