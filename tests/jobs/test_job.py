"""One job: its progress, its stop, its end, and the time that it says is left."""

import pytest

from tests.jobs.conftest import PATIENCE
from unedit_gui.jobs import Job, Stopped

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
