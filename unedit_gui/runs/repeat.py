"""A run made again: is everything as it was the first time, to the last digit? And if not, what is different?

The same settings and targets, with the same weights, versions, threads, device and dtype on the same kind of processor,
give the same edit, the same replies and the same figures, bit by bit. The original is asked again as well: nothing is
taken from what was kept. Where surroundings differ, figures may in their last digits, and now and then a reply with
them; `cautions` says beforehand that they do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .record import Run

MOST = 8  # replies that are named
RATES = ("n", "hits", "value", "low", "high", "tried")  # of a probe
SURROUNDINGS = {"device": "device", "dtype": "number format", "threads": "number of threads", "processor": "processor"}


@dataclass(frozen=True)
class Repeat:
    """A run as it was and as it came out again. figures, replies: how many were compared.

    differences: what isn't as it was, in sentences; none: everything is. cautions: what was different beforehand.
    """

    first: Run
    again: Run
    figures: int
    replies: int
    differences: tuple[str, ...]
    cautions: tuple[str, ...]

    @property
    def same(self) -> bool:
        return not self.differences

    @property
    def says(self) -> str:
        """The outcome in a sentence."""
        if self.same:
            return (
                f"The same, to the last digit: {self.figures} figures and {self.replies} replies, and the edit itself."
            )
        return f"Not the same: {self.differences[0]}"

    def to_json(self) -> dict[str, Any]:
        return {
            "run": self.first.id,
            "name": self.first.name,
            "same": self.same,
            "says": self.says,
            "figures": self.figures,
            "replies": self.replies,
            "score": {"first": self.first.score, "again": self.again.score},
            "edit": {"first": self.first.edit.get("id"), "again": self.again.edit.get("id")},
            "differences": list(self.differences),
            "cautions": list(self.cautions),
        }


def compared(first: Run, again: Run) -> Repeat:
    """Both runs beside each other: targets, edit, averages, and every row."""
    found = [*_targets(first, again), *_edit(first, again)]
    old, new = (dict(_figures(run)) for run in (first, again))
    found += _moved(old, new)
    said = [(dict(_replies(run))) for run in (first, again)]
    found += _rewritten(*said)
    figures, replies = len(old.keys() | new.keys()), len(said[0].keys() | said[1].keys())
    return Repeat(first, again, figures, replies, tuple(found), tuple(cautions(first, again)))


def cautions(first: Run, again: Run) -> list[str]:
    """What may make figures differ: other weights, versions or surroundings than the first time."""
    found = []
    if first.settings.fingerprint != again.settings.fingerprint:
        found.append(
            f"The model is another one: its weights have the fingerprint {again.settings.fingerprint}, not "
            f"{first.settings.fingerprint}."
        )
    for name, said in SURROUNDINGS.items():
        old, new = first.environment.get(name), again.environment.get(name)
        if old is not None and old != new:
            found.append(f"The {said} is {new}; the first time it was {old}.")
    olds, news = (run.environment.get("versions") or {} for run in (first, again))
    for name, old in olds.items():
        if old != news.get(name):
            found.append(f"{name} is {news.get(name, 'not there')}; the first time it was {old}.")
    new = sorted(again.settings.hparams.keys() - first.settings.hparams.keys())
    if new:  # the program had fewer settings then
        said = ", ".join(f"{name} ({again.settings.hparams[name]})" for name in new)
        found.append(f"What the first run says nothing of was set as is usual now: {said}.")
    if not first.environment:
        found.append("Where the run was made the first time is not known.")
    return found


def _targets(first: Run, again: Run) -> Iterator[str]:
    other = [(old, new) for old, new in zip(first.targets, again.targets, strict=False) if old != new]
    if other or len(first.targets) != len(again.targets):
        old, new = other[0] if other else ("", "")
        example = f", such as {_quoted(new)} in place of {_quoted(old)}" if other else ""
        yield f"{len(other) or 'other'} of the {len(first.targets)} targets were written otherwise{example}."


def _edit(first: Run, again: Run) -> Iterator[str]:
    name = "payload" if first.edit.get("payload") else "id"  # the id also holds what the model is called
    old, new = first.edit.get(name), again.edit.get(name)
    if old != new:
        yield f"The edit is another one: its {name} is {new}, not {old}."


def _figures(run: Run) -> Iterator[tuple[tuple, float | None]]:
    """Every number of a run: averages by when, group and metric, then those of each row."""
    for when in ("before", "after"):
        for group, averages in (run.scores.get(when) or {}).items():
            for metric, value in averages.items():
                yield (when, group, metric), value
    for when, value in (run.scores.get("score") or {}).items():
        yield (when, "", "score"), value
    for name, row in _probed(run):
        yield ("after", name, "chance"), row.get("chance")
        for place, rate in enumerate((row.get("original") or {}, *(row.get("edits") or ()))):
            for metric in RATES:
                yield ("after" if place else "before", name, metric), rate.get(metric)
    for key, row in _rows(run):
        for when in ("before", "after"):
            for metric, value in (row.get(when) or {}).items():
                if metric not in ("text", "cut"):
                    yield (when, key, metric), value


def _replies(run: Run) -> Iterator[tuple[tuple, str]]:
    for leak in (run.probes or {}).get("worst") or ():  # of the probes' replies these are kept
        key = (leak.get("probe"), leak.get("asked"))
        yield ("before", key), leak.get("original")
        yield ("after", key), leak.get("reply")
    for key, row in _rows(run):
        for when in ("before", "after"):
            yield (when, key), (row.get(when) or {}).get("text")


def _probed(run: Run) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The probes of a run that was probed, by what a difference calls them."""
    for row in (run.probes or {}).get("rows") or ():
        yield f"in the probe {row.get('probe')}", row


def _rows(run: Run) -> Iterator[tuple[tuple, Mapping[str, Any]]]:
    """The rows with what tells them apart: group, question, answer, and how often that was there before."""
    seen: dict[tuple, int] = {}
    for row in run.rows:
        key = (row.get("group"), row.get("question"), row.get("answer"))
        seen[key] = seen.get(key, 0) + 1
        yield (*key, seen[key]), row


def _moved(old: Mapping[tuple, Any], new: Mapping[tuple, Any]) -> Iterator[str]:
    """Which figures differ: how many, and the one that differs most."""
    keys = [key for key in old if key in new and old[key] != new[key]]
    gone = old.keys() ^ new.keys()
    averages = [key for key in keys if not isinstance(key[1], tuple)]
    if averages:
        key = max(averages, key=lambda key: _distance(old[key], new[key]))
        where = " ".join(part.replace("_", " ") for part in (key[2], key[1]) if part)
        yield (
            f"{len(averages)} averages differ, most of all {where} {key[0]} the edit: {_number(new[key])}, not "
            f"{_number(old[key])}."
        )
    rows = [key for key in keys if isinstance(key[1], tuple)]
    if rows:
        key = max(rows, key=lambda key: _distance(old[key], new[key]))
        yield (
            f"{len(rows)} figures of single questions differ, most of all {key[2].replace('_', ' ')} of "
            f"{_quoted(str(key[1][1]))} {key[0]} the edit: {_number(new[key])}, not {_number(old[key])}."
        )
    if gone:
        yield f"{len(gone)} figures are there only once: other questions were asked."


def _rewritten(old: Mapping[tuple, str], new: Mapping[tuple, str]) -> Iterator[str]:
    other = [key for key in old if key in new and old[key] != new[key]]
    for when, key in other[:MOST]:
        who = "original" if when == "before" else "edited model"
        told = f"to {_quoted(str(key[1]))} the {who} says {_quoted(new[when, key])}, not {_quoted(old[when, key])}"
        yield f"{told[0].upper()}{told[1:]}."
    if len(other) > MOST:
        yield f"{len(other) - MOST} more replies differ."


def _distance(old: Any, new: Any) -> float:
    both = isinstance(old, int | float) and isinstance(new, int | float)
    return abs(old - new) if both else float("inf")


def _number(value: Any) -> str:
    return "nothing" if value is None else repr(value) if isinstance(value, float) else str(value)


def _quoted(text: str | None, limit: int = 80) -> str:
    flat = " ".join((text or "").split())
    return f"“{flat if len(flat) <= limit else flat[: limit - 1] + '…'}”"


def found_again(runs: Sequence[Run], wanted: str) -> Run | None:
    """The run of this id, or of the only id that begins so."""
    found = [run for run in runs if run.id == wanted] or [run for run in runs if wanted and run.id.startswith(wanted)]
    return found[0] if len(found) == 1 else None
