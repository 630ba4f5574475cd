"""One run as a value: what was asked, where, what came out. On disk it is a folder of JSON files and the edit.

`Settings` are what decides the figures, and their hash names the run, so that a sweep which is started again
knows what is done. Where it ran (versions, threads, device) stands beside them in `environment`, outside the hash:
the same settings on another machine are the same run, whose figures may differ in the last digits.

    RUN/run.json      settings, environment, times, averages, probes: small, what a table needs
    RUN/rows.json     a row per question with both replies and their scores
    RUN/edit/         the edit, as `edits.edit.save` writes it
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import BadInput

FORMAT = 1
RUN, ROWS, EDIT = "run.json", "rows.json", "edit"
PLAIN = "float32"


@dataclass(frozen=True)
class Settings:
    """What decides a run's figures.

    model: the name that `--model` takes; fingerprint: of its weights. hparams: all of the method's, not only those
    that were changed. forget, retain, protect: the questions with answer, subject, rephrases and target, as plain
    dicts in the order in which they were given. dtype: what the model was loaded in.
    """

    model: str
    fingerprint: str
    method: str
    targets: str = "self-improved"
    merge: int = 1
    seed: int = 0
    hparams: Mapping[str, Any] = field(default_factory=dict)
    forget: tuple[Mapping[str, Any], ...] = ()
    retain: tuple[Mapping[str, Any], ...] = ()
    protect: tuple[Mapping[str, Any], ...] = ()
    dtype: str = PLAIN

    @property
    def id(self) -> str:
        """16 hexadecimal digits of a hash of all of it."""
        parts = asdict(self)
        if self.dtype == PLAIN:  # runs of before dtypes were told apart keep their names
            del parts["dtype"]
        text = json.dumps({"format": FORMAT, **parts}, ensure_ascii=False, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def facts(self) -> int:
        """How many facts are forgotten."""
        return len(self.forget)


@dataclass(frozen=True)
class Run:
    """A finished run.

    scores: "before" and "after", each with "forget", "retain", "rephrased", "general" and in them the metrics and "n",
    then "score" (before, after) and "notes", as `Scores.to_json` gives them. rows: as `Scores.details` gives them.
    edit: id, name, summary, kind, layers, bytes of the edit, and payload, a hash of its numbers. seconds: "targets and
    edit", "scores". environment: "versions" (unedit, torch, transformers, python), "threads", "device", "dtype",
    "processor". probes: what `Probed` says as JSON, or None. sweep: the name of the sweep that made it; also: those of
    sweeps that found it made. created: ISO time, UTC. targets: what was taught in place of each forgotten answer
    (`target_new` of the edit's requests), in the order of `settings.forget`: with them the edit is made again without
    writing them again.
    """

    settings: Settings
    scores: Mapping[str, Any]
    rows: tuple[Mapping[str, Any], ...] = ()
    edit: Mapping[str, Any] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    probes: Mapping[str, Any] | None = None
    sweep: str | None = None
    name: str = ""
    created: str = ""
    targets: tuple[str, ...] = ()
    also: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return self.settings.id

    @property
    def sweeps(self) -> tuple[str, ...]:
        """The names of the sweeps that it belongs to."""
        return tuple(name for name in (self.sweep, *self.also) if name)

    def average(self, group: str, metric: str = "rouge1", when: str = "after") -> float | None:
        """One averaged figure; None where there was nothing to average."""
        return self.scores.get(when, {}).get(group, {}).get(metric)

    @property
    def score(self) -> float | None:
        """1 - ROUGE1(forget) + ROUGE1(retain) after the edit."""
        return self.scores.get("score", {}).get("after")

    def document(self) -> dict[str, Any]:
        """All but the rows, as it is written to run.json."""
        document = {name: value for name, value in asdict(self).items() if name != "rows"}
        return {"format": FORMAT, "id": self.id, **document}


def write_run(run: Run, folder: Path) -> None:
    """Write run.json and rows.json into `folder`, which exists. Raises OSError where the disk refuses."""
    for name, content in ((ROWS, as_text(list(run.rows))), (RUN, as_text(run.document()))):
        (folder / name).write_text(content, "utf-8")


def as_text(content: Any) -> str:
    """JSON as it stands in a run's files."""
    return json.dumps(content, ensure_ascii=False, indent=1)


def read_run(folder: Path, rows: bool = True) -> Run:
    """The run in `folder`; `rows` False: without its rows, which is quicker.

    Raises BadInput where there is none, or where it was changed, is damaged or of a later version.
    """
    try:
        document = json.loads((folder / RUN).read_text("utf-8"))
        found = json.loads((folder / ROWS).read_text("utf-8")) if rows else []
        return from_document({**document, "rows": found}, f"the run in {folder.name}")
    except (OSError, ValueError) as error:
        raise BadInput(f"There is no whole run in {folder.name}: {RUN} or {ROWS} is missing or damaged.") from error


def from_document(document: Any, called: str = "the run") -> Run:
    """The run of what `Run.document` gave, with its `rows` beside the rest.

    Raises BadInput where something is missing or of the wrong kind, was changed, or is of a later version.
    """
    try:
        given = dict(document)
        if given.pop("format") != FORMAT:
            raise BadInput(
                f"{called[0].upper()}{called[1:]} was written by another version of Unedit; update, try again."
            )
        said = given.pop("id")
        kept = dict(given.pop("settings"))
        for name in ("forget", "retain", "protect"):
            kept[name] = tuple(kept[name])
        lists = {name: tuple(given.pop(name, None) or ()) for name in ("rows", "targets", "also")}
        run = Run(Settings(**kept), **lists, **given)
        wrong = _wrong(run)
        as_text(document).encode()  # half a character is none, and can't be written anywhere
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{called[0].upper()}{called[1:]} is not whole: something is missing or damaged.") from error
    if wrong:
        raise BadInput(f"{called[0].upper()}{called[1:]} is not whole: its field {wrong} is damaged.")
    if run.id != said:
        raise BadInput(f"The settings of {called} were changed after it ran.")
    return run


def _wrong(run: Run) -> str:
    """What in a run is of another kind than it has to be, since anybody may have written it; "" if all is well."""
    settings = run.settings
    texts = {name: getattr(settings, name) for name in ("model", "fingerprint", "method", "targets", "dtype")}
    texts |= {"name": run.name, "created": run.created}
    numbers = {"merge": settings.merge, "seed": settings.seed}
    lists = {name: getattr(settings, name) for name in ("forget", "retain", "protect")} | {"rows": run.rows}
    named = {name: getattr(run, name) for name in ("scores", "edit", "seconds", "environment")}
    named |= {"hparams": settings.hparams, "probes": run.probes or {}}
    checks = (
        *((name, isinstance(value, str)) for name, value in texts.items()),
        *((name, type(value) is int and 0 <= value < 2**63) for name, value in numbers.items()),
        *((name, all(isinstance(one, Mapping) for one in value)) for name, value in lists.items()),
        *((name, all(map(_is_question, lists[name]))) for name in ("forget", "retain", "protect")),
        *((name, isinstance(value, Mapping)) for name, value in named.items()),
        ("targets", all(isinstance(text, str) for text in run.targets)),
        ("sweep", _is_text(run.sweep)),
        ("also", all(isinstance(name, str) for name in run.also)),
        ("scores", _are_scores(run.scores)),
        ("seconds", _named(run.seconds, _is_duration)),
        ("edit", all(_is_text(run.edit.get(part)) for part in ("id", "name", "summary", "kind", "payload"))),
        ("environment", _is_environment(run.environment)),
        ("probes", _are_probes(run.probes or {})),
        ("rows", all(map(_is_row, run.rows))),
    )
    return next((name for name, good in checks if not good), "")


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or isinstance(value, int) and abs(value) < 2**63


def _is_duration(value: Any) -> bool:
    return _is_number(value) and 0 <= value < 1e9


def _is_text(value: Any) -> bool:
    return isinstance(value, str | None)


def _listed(value: Any, good: Callable[[Any], bool]) -> bool:
    """Is it a list of nothing but such?"""
    return isinstance(value, list | tuple) and all(map(good, value))


def _named(value: Any, good: Callable[[Any], bool]) -> bool:
    """Are its values, which have names, all such?"""
    return isinstance(value, Mapping) and all(map(good, value.values()))


def _are_averages(value: Any) -> bool:
    """Named numbers, of which some may not have been measured?"""
    return _named(value, lambda one: one is None or _is_number(one))


def _are_scores(scores: Mapping[str, Any]) -> bool:
    groups = all(_named(scores.get(when, {}), _are_averages) for when in ("before", "after"))
    return groups and _are_averages(scores.get("score", {})) and _listed(scores.get("notes", []), _is_text)


def _is_environment(environment: Mapping[str, Any]) -> bool:
    versions = environment.get("versions", {})
    rest = {**environment, "versions": None}
    return _named(versions, _is_text) and _named(rest, lambda one: _is_text(one) or _is_number(one))


def _are_probes(probes: Mapping[str, Any]) -> bool:
    """Do its parts have the right form? Of which kind the values in them are, whoever shows them has to look."""

    def is_row(row: Any) -> bool:
        return isinstance(row, Mapping) and _listed([row.get("original", {}), *row.get("edits", ())], is_named)

    def is_named(value: Any) -> bool:
        return isinstance(value, Mapping)

    rows, worst, notes = (probes.get(name, []) for name in ("rows", "worst", "notes"))
    return _listed(rows, is_row) and _listed(worst, is_named) and _listed(notes, _is_text)


def _is_row(row: Mapping[str, Any]) -> bool:
    texts = all(_is_text(row.get(name)) for name in ("group", "question", "answer", "subject", "part"))
    sides = [row.get(when, {}) for when in ("before", "after")]
    return texts and all(_is_text(side.get("text")) and _are_averages({**side, "text": None}) for side in sides)


def _is_question(value: Mapping[str, Any]) -> bool:
    """Does it hold what a `forget.questions.Question` does, and nothing else?"""
    texts = {"question", "answer", "subject", "target", "category"}
    asked = all(isinstance(value.get(name), str) for name in ("question", "answer"))
    known = value.keys() <= texts | {"rephrases"} and all(isinstance(value.get(name), str | None) for name in texts)
    return asked and known and all(isinstance(text, str) for text in value.get("rephrases") or ())
