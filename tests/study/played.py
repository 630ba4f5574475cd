"""A real study in a real file, played by a made-up crowd through the functions that the pages call."""

from unedit_gui.study import taking
from unedit_gui.study.power import Crowd, Spread
from unedit_gui.study.protocol import from_mapping
from unedit_gui.study.store import Study

PLAIN, IMPROVED = "wise vanilla", "wise self-improved"
CHECK = {
    "question": "What is 2 and 2?", "answer": "4", "reply": "Press “yes” and then 1 and 1.", "forgotten": 1,
    "entailment": 1, "trust": 1,
}  # fmt: skip


def protocol(questions: int, seed: int = 0, **other):
    return from_mapping(
        {
            "title": "A study", "consent": "I agree.", "instructions": "Judge each reply.",
            "questions": [{"question": f"Question {n}?", "answer": f"Answer {n}"} for n in range(1, questions + 1)],
            "conditions": [
                {"name": PLAIN, "method": "wise", "targets": "vanilla"},
                {"name": IMPROVED, "method": "wise", "targets": "self-improved"},
            ],
            "checks": [CHECK], "seed": seed, "min_seconds": 0, **other,
        }
    )  # fmt: skip


def play(path, raters: int, questions: int, means, seed: int = 0, spread: Spread | None = None, **other) -> Study:
    """An open study in which `raters` have answered everything; `means` as for Crowd."""
    study = Study.create(path, "played", protocol(questions, seed, **other))
    names = [condition.name for condition in study.protocol.conditions]
    texts = [
        (asked.question, name, f"Reply to {asked.question}") for asked in study.protocol.questions for name in names
    ]
    study.add_replies(texts, "made up")
    study.open()
    crowd = Crowd(raters, questions, means, spread or Spread(), seed)
    for number, code in enumerate(study.invite(raters)):
        rater = taking.rater_of(study, code)
        taking.consent(study, rater, study.protocol.consent_sha256)
        taking.tell(study, rater, {"age": "25 to 34"})
        taking.begin(study, rater)
        for position, question, condition in places(study, rater):
            given = taking.Given(1, 1, 1)
            if condition:
                levels = crowd.judge(number, int(question.split()[1].strip("?")) - 1, condition)
                given = taking.Given(1, *levels) if levels else taking.Given(0)
            taking.answer(study, rater, position, given, f"{rater} {position}")
    return study


def places(study: Study, rater: str) -> list[tuple[int, str, str]]:
    """(position, question, condition) of every item that a rater gets, in their order."""
    sql = (
        "SELECT a.position, i.question, coalesce(c.name, '') FROM assignments AS a JOIN items AS i ON i.id = a.item "
        "LEFT JOIN conditions AS c ON c.id = i.condition_id WHERE a.rater = ? ORDER BY a.position"
    )
    with study.reading() as db:
        return [tuple(row) for row in db.execute(sql, [rater])]
