"""Replies go first: urgent jobs pass those that wait, and run inside a long job where it breathes."""

import threading

import pytest

from tests.jobs.conftest import PATIENCE, busy
from unedit_gui.jobs import Job, Stopped


def test_urgent_jobs_go_before_waiting_ones(worker):
    _, gate = busy(worker)
    order = []
    ordinary = [worker.submit("long", str(n), lambda job: order.append(job.title)) for n in range(2)]
    urgent = [worker.submit("reply", f"reply {n}", lambda job: order.append(job.title), urgent=True) for n in range(2)]
    assert worker.waiting() == urgent + ordinary
    gate.go.set()
    for job in ordinary + urgent:
        job.wait(PATIENCE)
    assert order == ["reply 0", "reply 1", "0", "1"]
    assert worker.waiting() == []


def test_urgent_jobs_run_inside_breathe_on_the_workers_thread_while_the_outer_stays_running(worker):
    seen = {}

    def long(outer):
        outer.progress("scoring", 3, 9, "batch 3")
        seen["long thread"] = threading.current_thread()
        ordinary = worker.submit("ordinary", "", lambda job: None)
        reply = worker.submit("reply", "", lambda job: seen.update(reply=snapshot(outer)), urgent=True)
        outer.breathe()
        assert reply.state == "done" and ordinary.state == "queued"
        assert worker.current is outer
        return ordinary

    def snapshot(outer):
        return (threading.current_thread(), outer.state, outer.stage, outer.note, worker.current is outer)

    worker.submit("long", "", long).wait(PATIENCE).wait(PATIENCE)
    assert seen["reply"] == (seen["long thread"], "running", "scoring", "batch 3", True)


def test_breathing_inside_an_urgent_job_runs_nothing_more(worker):
    states = []

    def long(outer):
        first = worker.submit("reply", "first", reply, urgent=True)
        outer.breathe()
        assert first.state == "done"
        outer.breathe()
        return first.result

    def reply(job):
        second = worker.submit("reply", "second", lambda job: "later", urgent=True)
        job.breathe()
        states.append(second.state)
        return second

    second = worker.submit("long", "", long).wait(PATIENCE)
    assert states == ["queued"] and second.state == "done"


def test_failing_and_stopped_replies_leave_the_outer_job_going(worker):
    def long(outer):
        bad = worker.submit("reply", "", lambda job: 1 / 0, urgent=True)
        halted = worker.submit("reply", "", lambda job: (job.stop(), job.check()), urgent=True)
        outer.breathe()
        return bad.state, halted.state

    assert worker.submit("long", "", long).wait(PATIENCE) == ("failed", "stopped")


def test_a_stop_of_the_outer_job_takes_effect_after_the_reply(worker):
    replies = []

    def long(outer):
        replies.append(worker.submit("reply", "", lambda job: outer.stop() or "whole", urgent=True))
        replies.append(worker.submit("reply", "", lambda job: "next", urgent=True))
        outer.breathe()

    job = worker.submit("long", "", long)
    with pytest.raises(Stopped):
        job.wait(PATIENCE)
    assert [reply.wait(PATIENCE) for reply in replies] == ["whole", "next"]


def test_breathe_with_a_job_that_the_worker_is_not_running_only_checks(worker):
    def long(outer):
        reply = worker.submit("reply", "", lambda job: None, urgent=True)
        Job.silent().breathe()
        return reply, reply.state

    reply, state = worker.submit("long", "", long).wait(PATIENCE)
    assert state == "queued"
    reply.wait(PATIENCE)
