"""Jobs and the worker: order, stopping, failing, breathing, time estimates, what a page reads of them."""

import gc
import threading
import time
import weakref

import pytest

from unedit_gui import jobs
from unedit_gui.jobs import Job, Stopped, Worker

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


# Inline jobs


def test_inline_job_is_running_and_records_progress():
    seen = []
    job = Job("edit", on_progress=lambda job: seen.append((job.stage, job.done, job.total, job.note)))
    assert job.state == "running" and job.title == "edit" and job.started is not None
    job.progress("keys", 1, 4, "layer 3")
    job.check()
    job.breathe()
    assert seen == [("keys", 1, 4, "layer 3")]


def test_inline_job_raises_stopped_once_asked_but_shows_the_last_progress():
    job = Job.silent()
    job.stop()
    assert job.stopping and job.state == "running"
    with pytest.raises(Stopped):
        job.progress("solve", 3, 5)
    assert (job.stage, job.done) == ("solve", 3)
    for call in (job.check, job.breathe):
        with pytest.raises(Stopped):
            call()


def test_inline_job_runs_a_function_and_records_its_end():
    assert Job("add").run(lambda job: 1 + 1) == 2
    failing = Job("fail")
    with pytest.raises(ZeroDivisionError):
        failing.run(lambda job: 1 / 0)
    assert failing.state == "failed" and failing.finished is not None
    with pytest.raises(RuntimeError, match="has run already"):
        failing.run(lambda job: 1)


def test_stopping_from_the_progress_callback_stops_the_job():
    job = Job("edit", on_progress=lambda job: job.stop())
    with pytest.raises(Stopped):
        job.run(lambda job: job.progress("first"))
    assert job.state == "stopped"


def test_ids_differ():
    assert len({Job().id for _ in range(100)}) == 100


# Time estimates


def test_no_estimate_without_a_total_or_at_the_start(clock):
    job = Job()
    job.progress("writing", 0)
    clock.now += 5
    job.progress("writing", 3)
    assert job.seconds_left is None  # no total
    job.progress("teaching", 0, 10)
    assert job.seconds_left is None  # nothing done
    clock.now += 0.25
    job.progress("teaching", 1, 10)
    assert job.seconds_left is None  # one quick unit says little
    clock.now += 0.25
    job.progress("teaching", 2, 10)
    assert job.seconds_left == pytest.approx(8 * 0.25)


def test_one_slow_unit_is_enough_for_an_estimate(clock):
    job = Job()
    job.progress("solve", 0, 3)
    clock.now += 2
    job.progress("solve", 1, 3)
    assert job.seconds_left == pytest.approx(4)


def test_estimate_counts_down_between_reports_and_never_ends_at_zero_too_early(clock):
    job = Job()
    job.progress("solve", 0, 10)
    clock.now += 4
    job.progress("solve", 2, 10)
    assert job.seconds_left == pytest.approx(16)
    clock.now += 1
    assert job.seconds_left == pytest.approx(15)
    clock.now += 99  # this unit drags on: the estimate must grow, not sink to nothing
    assert job.seconds_left > 100


def test_estimate_is_the_present_stages_own(clock):
    job = Job()
    job.progress("fast", 0, 100)
    clock.now += 1
    job.progress("fast", 100, 100)
    assert job.seconds_left == 0.0
    job.progress("slow", 0, 4)
    clock.now += 20
    job.progress("slow", 2, 4)
    assert job.seconds_left == pytest.approx(20)


def test_a_stage_that_begins_half_way_counts_only_what_it_did_itself(clock):
    job = Job()
    job.progress("statistics", 50, 100)  # half came from the cache
    clock.now += 10
    job.progress("statistics", 60, 100)
    assert job.seconds_left == pytest.approx(40)


def test_no_estimate_once_finished(clock):
    job = Job()

    def function(job):
        job.progress("a", 0, 4)
        clock.now += 2
        job.progress("a", 2, 4)

    job.run(function)
    assert job.seconds_left is None


def test_replies_within_breathe_are_left_out_of_the_pace(worker, clock):
    estimates = []

    def long(job):
        job.progress("score", 0, 10)
        clock.now += 2
        job.progress("score", 2, 10)
        reply = worker.submit("reply", "Reply", slow_reply, urgent=True)
        job.breathe()
        assert reply.state == "done"
        estimates.append(job.seconds_left)

    def slow_reply(job):
        clock.now += 500

    worker.submit("score", "Score", long).wait(PATIENCE)
    assert estimates == [pytest.approx(8)]


# The worker


def test_thread_starts_with_the_first_job_and_is_a_daemon(worker):
    before = threading.active_count()
    Worker()
    assert threading.active_count() == before
    thread = worker.submit("who", "", lambda job: threading.current_thread()).wait(PATIENCE)
    assert thread.daemon and thread is not threading.current_thread()


def test_result_error_and_state_of_submitted_jobs(worker):
    good = worker.submit("edit", "Edit", lambda job: 42)
    assert good.wait(PATIENCE) == 42
    assert good.state == "done" and good.finished >= good.started
    bad = worker.submit("edit", "Edit", lambda job: {}["x"])
    with pytest.raises(KeyError):
        bad.wait(PATIENCE)
    assert bad.state == "failed" and isinstance(bad.error, KeyError)
    assert good.wait() == 42  # waiting again is allowed


def test_failures_of_any_kind_leave_the_worker_alive(worker):
    for error in (ValueError("no"), MemoryError(), SystemExit(3), KeyboardInterrupt(), Stopped("by itself")):
        job = worker.submit("bad", "", Gate(error=error))
        job._function.go.set()
        with pytest.raises(type(error)):
            job.wait(PATIENCE)
        assert job.error is error
    assert worker.submit("good", "", lambda job: "alive").wait(PATIENCE) == "alive"


def test_a_failing_job_keeps_its_error_but_not_the_tensors_on_its_stack(worker):
    class Tensor:
        pass

    held = []

    def function(job):
        tensor = Tensor()
        held.append(weakref.ref(tensor))
        try:
            raise MemoryError("inner")
        except MemoryError as error:
            raise RuntimeError("outer") from error

    job = worker.submit("edit", "", function)
    with pytest.raises(RuntimeError):
        job.wait(PATIENCE)
    gc.collect()
    assert held[0]() is None and str(job.error) == "outer"


def test_a_finished_jobs_function_is_let_go(worker):
    gate = Gate()
    reference = weakref.ref(gate)
    gate.go.set()
    worker.submit("a", "", gate).wait(PATIENCE)
    worker.submit("b", "", lambda job: None).wait(PATIENCE)
    del gate
    gc.collect()
    assert reference() is None


def test_jobs_run_one_at_a_time_in_order(worker):
    order, inside = [], []

    def function(number):
        def run(job):
            inside.append(number)
            order.append(list(inside))
            time.sleep(0.001)
            inside.remove(number)

        return run

    submitted = [worker.submit("n", "", function(n)) for n in range(20)]
    for job in submitted:
        job.wait(PATIENCE)
    assert order == [[n] for n in range(20)]


def test_urgent_jobs_go_before_waiting_ones(worker):
    _, gate = busy(worker)
    order = []
    ordinary = [worker.submit("long", str(n), lambda job: order.append(job.title)) for n in range(2)]
    urgent = [
        worker.submit("reply", f"reply {n}", lambda job: order.append(job.title), urgent=True)
        for n in range(2)
    ]
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


def test_stop_of_a_running_job_ends_it_at_its_next_check(worker):
    job, _ = busy(worker)
    job.stop()
    with pytest.raises(Stopped):
        job.wait(PATIENCE)
    assert job.state == "stopped" and job.result is None
    assert worker.submit("next", "", lambda job: 1).wait(PATIENCE) == 1


def test_stop_of_a_queued_job_stops_it_at_once_and_it_never_runs(worker):
    _, gate = busy(worker)
    ran, told = [], []
    job = worker.submit("late", "", lambda job: ran.append(1), on_done=lambda job: told.append(job.state))
    job.stop()
    assert job.state == "stopped" and told == ["stopped"] and job not in worker.waiting()
    assert job.snapshot()["seconds"] == 0.0
    with pytest.raises(Stopped):
        job.wait(0)
    gate.go.set()
    worker.submit("next", "", lambda job: None).wait(PATIENCE)
    assert ran == [] and told == ["stopped"]


def test_a_stop_after_the_end_changes_nothing(worker):
    job = worker.submit("a", "", lambda job: 5)
    assert job.wait(PATIENCE) == 5
    job.stop()
    assert job.state == "done" and job.wait() == 5 and not job.snapshot()["stopping"]


def test_wait_times_out_and_refuses_to_wait_for_itself(worker):
    job, gate = busy(worker)
    with pytest.raises(TimeoutError):
        job.wait(0.01)
    gate.go.set()
    deadlock = worker.submit("a", "", lambda job: worker.submit("b", "", lambda job: 1).wait())
    with pytest.raises(RuntimeError, match="wait forever"):
        deadlock.wait(PATIENCE)


def test_on_done_comes_before_wait_returns_and_its_failure_harms_nobody(worker):
    told = []

    def on_done(job):
        told.append((job.state, job.result))
        raise ValueError("a broken page")

    assert worker.submit("a", "", lambda job: 7, on_done=on_done).wait(PATIENCE) == 7
    assert told == [("done", 7)]
    assert worker.submit("b", "", lambda job: 8).wait(PATIENCE) == 8


def test_jobs_are_found_again_by_id_and_owner(worker):
    mine = worker.submit("a", "", lambda job: 1, owner="me")
    theirs = worker.submit("b", "", lambda job: 2, owner="they")
    running, gate = busy(worker, owner="me")
    assert worker.current is running
    assert worker.get(mine.id) is mine and worker.get("unknown") is None
    assert worker.recent() == [running, theirs, mine]
    assert worker.recent(owner="me") == [running, mine]
    gate.go.set()
    running.wait(PATIENCE)
    assert worker.current is None


def test_history_is_bounded_but_never_drops_an_unfinished_job():
    worker = Worker(history=3)
    finished = [worker.submit("a", str(n), lambda job: None) for n in range(6)]
    for job in finished:
        job.wait(PATIENCE)
    assert worker.recent() == finished[:2:-1]
    running, gate = busy(worker)
    waiting = [worker.submit("w", str(n), lambda job: None) for n in range(5)]
    assert set(waiting) | {running} <= set(worker.recent())
    gate.go.set()
    waiting[-1].wait(PATIENCE)
    assert worker.recent() == waiting[:1:-1]
    worker.close(PATIENCE)


def test_close_stops_everything_and_joins():
    worker = Worker()
    running, _ = busy(worker)
    waiting = worker.submit("late", "", lambda job: None)
    worker.close(PATIENCE)
    assert running.state == waiting.state == "stopped"
    assert not worker._thread.is_alive()
    with pytest.raises(RuntimeError, match="closed"):
        worker.submit("more", "", lambda job: None)
    worker.close()  # twice is fine
    Worker().close()  # and so is a worker that never began


def test_close_from_a_job_does_not_wait_for_itself():
    worker = Worker()
    job = worker.submit("quit", "", lambda job: worker.close())
    job.wait(PATIENCE)
    worker._thread.join(PATIENCE)
    assert not worker._thread.is_alive()


def test_snapshot_is_plain_and_words_the_error(worker):
    job, gate = busy(worker)
    snapshot = job.snapshot()
    assert set(snapshot) == {
        *("id", "kind", "title", "state", "stage", "done", "total", "seconds", "seconds_left"),
        *("note", "stopping", "error"),
    }
    assert all(value is None or type(value) in (str, int, float, bool) for value in snapshot.values())
    assert (snapshot["kind"], snapshot["title"], snapshot["state"]) == ("busy", "Busy", "running")
    gate.error = ValueError("the seventh row is empty")
    gate.go.set()
    with pytest.raises(ValueError):
        job.wait(PATIENCE)
    assert job.snapshot()["error"] == "the seventh row is empty"
    nameless = worker.submit("a", "", Gate(error=MemoryError()))
    nameless._function.go.set()
    with pytest.raises(MemoryError):
        nameless.wait(PATIENCE)
    assert nameless.snapshot()["error"] == "MemoryError"


def test_many_threads_submitting_and_stopping_lose_no_job(worker):
    ended, submitted = [], []

    def client(number):
        for turn in range(20):
            job = worker.submit(
                *("n", "", lambda job: job.check()),
                urgent=turn % 2 == 0,
                on_done=lambda job: ended.append(job.id),
            )
            submitted.append(job)
            if turn % 3 == 0:
                job.stop()

    threads = [threading.Thread(target=client, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    for job in submitted:
        assert job._settled.wait(PATIENCE)
        assert job.state in ("done", "stopped")
    assert sorted(ended) == sorted(job.id for job in submitted)
