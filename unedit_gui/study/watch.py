"""What the researcher sees while a study runs: who is where, how full the lists are, whom the rules flag.

An app of its own beside the participants' pages, behind a password (HTTP Basic), with nothing of theirs: no link leads
from there to here. As long as a study isn't closed no condition is named, and nothing shown lets one be told from
another; then each condition's figures appear. The page is plain HTML; a few lines of script fetch it anew.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import math
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from unedit_gui.errors import BadInput

from .analysis import describe
from .flags import flagged, is_judgement
from .store import Study

SHORTEST = 8  # characters of a password
MOST_WRONG, WHILE = 20, 60.0  # wrong passwords within so many seconds
EVERY = 20  # seconds until the page loads itself again
_pages = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def _headers(script: str = "'none'") -> dict[str, str]:
    return {
        "Cache-Control": "no-store",
        "Content-Security-Policy": f"default-src 'none'; script-src {script}; connect-src 'self'; img-src data:; "
        "style-src 'unsafe-inline'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


class Gate:
    """Lets in who knows the password, and nobody for a while after MOST_WRONG wrong ones within WHILE seconds.

    The right one as well: else it would still be found by trying. Who asks isn't looked at, because behind a proxy
    everybody comes from one address; participants aren't held up.
    """

    def __init__(self, password: str, clock: Callable[[], float]):
        self._right, self._clock = hashlib.sha256(password.encode()).digest(), clock
        self._wrong: deque[float] = deque(maxlen=MOST_WRONG)
        self._lock = threading.Lock()

    def check(self, header: str) -> None:
        """Raises HTTPException unless the Authorization header holds the password."""
        given = _given(header)
        with self._lock:
            now = self._clock()
            if given and len(self._wrong) == MOST_WRONG and (left := self._wrong[0] + WHILE - now) > 0:
                told = {**_headers(), "Retry-After": str(math.ceil(left))}
                raise HTTPException(429, "Too many wrong passwords; wait a minute.", told)
            if secrets.compare_digest(hashlib.sha256(given).digest(), self._right):
                return
            if given:
                self._wrong.append(now)
        told = {**_headers(), "WWW-Authenticate": 'Basic realm="Study", charset="UTF-8"'}
        raise HTTPException(401, "A password is needed.", told)


def watch_app(
    studies: Callable[[], Sequence[Study]], password: str, clock: Callable[[], float] = time.monotonic
) -> FastAPI:
    """The page, to be mounted under a path. BadInput for a password that is too short."""
    if len(password) < SHORTEST:
        raise BadInput(f"The password has {len(password)} characters; take {SHORTEST} or more.")
    # The figures of a closed study need these, and loading them takes seconds in which participants would wait.
    import scipy.stats  # noqa: F401
    import statsmodels.stats.proportion  # noqa: F401

    app, gate = FastAPI(openapi_url=None, docs_url=None, redoc_url=None), Gate(password, clock)

    def known(request: Request) -> None:
        gate.check(request.headers.get("Authorization", ""))

    @app.get("/", dependencies=[Depends(known)])
    def watch():
        told = [seen(study) for study in studies()]
        now, nonce = _clock(datetime.now(UTC)), secrets.token_urlsafe(16)
        text = _pages.get_template("watch.html").render(studies=told, every=EVERY, now=now, nonce=nonce)
        return HTMLResponse(text, headers=_headers(f"'nonce-{nonce}'"))

    return app


def seen(study: Study) -> dict[str, Any]:
    """What is shown of a study: `status`, `lists`, `raters` with their flags, and `conditions` once it is closed."""
    status, rows = study.status(), study.judgements()
    flags = flagged(rows)
    items = status["questions"] + study.balance()["checks"]
    raters = [
        {
            "rater": row["rater"],
            "list": row["list"],
            "answered": row["answered"],
            "finished": row["finished"],
            "last": _clock(datetime.fromisoformat(row["last"])),
            "flags": ", ".join(flags.get(row["rater"], ())),
        }
        for row in study.raters()
    ]
    most = max((row["raters"] for row in status["lists"]), default=0)
    return {
        **status,
        "items": items,
        "raters": raters,
        "most": most,
        "flagged_raters": len(flags),
        "conditions": _figures(study, rows) if status["state"] == "closed" else [],
    }


def _figures(study: Study, rows: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    judged = [row for row in rows if is_judgement(row)]
    names = [c.name for c in study.protocol.conditions if any(row["condition"] == c.name for row in judged)]
    return [
        {"name": one.name, "judgements": str(one.judgements), **{k: str(stat) for k, stat in one.means.items()}}
        for one in describe(judged, names)
    ]


def _given(header: str) -> bytes:
    """The password in an Authorization header; whoever's name stands before it. b"" where there is none."""
    kind, _, text = header.partition(" ")
    if kind.lower() != "basic":
        return b""
    try:
        return base64.b64decode(text, validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        return b""


def _clock(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
