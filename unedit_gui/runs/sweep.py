"""Runs one after another: planned, made, written down at once, and gone on with after a crash.

Nothing here knows how an edit is made or scored: whoever has a model passes `Hands`. A run is named by its settings,
so a sweep that was killed is simply started again: what is kept is passed over. A run that can't be made is written
down with its reason, tried again the next time, and does not keep the others from being made.
"""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..errors import UneditError, is_out_of_memory
from ..jobs import Job, Stopped
from .config import Config
from .record import PLAIN, Run, Settings
from .store import Runs

if TYPE_CHECKING:
    from ..edits.edit import Edit

log = logging.getLogger(__name__)
LATEST = 3  # runs of a kind whose seconds tell how long the next of it takes

Facts = tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Hands:
    """What makes a run.

    edit(settings, name, job) -> Edit; score(edit, settings, job) -> (scores, rows), as `Run` has them;
    probe(edit, settings, job) -> what `Run.probes` has; load(id) -> the edit of a kept run.
    """

    edit: Callable[[Settings, str, Job], Edit]
    score: Callable[[Edit, Settings, Job], tuple[Mapping[str, Any], tuple[Mapping[str, Any], ...]]]
    probe: Callable[[Edit, Settings, Job], Mapping[str, Any]]
    load: Callable[[str], Edit]
    environment: Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What became of one planned run: "made", "kept" (it was there already) or "failed"."""

    settings: Settings
    state: str
    run: Run | None = None
    reason: str = ""


def plan(
    config: Config,
    draw: Callable[[int, int | None], tuple[Facts, Facts, Facts]],
    settings: Callable[..., Settings],
) -> list[Settings]:
    """The runs of a sweep, in an order in which those that share facts, and of these those that share refusals, stand
    together: the original is asked once for each of the first, and the latter are written once.

    draw(seed, facts) -> (forget, retain, protect); settings(method=, targets=, merge=, seed=, forget=, ...).
    """
    found = []
    for seed in config.seeds:
        for facts in config.facts:
            forget, retain, protect = draw(seed, facts)
            asked = dict(seed=seed, forget=forget, retain=retain, protect=protect)
            for merge in config.merge:
                for targets in config.targets:
                    for method in config.methods:
                        found.append(settings(method=method, targets=targets, merge=merge, **asked))
    return list({one.id: one for one in found}.values())


def label(settings: Settings) -> str:
    """A run in a few words; the method goes by the name that commands take."""
    facts = f"{settings.facts} fact{'' if settings.facts == 1 else 's'}"
    merged = f", {settings.merge} merged" if settings.merge > 1 else ""
    dtype = "" if settings.dtype == PLAIN else f", {settings.dtype}"
    return f"{settings.method}, {settings.targets}, {facts}{merged}, seed {settings.seed}{dtype}"


def make(
    settings: Settings,
    hands: Hands,
    store: Runs,
    *,
    probes: bool = False,
    sweep: str | None = None,
    name: str = "",
    again: bool = False,
    job: Job,
) -> tuple[Run, bool]:
    """One run, made and kept, or as it is kept already (probed now, where that is asked and was not done), without its
    rows then. Returns it, and whether anything was done. `again`: made in any case."""

    def waiting() -> None:
        job.progress("Waiting for another program that makes the same run")

    with store.lock(settings.id, waiting):
        older = store.find(settings)
        kept = None if again else older
        sweeps = tuple(dict.fromkeys(filter(None, (*(older.sweeps if older else ()), sweep))))
        if kept is not None and sweep and sweep not in kept.sweeps:
            kept = store.share(kept, sweep)
        if kept is not None and (kept.probes is not None or not probes):
            return kept, False
        if kept is not None:
            edit, began = hands.load(kept.id), time.monotonic()
            found = hands.probe(edit, settings, job)
            seconds = {**kept.seconds, "probes": round(time.monotonic() - began, 2)}
            return store.keep(replace(store.load(kept.id), probes=found, seconds=seconds), edit), True
        began = time.monotonic()
        edit = hands.edit(settings, name or label(settings), job)
        edited = time.monotonic()
        scores, rows = hands.score(edit, settings, job)
        seconds = {"targets and edit": round(edited - began, 2), "scores": round(time.monotonic() - edited, 2)}
        began = time.monotonic()
        probed = hands.probe(edit, settings, job) if probes else None
        if probes:
            seconds["probes"] = round(time.monotonic() - began, 2)
        about = {
            "id": edit.id,
            "name": edit.name,
            "summary": edit.summary(),
            "kind": edit.kind,
            "layers": list(edit.layers),
            "payload": edit.payload,
            "bytes": sum(tensor.nbytes for tensor in edit.tensors.values()),
        }
        run = Run(
            settings,
            scores=scores,
            rows=rows,
            edit=about,
            seconds=seconds,
            environment=hands.environment,
            probes=probed,
            sweep=sweeps[0] if sweeps else None,
            also=sweeps[1:],
            name=name or label(settings),
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            targets=tuple(request["target_new"] for request in edit.requests),
        )
        return store.keep(run, edit), True


def sweep(
    planned: Sequence[Settings],
    hands: Hands,
    store: Runs,
    *,
    probes: bool = False,
    name: str = "",
    job: Job,
    on_run: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Make every planned run that is not kept yet.

    `on_run` hears of each as it ends. A run that can't be made is told and kept as a `Failure`. Raises Stopped at
    once when the job is stopped (the run that was being made is lost, the others are kept), and OSError where the disk
    refuses, because then nothing that follows could be kept either.
    """
    outcomes: list[Outcome] = []
    for place, settings in enumerate(planned):
        job.expect(seconds_for(planned[place:], store.all(), probes))
        part = Part(job, place, len(planned), label(settings))
        part.progress("Starting")
        try:
            run, worked = make(settings, hands, store, probes=probes, sweep=name or None, job=part)
            outcome = Outcome(settings, "made" if worked else "kept", run)
        except (Stopped, OSError):
            raise
        except Exception as error:
            outcome = Outcome(settings, "failed", reason=_reason(error))
            store.fail(settings, outcome.reason, name or None)
        outcomes.append(outcome)
        if on_run is not None:
            on_run(outcome)
        job.breathe()
    job.expect(None)
    job.progress("Runs finished", len(planned), len(planned))
    return outcomes


def seconds_for(planned: Sequence[Settings], kept: Sequence[Run], probes: bool = False) -> float | None:
    """How long the planned runs that aren't kept take, by what such runs took here; None where nothing is known.

    A run is expected to take as long as the latest of its method, with its number of facts; else as one of its method
    with another number, in proportion; else as runs took on the average. Probing takes
    about as long for any number of facts, and comes to that where it is asked for.
    """
    there = {run.id for run in kept if run.probes is not None or not probes}
    todo = [one for one in planned if one.id not in there]
    if not todo:
        return 0.0
    alike = [run for run in kept if run.settings.fingerprint == todo[0].fingerprint]
    if not alike:
        return None
    mean = statistics.mean(_per_fact(run) for run in alike)
    by_method: dict[str, list[Run]] = {}
    for run in alike:  # newest first
        by_method.setdefault(run.settings.method, []).append(run)
    total = 0.0
    for one in todo:
        same = by_method.get(one.method, [])
        exact = [run for run in same if run.settings.facts == one.facts] or same
        latest = [_per_fact(run) for run in exact[:LATEST]]
        total += one.facts * (statistics.median(latest) if latest else mean)
    probed = [run.seconds["probes"] for run in alike if "probes" in run.seconds]
    return total + (len(todo) * statistics.median(probed[:LATEST]) if probes and probed else 0.0)


def _per_fact(run: Run) -> float:
    return sum(took for part, took in run.seconds.items() if part != "probes") / max(1, run.settings.facts)


def _reason(error: Exception) -> str:
    if isinstance(error, UneditError):
        return str(error)
    if is_out_of_memory(error):
        return "The memory was not enough; forget fewer questions at once, or choose fewer layers."
    log.error("a run failed", exc_info=error)
    return f"Something unexpected went wrong ({type(error).__name__}: {str(error)[:200]})."


class Part(Job):
    """The job of one run within that of a sweep: it reports there, and stops and breathes with it."""

    def __init__(self, whole: Job, place: int, count: int, what: str) -> None:
        super().__init__("run", what)
        self._whole, self._place, self._count = whole, place, count

    def progress(self, stage: str, done: int = 0, total: int | None = None, note: str = "") -> None:
        super().progress(stage, done, total, note)
        count = f" {done} of {total}" if total else ""
        self._whole.progress("Runs finished", self._place, self._count, f"{self.title}: {stage}{count}")

    def check(self) -> None:
        self._whole.check()

    def breathe(self) -> None:
        self._whole.breathe()

    @property
    def stopping(self) -> bool:
        return self._whole.stopping
