"""The worker: one job at a time and in order, stopping, failing, closing, and what a page reads of its jobs."""

import gc
import threading
import time
import weakref

import pytest

from tests.jobs.conftest import PATIENCE, Gate, busy
from unedit_gui.jobs import Stopped, Worker


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
