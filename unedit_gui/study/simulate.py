"""Artificial raters: they take part over HTTP like people, through the real pages and a real server.

What each of them sends is remembered here and compared with the file at the end, so that this shows whether a killed
server, a busy one, or a repeated request loses or doubles anything. With known true effects, it is also what the
analysis is tried on: a rater finds an answer gone with the condition's probability, and judges by the condition's
mean, shifted by the rater's own leaning and by noise, both normal, rounded to the scale.
"""

from __future__ import annotations

import http.client
import random
import re
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from urllib.parse import quote, urlencode

from unedit_gui.errors import BadInput, Failed
from unedit_gui.jobs import Job

from .protocol import DEMOGRAPHICS
from .store import Study
from .taking import rater_of

LEANING, NOISE = 0.5, 0.8  # standard deviations, in steps of the scale
_PATIENCE = 60.0  # seconds that a rater tries to reach the server
_HIDDEN = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)">')


@dataclass(frozen=True)
class Effect:
    """What is true of a condition: how often the answer is gone, and the means of the two scales."""

    forgotten: float = 0.8
    entailment: float = 3.0
    trust: float = 3.0

    @classmethod
    def read(cls, text: str) -> Effect:
        """From `0.8,3.5,3.0`."""
        try:
            forgotten, entailment, trust = map(float, text.split(","))
            found = cls(forgotten, entailment, trust)
        except (ValueError, TypeError):
            found = cls(-1.0)
        if not (0 <= found.forgotten <= 1 and 1 <= found.entailment <= 5 and 1 <= found.trust <= 5):
            raise BadInput(f"The effect {text!r} is to be P,E,T: a probability and two means, such as 0.8,3.5,3.0.")
        return found


@dataclass
class Tally:
    """What all raters saw of the server. Shared between their threads."""

    pages: list[float] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)
    sent: dict[tuple[str, int], tuple] = field(default_factory=dict)
    retries: int = 0
    errors: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Browser:
    """Just enough of one: a cookie, redirects, and the patience to send again what got no answer."""

    def __init__(self, host: str, port: int, tally: Tally):
        self._where, self._tally, self._cookie = (host, port), tally, ""
        self._connection: http.client.HTTPConnection | None = None
        self.path, self.text = "", ""

    def get(self, path: str) -> None:
        self._follow("GET", path, None)

    def post(self, path: str, fields: Mapping[str, str]) -> None:
        """Send the page's form with these fields."""
        hidden = {name: unescape(value) for name, value in _HIDDEN.findall(self.text)}
        self._follow("POST", path, urlencode({**hidden, **fields}))

    def _follow(self, method: str, path: str, body: str | None) -> None:
        for _ in range(10):
            status, place, text = self._ask(method, path, body)
            if status != 303:
                break
            method, path, body = "GET", place, None
        if status >= 400:
            found = re.search(r"<p[^>]*>(.*?)</p>", text.partition("<main")[2], re.S)
            raise Failed(f"{method} {path} was answered with {status}: {unescape(found[1]) if found else ''}")
        self.path, self.text = path, text

    def _ask(self, method: str, path: str, body: str | None) -> tuple[int, str, str]:
        headers = {"Cookie": self._cookie} if self._cookie else {}
        if body is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        until = time.monotonic() + _PATIENCE
        while True:
            began = time.perf_counter()
            try:
                if self._connection is None:
                    self._connection = http.client.HTTPConnection(*self._where, timeout=30)
                self._connection.request(method, path, body, headers)
                answer = self._connection.getresponse()
                text = answer.read().decode("utf-8")
                break
            except (OSError, http.client.HTTPException):
                self.close()
                if time.monotonic() > until:
                    raise Failed(f"The server did not answer for {_PATIENCE:.0f} s.") from None
                with self._tally.lock:
                    self._tally.retries += 1
                time.sleep(0.1)
        took = time.perf_counter() - began
        with self._tally.lock:
            (self._tally.pages if method == "GET" else self._tally.answers).append(took)
        for cookie in answer.headers.get_all("Set-Cookie") or ():
            self._cookie = cookie.partition(";")[0]
        return answer.status, answer.headers.get("Location", ""), text

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class Rater:
    """One artificial participant."""

    def __init__(self, study: Study, code: str, number: int, seed: int, effects: Mapping[str, Effect], pause, tally):
        self._study, self._code, self._effects, self._pause, self._tally = study, code, effects, pause, tally
        self._draw = random.Random(f"rater {seed} {number}")
        self._lean = self._draw.gauss(0, LEANING)
        self.done = 0

    def take_part(self, browser: Browser, stop: threading.Event) -> None:
        """From the link to the thanks."""
        time.sleep(self._draw.uniform(0, self._pause[1]))
        browser.get(f"/study/j/{quote(self._code)}")
        while "/thanks" not in browser.path and not stop.is_set():
            step = browser.path.partition("/study/")[2]
            if step == "consent":
                browser.post(browser.path, {"agree": "yes"})
            elif step == "about-you":
                fields = self._study.protocol.demographics
                browser.post(browser.path, {name: self._draw.choice(DEMOGRAPHICS[name]) for name, _ in fields})
            elif step == "instructions":
                browser.post(browser.path, {})
            elif step == "practice":
                browser.post(browser.path, self._judge(0))
            elif step == "practice/notes":
                browser.get("/study/item/1")
            elif step.startswith("item/"):
                position = int(step.partition("/")[2])
                given = self._judge(position)
                time.sleep(self._draw.uniform(*self._pause))
                browser.post(browser.path, given)
                values = tuple(int(given[n]) if n in given else None for n in ("forgotten", "entailment", "trust"))
                with self._tally.lock:
                    self._tally.sent[self._rater, position] = values
                self.done += 1
            else:
                raise Failed(f"A rater was led to {browser.path}.")

    def _judge(self, position: int) -> dict[str, str]:
        """An answer by the true effect of what stands there; checks are answered as they ask."""
        sql = (
            "SELECT coalesce(c.name, ''), i.expect_forgotten, i.expect_entailment, i.expect_trust "
            "FROM assignments AS a JOIN items AS i ON i.id = a.item LEFT JOIN conditions AS c ON c.id = i.condition_id "
            "WHERE a.rater = ? AND a.position = ?"
        )
        with self._study.reading() as db:
            condition, *wanted = db.execute(sql, [self._rater, position]).fetchone()
        effect = self._effects.get(condition, Effect())
        forgotten = wanted[0] if wanted[0] is not None else int(self._draw.random() < effect.forgotten)
        answer = {"forgotten": str(forgotten)}
        for name, fixed in zip(("entailment", "trust"), wanted[1:], strict=True):
            value = getattr(effect, name) + self._lean + self._draw.gauss(0, NOISE)
            if forgotten:
                answer[name] = str(fixed or max(1, min(5, round(value))))
        return answer

    @property
    def _rater(self) -> str:
        if not hasattr(self, "_known"):
            self._known = rater_of(self._study, self._code)
        return self._known


class Server:
    """`study serve` as a process of its own, which can be killed and started again on the same port."""

    def __init__(self, home: Path):
        self._home, self.port, self._process = home, 0, None
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "unedit_gui", "study", "serve", "--home", str(self._home)]
        command += ["--port", str(self.port)]
        self._process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        said = self._process.stderr.readline()
        found = re.search(r":(\d+)/", said)
        if not found:
            raise Failed(f"The server did not start: {said.strip()}")
        self.port = int(found[1])
        threading.Thread(target=self._process.stderr.read, daemon=True).start()  # or its pipe fills up

    def kill(self) -> None:
        """As a power cut would: SIGKILL."""
        self._process.kill()
        self._process.wait()


def check_size(raters: int, kills: int) -> None:
    """BadInput for what `run` would refuse, to be asked before a study is copied for it."""
    if not 1 <= raters <= 1000 or not 0 <= kills <= 100:
        raise BadInput("Give 1 to 1000 raters, and at most 100 kills.")


def run(
    study: Study,
    home: Path,
    *,
    raters: int = 20,
    seed: int = 0,
    pause: tuple[float, float] = (0.0, 0.0),
    kills: int = 0,
    effects: Mapping[str, Effect] | None = None,
    job: Job | None = None,
) -> dict:
    """Let `raters` take part at once in an open study of the workspace `home`, killing the server `kills` times.

    Returns counts (`sent`, `stored`, `lost`, `twice`, `different`, over items and attention checks), `retries`, and the
    milliseconds of pages and answers as the raters saw them, retries left out.
    """
    check_size(raters, kills)
    job, tally, stop = job or Job("simulate"), Tally(), threading.Event()
    people = [
        Rater(study, code, number, seed, effects or {}, pause, tally)
        for number, code in enumerate(study.invite(raters), 1)
    ]
    total = raters * (study.balance()["items"] + study.balance()["checks"])
    server = Server(home)
    began = time.monotonic()

    def live(rater: Rater) -> None:
        browser = Browser("127.0.0.1", server.port, tally)
        try:
            rater.take_part(browser, stop)
        except Exception as error:  # told at the end, with the others
            with tally.lock:
                tally.errors.append(str(error))
        finally:
            browser.close()

    threads = [threading.Thread(target=live, args=[rater], daemon=True) for rater in people]
    killed = 0
    try:
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            done = sum(rater.done for rater in people)
            if killed < kills and done >= total * (killed + 1) / (kills + 1):
                server.kill()
                server.start()
                killed += 1
            job.progress("Raters at work", done, total)
            time.sleep(0.05)
    finally:
        stop.set()
        server.kill()
    if tally.errors:
        raise Failed(f"{len(tally.errors)} of {raters} raters could not go on; the first: {tally.errors[0]}")
    return {"study": study.name, "raters": raters, "seed": seed, "kills": killed, **_compared(study, tally)} | {
        "seconds": round(time.monotonic() - began, 1),
        "retries": tally.retries,
        "page_ms": _times(tally.pages),
        "answer_ms": _times(tally.answers),
    }


def _compared(study: Study, tally: Tally) -> dict[str, int]:
    stored = {
        (row["rater"], row["position"]): (row["forgotten"], row["entailment"], row["trust"])
        for row in study.judgements()
        if not row["practice"]
    }
    with study.reading() as db:
        sql = "SELECT rater, item FROM judgements JOIN assignments USING (rater, item) WHERE position > 0"
        revisions = Counter(map(tuple, db.execute(sql).fetchall()))
    return {
        "sent": len(tally.sent),
        "stored": len(stored),
        "lost": len(tally.sent.keys() - stored.keys()),
        "twice": sum(count - 1 for count in revisions.values()),
        "different": sum(stored.get(place, values) != values for place, values in tally.sent.items()),
    }


def _times(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds) or [0.0]
    return {
        "n": len(seconds),
        "median": round(1000 * statistics.median(ordered), 1),
        "p99": round(1000 * ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))], 1),
        "max": round(1000 * ordered[-1], 1),
    }
