"""One request of one participant: whose it is, what its form says, and how a page goes out.

A cookie holds the participant's code, so that the address of a page tells nothing. Nothing is logged about who asks,
and no page loads anything from elsewhere.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException

from . import taking
from .codes import plain, shown
from .store import Study

COOKIE = "seat"
_KEPT = 90 * 24 * 3600  # seconds
_LARGEST, _MOST = 64 * 1024, 100  # bytes and fields of a form
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


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
        if study is None or study.replaced:
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
    text = _TEMPLATES.get_template(f"{name}.html").render(base=base(request), title=title, **values)
    return HTMLResponse(text, status, HEADERS)


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form, the last value of each; {} for a GET."""
    if request.method != "POST":
        return {}
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > _LARGEST:
            raise HTTPException(413)
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_MOST)
    except ValueError:
        raise HTTPException(413) from None
    return {name: values[-1].replace("\0", "") for name, values in fields.items()}


def seated(request: Request, code: str) -> Response:
    answer = RedirectResponse(f"{base(request)}/next", 303)
    secure = request.url.scheme == "https"
    where = base(request) or "/"
    answer.set_cookie(COOKIE, plain(code), max_age=_KEPT, path=where, httponly=True, samesite="lax", secure=secure)
    return answer
