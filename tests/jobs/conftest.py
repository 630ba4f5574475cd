"""A worker, a clock that tests move by hand, and jobs that end when they are told."""

import threading

import pytest

from unedit_gui import jobs
from unedit_gui.jobs import Worker

PATIENCE = 20.0  # seconds; far more than needed, so that a busy machine fails no test


@pytest.fixture
def worker():
    worker = Worker()
    yield worker
    worker.close(PATIENCE)


@pytest.fixture
def clock(monkeypatch):
    """A clock that tests move by hand; the estimates are computed from it."""

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

        time = monotonic

    clock = Clock()
    monkeypatch.setattr(jobs, "time", clock)
    return clock


class Gate:
    """A job's function that says when it began, and ends when told."""

    def __init__(self, result=None, error=None):
        self.began, self.go = threading.Event(), threading.Event()
        self.result, self.error = result, error

    def __call__(self, job):
        self.began.set()
        while not self.go.wait(0.002):
            job.check()
        if self.error:
            raise self.error
        return self.result


def busy(worker, **options):
    """A running job that holds the worker until its gate opens."""
    gate = Gate()
    job = worker.submit("busy", "Busy", gate, **options)
    assert gate.began.wait(PATIENCE)
    return job, gate
