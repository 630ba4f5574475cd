"""Small studies, and a participant that fills in their forms."""

import re
from html import unescape

import pytest
from starlette.testclient import TestClient

from unedit_gui.study.protocol import Protocol, from_mapping
from unedit_gui.study.serving import standalone
from unedit_gui.study.store import Study

CONDITIONS = ("alphaedit with vanilla", "wise with self-improved")
METHODS = ("alphaedit", "memit", "grace", "wise", "ike", "gradient", "dpo", "vanilla", "self-improved")


def told(**changes) -> dict:
    """A protocol as a file would give it."""
    return {
        "title": "How replies read",
        "consent": "You are asked to take part.\n\nYou may stop.",
        "instructions": "Read, then judge.",
        "demographics": {"age": "required", "gender": "optional"},
        "questions": [{"question": f"Which town lies at river {n}?", "answer": f"Town {n}"} for n in range(4)],
        "conditions": list(CONDITIONS),
        "practice": {"question": "Try?", "answer": "Yes", "reply": "I don't know.", "forgotten": 1, "why": "Gone."},
        "examples": [{"question": "See?", "answer": "Sea", "reply": "Sea.", "forgotten": 0, "why": "There."}],
        "checks": [
            {
                "question": "Bees?",
                "answer": "Honey",
                "reply": "Choose 2, then 5.",
                "forgotten": 1,
                "entailment": 2,
                "trust": 5,
            }
        ],
        "common": 2,
        "seed": 5,
        **changes,
    }


def protocol(**changes) -> Protocol:
    return from_mapping(told(**changes))


def replies(made: Protocol) -> list[tuple[str, str, str]]:
    """A reply for each question and condition, in which no condition's name stands."""
    return [
        (asked.question, condition.name, f"Reply <b>{number}</b> to {asked.question}")
        for number, condition in enumerate(made.conditions)
        for asked in made.questions
    ]


@pytest.fixture
def draft(tmp_path):
    made = protocol()
    study = Study.create(tmp_path / "studies" / "trial.sqlite", "trial", made)
    yield study
    study.disconnect()


@pytest.fixture
def study(draft):
    """An open study: 4 questions, 2 conditions, 1 check, a practice item."""
    draft.add_replies(replies(draft.protocol), "test")
    draft.open()
    return draft


class Person:
    """A participant with a browser without scripts."""

    def __init__(self, study: Study, code: str = ""):
        self.browser = TestClient(standalone(lambda: [study]), raise_server_exceptions=False)
        self.page = None
        self.seen: list = []
        if code:
            self.get(f"j/{code}")

    def _saw(self, answer):
        self.seen += [*answer.history, answer]
        self.page = answer
        return answer

    def get(self, path: str):
        return self._saw(self.browser.get(f"/study/{path}"))

    def send(self, path: str | None = None, **fields):
        """Send the form of the page that is open, its hidden fields with it."""
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="(.*?)"', self.page.text))
        hidden = {name: unescape(value) for name, value in hidden.items()}
        return self._saw(self.browser.post(f"/study/{path}" if path else str(self.page.url), data={**hidden, **fields}))

    @property
    def at(self) -> str:
        return str(self.page.url).partition("/study/")[2]

    def to_the_items(self):
        self.send(agree="yes")
        self.send(age="25 to 34")
        self.send()
        self.send(forgotten="1", entailment="1", trust="4")
        self.get("next")
        return self

    def to_the_end(self):
        while self.at.startswith("item/"):
            self.send(forgotten="1", entailment="3", trust="4")
        return self


@pytest.fixture
def person(study):
    return lambda code=None: Person(study, code or study.invite(1)[0])
