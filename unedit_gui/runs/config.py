"""What a sweep is to try: a YAML file (or plain values) as a checked value.

    methods: [rome, memit]                # the only line that is needed
    targets: [self-improved, vanilla]     # kinds of refusal targets
    merge: [1, 5]                         # how many questions become one request
    facts: [10, 40]                       # how many are forgotten; all: the whole set, in its order
    seeds: [0, 1]                         # each draws facts of its own
    questions: factual                    # a set that comes with the program, a file beside this one, or a list of them
    known: yes                            # only facts that the model answers right
    retain: factual                       # where the facts that should stay are drawn; default: from `questions`
    retain_facts: 40
    protect: general                      # facts that each edit is told to keep
    hparams: {memit: {lr: 0.4}}
    probes: no
    name: what the sweep is called

Every combination of methods, targets, merge, facts and seeds is a run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from .. import plain_yaml
from ..errors import BadInput
from ..forget.merging import MOST as MOST_MERGED
from ..forget.questions import MAX_ROWS, Question, read_table
from ..forget.targets import KINDS

LARGEST = 2**18  # bytes of a file; a sweep's has a few hundred
MOST_RUNS = 10_000
_SEEDS = 2**63 - 1
ALL = "all"
_APART = ("folder", "model", "fingerprint", "dtype", "begun")  # no fields of a file


@dataclass(frozen=True)
class Config:
    """A sweep, as it was asked for. `from_mapping` checks; see the module's text for the fields.

    facts: None stands for the whole set. questions, retain, protect: the name of a set or file, or the questions
    themselves. folder: where the files are looked for. Of an unfinished sweep alone: model, fingerprint, dtype, with
    which it began, and begun, the id under which that is written down.
    """

    methods: tuple[str, ...]
    targets: tuple[str, ...] = ("self-improved",)
    merge: tuple[int, ...] = (1,)
    facts: tuple[int | None, ...] = (10,)
    seeds: tuple[int, ...] = (0,)
    questions: str | tuple[Question, ...] = "factual"
    known: bool = True
    retain: str | tuple[Question, ...] | None = None
    retain_facts: int = 40
    protect: str | tuple[Question, ...] | None = None
    hparams: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    probes: bool = False
    name: str = ""
    folder: Path = Path()
    model: str = ""
    fingerprint: str = ""
    dtype: str = ""
    begun: str = field(default="", compare=False)

    @property
    def count(self) -> int:
        """How many runs it is."""
        parts = (self.methods, self.targets, self.merge, self.facts, self.seeds)
        found = 1
        for part in parts:
            found *= len(part)
        return found

    def document(self) -> dict[str, Any]:
        """The same as plain values: what `from_mapping` reads."""
        plain = asdict(self)
        for name in _APART:
            del plain[name]
        plain["facts"] = [ALL if facts is None else facts for facts in self.facts]
        return {key: list(value) if isinstance(value, tuple) else value for key, value in plain.items()}


def read_config(path: Path | str, methods: Sequence[str]) -> Config:
    """The sweep of a YAML file. `methods`: those that there are. BadInput, in one sentence, for what can't be run."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise BadInput(f"{path.name} is larger than {LARGEST // 2**10} KB; a sweep takes a few lines.")
        told = plain_yaml.load(content.decode("utf-8-sig"), path.name)
    except OSError as error:
        raise BadInput(f"{path.name} can't be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path.name} is not UTF-8 text; save it as such.") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        place = getattr(error, "problem_mark", None)
        where = f" (line {place.line + 1})" if place else ""
        raise BadInput(f"{path.name} is no YAML that can be read{where}; compare it with data/sweep.yaml.") from error
    return from_mapping(told, methods, path.parent, path.stem)


def from_mapping(told: Any, methods: Sequence[str], folder: Path = Path(), name: str = "") -> Config:
    """A sweep of plain values, such as those of a file. Unknown names are refused, with those that there are."""
    if not isinstance(told, Mapping):
        raise BadInput(f"A sweep has named fields, such as `methods: [rome, memit]`, and is not {_shown(told)}.")
    known = [part.name for part in fields(Config) if part.name not in _APART]
    for key in told:
        if key not in known:
            raise BadInput(f"A sweep has no field {_shown(key)}; there are {', '.join(known)}.")
    if told.get("methods") is None:
        raise BadInput(f"The sweep lacks methods; name some of {', '.join(methods)}.")
    given = {key: value for key, value in told.items() if value is not None}
    read: dict[str, Any] = {"folder": Path(folder)}
    for key, value in given.items():
        if key == "methods":
            read[key] = _names("methods", value, methods)
        elif key == "targets":
            read[key] = _names("targets", value, KINDS)
        elif key == "merge":
            read[key] = _numbers(key, value, 1, MOST_MERGED)
        elif key == "seeds":
            read[key] = _numbers(key, value, 0, _SEEDS)
        elif key == "facts":
            read[key] = tuple(dict.fromkeys(_facts(one) for one in _list(key, value)))
        elif key == "retain_facts":
            (read[key],) = _numbers(key, [value], 0, MAX_ROWS)
        elif key in ("known", "probes"):
            if not isinstance(value, bool):
                raise BadInput(f"{key} is yes or no, not {_shown(value)}.")
            read[key] = value
        elif key == "hparams":
            read[key] = _hparams(value, methods)
        elif key == "name":
            read[key] = _text(key, value) if value != "" else ""
        else:
            read[key] = _source(key, value)
    config = Config(**{"name": name, **read})
    if config.count > MOST_RUNS:
        raise BadInput(f"The sweep has {config.count:,} runs; {MOST_RUNS:,} are allowed.")
    return config


def _source(key: str, value: Any) -> str | tuple[Question, ...]:
    """A set's or file's name, or questions as they are."""
    if not isinstance(value, list | tuple):
        return _text(key, value)
    if value and all(isinstance(one, Question) for one in value):
        return tuple(value)
    if not value or not all(isinstance(one, Mapping) for one in value):
        raise BadInput(f"{key}: name a set or a file, or list questions with their answers.")
    reading = read_table(value)
    if reading.problems:
        raise BadInput(f"{key}, {reading.problems[0]}.")
    return reading.questions


def _text(key: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > 200 or "\0" in value:
        raise BadInput(f"{key} is to be a short text, not {_shown(value)}.")
    return value.strip()


def _list(key: str, value: Any) -> list[Any]:
    found = list(value) if isinstance(value, list | tuple) else [value]
    if not found or len(found) > MOST_RUNS:
        raise BadInput(f"{key} has {len(found)} values; give one or more, {MOST_RUNS:,} at most.")
    return found


def _names(key: str, value: Any, allowed: Sequence[str]) -> tuple[str, ...]:
    for one in _list(key, value):
        if not isinstance(one, str) or one not in allowed:
            raise BadInput(f"{key}: there is no {_shown(one)}; choose from {', '.join(allowed)}.")
    return tuple(dict.fromkeys(_list(key, value)))


def _numbers(key: str, value: Any, low: int, high: int) -> tuple[int, ...]:
    for one in _list(key, value):
        if isinstance(one, bool) or not isinstance(one, int) or not low <= one <= high:
            raise BadInput(f"{key}: {_shown(one)} is not a whole number from {low} to {high}.")
    return tuple(dict.fromkeys(_list(key, value)))


def _facts(value: Any) -> int | None:
    if value == ALL:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_ROWS:
        raise BadInput(f"facts: {_shown(value)} is neither a whole number from 1 to {MAX_ROWS} nor {ALL}.")
    return value


def _hparams(value: Any, methods: Sequence[str]) -> dict[str, dict[str, Any]]:
    if not isinstance(value, Mapping):
        raise BadInput(f"hparams has a line for each method, such as `memit: {{lr: 0.4}}`, and is not {_shown(value)}.")
    found = {}
    for method, settings in value.items():
        _names("hparams", method, methods)
        if not isinstance(settings, Mapping):
            raise BadInput(f"hparams, {method}: write settings as `lr: 0.4`, not {_shown(settings)}.")
        for name, setting in settings.items():
            parts = setting if isinstance(setting, list) else [setting]
            if not isinstance(name, str) or not all(isinstance(part, str | int | float) for part in parts):
                raise BadInput(f"hparams, {method}: {_shown(name)} is to be a number, a text, yes or no, or a list.")
        found[method] = dict(settings)
    return found


def _shown(value: Any) -> str:
    """A value in a message: short, and never what hides in it (a list of lists of lists is as long as it likes)."""
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else value[:60] + "…")
    if value is None or isinstance(value, bool | float):
        return {None: "nothing", True: "yes", False: "no"}.get(value, repr(value))
    if isinstance(value, int):
        return str(value) if abs(value) < 10**20 else "a very large number"
    return {"list": "a list", "dict": "named fields", "tuple": "a list"}.get(type(value).__name__, type(value).__name__)
