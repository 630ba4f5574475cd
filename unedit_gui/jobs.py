"""Jobs: long actions with progress and a stop flag, and the one worker thread that owns the model.

Everything long (loading, statistics, targets, edits, scores, replies) takes a `Job`. It reports where it is
with `job.progress(...)`, asks `job.check()` at every step whether to go on, and, where it leaves the model
untouched between two batches, lets waiting replies through with `job.breathe()`. The command line and scripts
use a `Job` of their own, inline; the page submits to a `Worker` and polls `job.snapshot()`.

Why a worker of our own: cancelling an event of the page's framework resets the page, but not the function
behind it, and its concurrency limit doesn't keep a second job off the model while the first still runs.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any

log = logging.getLogger(__name__)

FINISHED = ("done", "failed", "stopped")


class Stopped(Exception):
    """The job was asked to stop, and did; whatever it was making is to be thrown away."""


class Job:
    """One action: stage, count, time estimate, stop flag and outcome. Any thread may call any method.

    Made directly, `Job("edit", on_progress=show)`, it is an inline job: already running, on the caller's own
    thread. `on_progress(job)` is called after each progress report, on the thread that reports; what it
    raises, the reporting code gets.

    Attributes to read: `id` (random), `kind`, `title`, `owner`, `urgent`, `state` ("queued", "running",
    "done", "failed" or "stopped"), `stage`, `done`, `total`, `note`, `started` and `finished` (seconds since
    1970, or None), `result`, `error`, `curve` (what `plot` was given so far).
    """

    def __init__(
        self,
        kind: str = "job",
        title: str = "",
        on_progress: Callable[[Job], None] | None = None,
        *,
        owner: str | None = None,
        urgent: bool = False,
    ):
        self.id = secrets.token_hex(8)
        self.kind = kind
        self.title = title or kind
        self.owner = owner
        self.urgent = urgent
        self.state = "running"
        self.stage = ""
        self.done = 0
        self.total: int | None = None
        self.note = ""
        self.curve: list[dict[str, float]] = []
        self.started: float | None = time.time()
        self.finished: float | None = None
        self.result: Any = None
        self.error: BaseException | None = None
        self._on_progress = on_progress
        self._lock = threading.RLock()
        self._settled = threading.Event()
        self._stop_asked = False
        self._worker: Worker | None = None
        self._function: Callable[[Job], Any] | None = None
        self._on_done: Callable[[Job], None] | None = None
        # The pace is taken with the monotonic clock, over the present stage only.
        self._stage_began = self._reported = time.monotonic()
        self._stage_first = 0
        self._expected: tuple[float, float] | None = None  # seconds, and when that was said

    @classmethod
    def silent(cls) -> Job:
        """An inline job that reports to nobody, for callers that passed none."""
        return cls("silent")

    # What the working code calls

    def progress(self, stage: str, done: int = 0, total: int | None = None, note: str = "") -> None:
        """Record where the job is: `done` of `total` units of `stage`. Raises Stopped if a stop was asked."""
        now = time.monotonic()
        with self._lock:
            if stage != self.stage or total != self.total or done < self.done:
                self._stage_began, self._stage_first = now, done
            self.stage, self.done, self.total, self.note = stage, done, total, note
            self._reported = now
        if self._on_progress is not None:
            self._on_progress(self)
        self.check()

    def expect(self, seconds: float | None) -> None:
        """Say how long the rest takes, where that is better known than the stage's pace tells. None: by the pace."""
        with self._lock:
            self._expected = None if seconds is None else (seconds, time.monotonic())

    def plot(self, **values: float) -> None:
        """Add a point to the job's curve (a step, its loss), which the page draws while the job runs."""
        self.curve.append(values)

    def check(self) -> None:
        """Raise Stopped if a stop was asked. Costs nothing: call it at every optimisation step."""
        if self._stop_asked:
            raise Stopped(f"{self.title}: stopped")

    def breathe(self) -> None:
        """Let the waiting urgent jobs (replies) run here and now, then `check()`.

        To be called between batches, only where the model's weights are as they were. Urgent jobs themselves,
        and jobs without a worker, only check.
        """
        if self._worker is not None and not self.urgent:
            began = time.monotonic()
            self._worker._run_urgent(self)
            with self._lock:
                # The replies' time is not this stage's: leave it out of the pace.
                away = time.monotonic() - began
                self._stage_began += away
                self._reported += away
        self.check()

    # What the page and the command line call

    @property
    def stopping(self) -> bool:
        """True from the moment that a stop was asked."""
        return self._stop_asked

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the present stage ends, at its own pace; None while that can't be told."""
        with self._lock:
            now = time.monotonic()
            if self.state == "running" and self._expected is not None:
                return max(0.0, self._expected[0] - (now - self._expected[1]))
            if self.state != "running" or self.total is None:
                return None
            units = self.done - self._stage_first
            elapsed = self._reported - self._stage_began
            if units < 1 or (units < 2 and elapsed < 1.0):
                return None
            remaining = max(0, self.total - self.done)
            # A unit that takes longer than the ones before it slows the pace, instead of leaving "0 s" on the
            # page.
            pace = max(elapsed / units, (now - self._stage_began) / (units + 1))
            return pace * remaining - min(now - self._reported, pace) if remaining else 0.0

    def stop(self) -> None:
        """Ask the job to stop. One that still waits is stopped at once; a running one at its next check."""
        with self._lock:
            self._stop_asked = True
            waiting = self.state == "queued"
        if waiting:
            self._finish(
                "stopped", error=Stopped(f"{self.title}: stopped before it began"), only_from="queued"
            )

    def wait(self, timeout: float | None = None) -> Any:
        """The job's result, once it is there.

        Raises the job's own error if it failed, Stopped if it was stopped, and TimeoutError after `timeout`
        seconds.
        """
        if not self._settled.is_set() and self._worker is not None and self._worker._is_here():
            raise RuntimeError("a job can't wait for another job of the same worker: it would wait forever")
        if not self._settled.wait(timeout):
            raise TimeoutError(f"{self.title} is not finished after {timeout:g} s")
        if self.error is not None:
            raise self.error
        return self.result

    def run(self, function: Callable[[Job], Any]) -> Any:
        """Run `function(job)` here and now, record how it ended, and return its result or raise its error.

        For inline jobs, once; RuntimeError otherwise.
        """
        if self._worker is not None or self.state != "running":
            raise RuntimeError(f"{self!r} can't be run here: it belongs to a worker or has run already")
        self._execute(function)
        return self.wait()

    def snapshot(self) -> dict[str, Any]:
        """The job in plain values, for a page: id, kind, title, state, stage, done, total, seconds,
        seconds_left, note, stopping, error (a text, "" if none)."""
        with self._lock:
            until = self.finished if self.finished is not None else time.time()
            failed = self.state == "failed"
            return {
                "id": self.id,
                "kind": self.kind,
                "title": self.title,
                "state": self.state,
                "stage": self.stage,
                "done": self.done,
                "total": self.total,
                "seconds": max(0.0, until - self.started) if self.started is not None else 0.0,
                "seconds_left": self.seconds_left,
                "note": self.note,
                "stopping": self._stop_asked and self.state not in FINISHED,
                "error": (str(self.error) or type(self.error).__name__) if failed else "",
            }

    def __repr__(self) -> str:
        return f"<Job {self.id} {self.kind}: {self.state}>"

    # What the worker calls

    def _begin(self) -> bool:
        """From queued to running; False if the job was stopped in the meantime."""
        with self._lock:
            if self.state != "queued":
                return False
            self.state, self.started = "running", time.time()
            self._stage_began = self._reported = time.monotonic()
            return True

    def _execute(self, function: Callable[[Job], Any]) -> None:
        """Run the function and record how it ended. Nothing that it raises gets out of here."""
        try:
            self.check()
            result = function(self)
        except Stopped as stopped:
            _release_frames(stopped)
            self._finish("stopped", error=stopped)
        except BaseException as error:  # noqa: B036 - even SystemExit must not end the worker
            # The user reads the error's sentence; where it came from belongs in the log.
            log.info("job %s (%s) failed", self.id, self.kind, exc_info=error)
            _release_frames(error)
            self._finish("failed", error=error)
        else:
            self._finish("done", result=result)

    def _finish(self, state: str, *, result=None, error=None, only_from: str = "running") -> None:
        """Record the outcome, tell `on_done`, and then wake whoever waits."""
        with self._lock:
            if self.state != only_from:
                return
            self.result, self.error, self.finished = result, error, time.time()
            self.state = state
            # The function's closure may hold a model or tensors; the history must not.
            self._function, on_done, self._on_done = None, self._on_done, None
        try:
            if on_done is not None:
                on_done(self)
        except Exception:
            log.exception("on_done of job %s (%s) failed", self.id, self.kind)
        finally:
            if self._worker is not None:
                self._worker._forget_old()
            self._settled.set()


class Worker:
    """One daemon thread that owns the model: jobs run one after another, urgent ones first.

    The thread starts with the first job. A job that fails or is stopped changes nothing for those after it.
    The last `history` finished jobs can still be found with `get` and `recent`, so that a reloaded page finds
    its outcome. They keep their results: a job that loads something large should hand it over itself and
    return a small value.
    """

    def __init__(self, name: str = "unedit-worker", history: int = 100):
        self._name = name
        self._history = history
        self._changed = threading.Condition()
        self._urgent: deque[Job] = deque()
        self._ordinary: deque[Job] = deque()
        self._running: list[Job] = []  # the job, and the urgent one inside its breathe()
        self._jobs: dict[str, Job] = {}  # by id, oldest first
        self._thread: threading.Thread | None = None
        self._closed = False

    def submit(
        self,
        kind: str,
        title: str,
        function: Callable[[Job], Any],
        *,
        urgent: bool = False,
        owner: str | None = None,
        on_done: Callable[[Job], None] | None = None,
    ) -> Job:
        """Queue `function(job)` and return its job at once.

        `urgent` jobs (replies) go before waiting ones, and run inside another job's `breathe()`. `owner` is
        any key to find one's jobs by (a browser session's). `on_done(job)` is called exactly once when the
        job is finished, however it ended, before `wait()` returns: on the worker's thread, or, for a job
        stopped while it still waited, on the thread that stopped it. Raises RuntimeError after `close()`.
        """
        job = Job(kind, title, owner=owner, urgent=urgent)
        job.state, job.started = "queued", None
        job._worker, job._function, job._on_done = self, function, on_done
        with self._changed:
            if self._closed:
                raise RuntimeError("the worker is closed and takes no more jobs")
            self._jobs[job.id] = job
            (self._urgent if urgent else self._ordinary).append(job)
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name=self._name, daemon=True)
                self._thread.start()
            self._changed.notify_all()
        return job

    def get(self, id: str) -> Job | None:
        """The job with this id, if it is waiting, running, or among the last finished ones."""
        with self._changed:
            return self._jobs.get(id)

    @property
    def current(self) -> Job | None:
        """The job that holds the model. While replies run inside its `breathe()`, still that job."""
        with self._changed:
            return next((job for job in self._running if job.state == "running"), None)

    def waiting(self) -> list[Job]:
        """The jobs that have not begun, in the order in which they will."""
        with self._changed:
            return [job for job in (*self._urgent, *self._ordinary) if job.state == "queued"]

    def recent(self, owner: str | None = None) -> list[Job]:
        """The known jobs (of one owner), newest first: waiting, running, and the last finished ones."""
        with self._changed:
            jobs = [job for job in self._jobs.values() if owner is None or job.owner == owner]
        return jobs[::-1]

    def close(self, timeout: float | None = 30.0) -> None:
        """Take no more jobs, stop the waiting and the running ones, and wait for the thread to end.

        After `timeout` seconds it returns all the same: the thread is a daemon and can't hold up the
        program's end.
        """
        with self._changed:
            self._closed = True
            jobs = [*self._urgent, *self._ordinary, *self._running]
            self._changed.notify_all()
        for job in jobs:
            job.stop()
        if self._thread is not None and not self._is_here():
            self._thread.join(timeout)

    def _loop(self) -> None:
        while (job := self._next()) is not None:
            self._run(job)
            del job  # else the last job, with its result, lives until the next one comes

    def _next(self) -> Job | None:
        """Wait for a job; None when the worker is closed."""
        with self._changed:
            while True:
                if self._closed:
                    return None
                if self._urgent:
                    return self._urgent.popleft()
                if self._ordinary:
                    return self._ordinary.popleft()
                self._changed.wait()

    def _run(self, job: Job) -> None:
        function = job._function
        with self._changed:
            if function is None or not job._begin():
                return  # stopped while it waited
            self._running.append(job)
            if self._closed:  # close() came between the queue and here, and did not see this job
                job._stop_asked = True
        try:
            job._execute(function)
        finally:
            with self._changed:
                self._running.remove(job)
                self._changed.notify_all()

    def _run_urgent(self, outer: Job) -> None:
        """Run the urgent jobs that wait right now; later ones get the next breath, so `outer` goes on too."""
        if not self._is_here():
            return
        with self._changed:
            waiting = len(self._urgent) if self._running == [outer] else 0
        for _ in range(waiting):
            with self._changed:
                if outer.stopping or self._closed or not self._urgent:
                    return
                job = self._urgent.popleft()
            self._run(job)

    def _is_here(self) -> bool:
        return threading.current_thread() is self._thread

    def _forget_old(self) -> None:
        with self._changed:
            finished = [id for id, job in self._jobs.items() if job.state in FINISHED]
            for id in finished[: max(0, len(finished) - self._history)]:
                del self._jobs[id]


def _release_frames(error: BaseException) -> None:
    """Empty the locals of the frames that the error passed: a kept error must keep no tensors alive."""
    errors, seen = [error], set()
    while errors:
        error = errors.pop()
        if error is not None and id(error) not in seen:
            seen.add(id(error))
            traceback.clear_frames(error.__traceback__)
            errors += [error.__cause__, error.__context__]
