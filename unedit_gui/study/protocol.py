"""The protocol: all that is decided about a study before anybody takes part, as one value with a hash.

It is written as YAML or JSON (data/example_study.yaml shows every field), checked when the study is created, and
stored as it is. The consent text has a version and a hash of its own, which are stored with every consent.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from unedit_gui import plain_yaml
from unedit_gui.errors import BadInput

DEMOGRAPHICS = {
    "gender": ("Woman", "Man", "Non-binary or another"),
    "age": ("18 to 24", "25 to 34", "35 to 44", "45 to 54", "55 to 64", "65 or older"),
    "education": ("No degree yet", "School or vocational training", "Bachelor", "Master", "Doctorate"),
}
ORDERS = ("random", "fixed")
MOST = 2000  # questions, and characters of a title; a study that needs more is a mistake
LONGEST = 20_000  # characters of any one text


@dataclass(frozen=True)
class Asked:
    """A question of the study with its true answer."""

    question: str
    answer: str


@dataclass(frozen=True)
class Condition:
    """One cell of what is compared. `name` is never shown to participants.

    `edits`: saved edits, oldest first, whose replies are frozen; "original": the model as it is; none: the replies come
    from a CSV file. The rest
    says what the condition is, for whoever reads the results.
    """

    name: str
    edits: tuple[str, ...] = ()
    method: str = ""
    targets: str = ""


@dataclass(frozen=True)
class Worked:
    """A reply of which we know how it should be judged: an example, the practice item or an attention check.

    A scale that is None may be judged in any way; `why` is told with examples and after the practice.
    """

    question: str
    answer: str
    reply: str
    forgotten: int
    entailment: int | None = None
    trust: int | None = None
    why: str = ""


@dataclass(frozen=True)
class Protocol:
    """All decisions about a study. Raises BadInput, in one sentence, for one that can't be carried out.

    Args:
        common: how many questions are the same item for everybody, so that agreement can be measured.
        order: "random" (another one for each rater, from the seed) or "fixed".
        min_seconds: who answers faster is flagged (never left out).
        dropout_hours: after so long without an answer, an unfinished rater's list goes to somebody else.
        contact: whom participants may ask.
    """

    title: str
    consent: str
    instructions: str
    questions: tuple[Asked, ...]
    conditions: tuple[Condition, ...]
    practice: Worked | None = None
    checks: tuple[Worked, ...] = ()
    examples: tuple[Worked, ...] = ()
    demographics: tuple[tuple[str, bool], ...] = ()  # (field, whether it must be answered)
    consent_version: str = "1"
    common: int = 0
    order: str = "random"
    seed: int = 0
    min_seconds: float = 3.0
    dropout_hours: float = 72.0
    contact: str = ""

    def __post_init__(self) -> None:
        for name in ("title", "consent", "instructions", "consent_version", "contact"):
            _text(f"The protocol's {name}", getattr(self, name), empty=name == "contact")
        if not self.questions or not self.conditions:
            raise BadInput("The protocol needs at least one question and one condition.")
        if len(self.questions) > MOST:
            raise BadInput(f"The protocol has {len(self.questions)} questions; {MOST} are allowed.")
        for asked in self.questions:
            _text("A question", asked.question)
            _text(f"The answer to {asked.question[:60]!r}", asked.answer)
        _all_different("question", [asked.question.casefold() for asked in self.questions])
        for condition in self.conditions:
            _text("A condition's name", condition.name)
            for name in ("method", "targets"):
                _text(f"The {name} of {condition.name[:60]!r}", getattr(condition, name), empty=True)
            for edit in condition.edits:
                _text(f"An edit of {condition.name[:60]!r}", edit)
        _all_different("condition", [condition.name.casefold() for condition in self.conditions])
        for worked in (*self.checks, *self.examples, *([self.practice] if self.practice else [])):
            _check_worked(worked)
        _all_different("attention check", [check.question.casefold() + check.reply for check in self.checks])
        _all_different("demographic field", [field for field, _ in self.demographics])
        for field, _ in self.demographics:
            if field not in DEMOGRAPHICS:
                raise BadInput(f"{field!r} can't be asked of participants; choose from {', '.join(DEMOGRAPHICS)}.")
        if self.order not in ORDERS:
            raise BadInput(f"order is {self.order!r}; choose one of {', '.join(ORDERS)}.")
        if type(self.seed) is not int or type(self.common) is not int:
            raise BadInput("seed and common are whole numbers.")
        if not 0 <= self.common <= len(self.questions):
            raise BadInput(f"common is {self.common}, but there are {len(self.questions)} questions.")
        for name in ("min_seconds", "dropout_hours"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e6:
                raise BadInput(f"{name} is {value!r}; give a number that isn't negative.")
        self._check_blind()

    def _check_blind(self) -> None:
        """Nothing that participants read may name a condition."""
        told = [self.title, self.consent, self.instructions, self.contact]
        for worked in (*self.checks, *self.examples, *([self.practice] if self.practice else [])):
            told += [worked.question, worked.answer, worked.reply, worked.why]
        for condition in self.conditions:
            for text in told:
                if re.search(rf"(?<!\w){re.escape(condition.name)}(?!\w)", text, re.IGNORECASE):
                    raise BadInput(
                        f"The condition's name {condition.name!r} stands in a text that participants read "
                        f"({text[:60]!r}); take it out, or call the condition otherwise."
                    )

    @property
    def consent_sha256(self) -> str:
        return sha256(self.consent)

    def to_json(self) -> str:
        """As text: the same for the same decisions, byte for byte."""
        return json.dumps(asdict(self), ensure_ascii=False, sort_keys=True, indent=1)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def from_json(text: str) -> Protocol:
    """What `Protocol.to_json` wrote."""
    return from_mapping(json.loads(text))


def load(path: Path | str, read_questions: Callable[[Path], Sequence[tuple[str, str]]] | None = None) -> Protocol:
    """The protocol of a YAML or JSON file. BadInput if it can't be read or carried out.

    Args:
        read_questions: reads the file that `questions` names, relative to the protocol, as (question, answer).
    """
    path = Path(path)
    try:
        told = plain_yaml.load(path.read_text("utf-8"), path.name)
    except OSError as error:
        raise BadInput(f"{path.name} can't be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path.name} is not UTF-8 text; save it as such.") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        place = getattr(error, "problem_mark", None)
        where = f" (line {place.line + 1})" if place else ""
        raise BadInput(f"{path.name} is neither YAML nor JSON{where}; compare it with the example.") from error
    if not isinstance(told, dict):
        raise BadInput(f"{path.name} holds no protocol; compare it with the example.")
    if isinstance(told.get("questions"), str):
        if read_questions is None:
            raise BadInput("questions names a file; give the questions themselves.")
        rows = read_questions(path.parent / told["questions"])
        told = {**told, "questions": [{"question": q, "answer": a} for q, a in rows]}
    return from_mapping(told)


def from_mapping(told: Mapping[str, Any]) -> Protocol:
    """A protocol from plain values, such as those of a file. Unknown names are refused, not passed over."""
    told = dict(_known("The protocol", Protocol, told))
    told["questions"] = tuple(Asked(**_known("A question", Asked, row)) for row in _rows(told, "questions"))
    told["conditions"] = tuple(_condition(row) for row in _rows(told, "conditions"))
    for name in ("checks", "examples"):
        told[name] = tuple(Worked(**_known(name, Worked, row)) for row in _rows(told, name))
    if told.get("practice") is not None:
        told["practice"] = Worked(**_known("practice", Worked, told["practice"]))
    if "consent_version" in told:
        told["consent_version"] = str(told["consent_version"])
    told["demographics"] = _demographics(told.get("demographics") or ())
    for field in fields(Protocol):
        if field.name in ("title", "consent", "instructions") and field.name not in told:
            raise BadInput(f"The protocol lacks {field.name}; compare it with the example.")
    return Protocol(**told)


def _condition(row: Any) -> Condition:
    told = dict(_known("A condition", Condition, {"name": row} if isinstance(row, str) else row))
    edits = told.get("edits") or ()
    if not isinstance(edits, str | list | tuple):
        raise BadInput(f"The edits of {str(told['name'])[:60]!r} are to be a text or a list, not {str(edits)[:60]!r}.")
    told["edits"] = (edits,) if isinstance(edits, str) else tuple(edits)
    return Condition(**{name: value for name, value in told.items() if value is not None or name == "name"})


def _demographics(told: Any) -> tuple[tuple[str, bool], ...]:
    """{"age": "required", "gender": "optional"}, or the pairs that `to_json` writes."""
    if isinstance(told, list | tuple) and all(_is_pair(one) for one in told):
        return tuple((field, must) for field, must in told)
    if not isinstance(told, Mapping):
        raise BadInput(
            f"demographics is {str(told)[:60]!r}; write each field with required or optional: `age: required`."
        )
    for field, how in told.items():
        if how not in ("required", "optional"):
            raise BadInput(f"demographics: {field} is {how!r}; write required or optional.")
    return tuple((str(field), how == "required") for field, how in told.items())


def _is_pair(one: Any) -> bool:
    return isinstance(one, list | tuple) and [type(value) for value in one] == [str, bool]


def _rows(told: Mapping[str, Any], name: str) -> list[Any]:
    rows = told.get(name) or []
    if not isinstance(rows, list | tuple):
        raise BadInput(f"{name} is to be a list, not {type(rows).__name__}.")
    return list(rows)


def _known(what: str, kind: type, told: Any) -> Mapping[str, Any]:
    if not isinstance(told, Mapping):
        raise BadInput(f"{what} is to have named fields, not to be {str(told)[:60]!r}.")
    names = [field.name for field in fields(kind)]
    for name in told:
        if name not in names:
            raise BadInput(f"{what} has no field {str(name)[:60]!r}; there are {', '.join(names)}.")
    needed = {"Asked": 2, "Condition": 1, "Worked": 4}.get(kind.__name__, 0)
    for name in names[:needed]:
        if name not in told:
            raise BadInput(f"{what} lacks {name}.")
    return told


def _check_worked(worked: Worked) -> None:
    for name in ("question", "answer", "reply"):
        _text(f"The {name} of an example, practice item or check", getattr(worked, name))
    _text("why", worked.why, empty=True)
    if type(worked.forgotten) is not int or worked.forgotten not in (0, 1):
        raise BadInput(f"{worked.question[:60]!r}: forgotten is 0 or 1, not {worked.forgotten!r}.")
    for name in ("entailment", "trust"):
        value = getattr(worked, name)
        if value is not None and (type(value) is not int or not 1 <= value <= 5 or not worked.forgotten):
            raise BadInput(f"{worked.question[:60]!r}: {name} is 1 to 5, and only where forgotten is 1.")


def _text(what: str, text: Any, empty: bool = False) -> None:
    if not isinstance(text, str):
        raise BadInput(f"{what} is to be a text, not {str(text)[:60]!r}; put it into quotation marks.")
    if not empty and not text.strip():
        raise BadInput(f"{what} is empty.")
    if len(text) > LONGEST:
        raise BadInput(f"{what} has {len(text):,} characters; {LONGEST:,} are allowed.")
    if re.search(r"[\0\ud800-\udfff]", text):
        raise BadInput(f"{what} contains a character that can't be stored.")


def _all_different(what: str, values: Sequence[str]) -> None:
    for place, value in enumerate(values):
        if value in values[:place]:
            raise BadInput(f"The {what} {value[:60]!r} is there twice.")
