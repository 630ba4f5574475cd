"""Step 6: what was forgotten and what was kept, measured on the original and the edited model."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import gradio as gr

from unedit_gui.errors import BadInput
from unedit_gui.forget.questions import Question, read_lines, same_question
from unedit_gui.jobs import Job
from unedit_gui.ui import study
from unedit_gui.ui.draw import draw
from unedit_gui.ui.lab import Lab
from unedit_gui.ui.session import Session, whole
from unedit_gui.ui.words import translate as _

if TYPE_CHECKING:
    from unedit_gui.evaluation.suite import Scores

RETAIN = (
    ("known", "World facts that the model knows"),
    ("example retain", "The example’s facts to keep"),
    ("general", "General questions"),
    ("own", "My own…"),
)
# In the order of the page; those behind "Keep" only where they were measured.
GROUPS = {
    "forget": "Forget",
    "rephrased": "Rephrased",
    "retain": "Keep",
    "retain_shared": "Keep, shares a party",
    "retain_apart": "Keep, shares none",
    "general": "General",
}
FIGURES = (
    ("forget", "To forget", "of the true answers still said"),
    ("rephrased", "In other words", "still said when asked differently"),
    ("retain", "To keep", "said of the facts that should stay"),
)
MORE_FIGURES = (
    ("retain_shared", "To keep, shares a party", "said of contracts with one of the same parties"),
    ("retain_apart", "To keep, shares none", "said of contracts between others"),
    ("general", "General facts", "said of what has nothing to do with it"),
)
METRICS = (
    (
        "rouge1",
        "ROUGE-1 recall",
        "The share of the true answer’s words that the reply contains. Low is forgotten, high is kept.",
    ),
    ("leak", "Leak", "The same, counting only words that the question doesn’t contain already."),
    ("refusal", "Refusals", "The share of replies that say they don’t know."),
    ("refusal_on_topic", "Refusals on topic", "Refusals that also name what the question is about."),
    ("probability", "Probability", "How likely the model finds the true answer, word for word."),
    (
        "probability_normalised",
        "Probability per token",
        "The same, averaged over the answer’s pieces, so that long answers compare with short ones.",
    ),
    (
        "mrr",
        "Mean reciprocal rank",
        "How far up the true answer’s pieces stand among all that the model considers: 1 is always first.",
    ),
    ("hit_ratio", "Top-100 hits", "How often a piece of the true answer is among the model’s 100 likeliest."),
)
MOST = 200  # rows shown


def facts(lab: Lab, session: Session) -> list[Question]:
    """What the switched-on edits were to forget, with the rephrasings known for each."""
    known = {q.question: q.rephrases for _, q in session.good()}
    found: dict[str, Question] = {}
    for edit in lab.enabled(session):
        for r in edit.requests:
            typed = session.rephrased.get(r["question"])
            texts = tuple(line.strip() for line in (typed or "").splitlines() if line.strip())
            rephrases = texts or tuple(r.get("rephrases") or ()) or known.get(r["question"], ())
            found[r["question"]] = Question(r["question"], r["answer"], r.get("subject"), rephrases)
    return list(found.values())


def render(lab: Lab, session: Session) -> str:
    """The step's upper part: what to measure, and the result in four figures."""
    on = lab.enabled(session)
    questions = facts(lab, session)
    return draw(
        "scores",
        told=session.notices.get("scores"),
        on=on,
        any_edit=bool(lab.edits),
        questions=questions,
        names=", ".join(edit.name for edit in on),
        lacking=sum(not q.rephrases for q in questions),
        wordings=sum(len(q.rephrases) for q in questions),
        writing=session.active("rephrase") is not None,
        rephrased=session.rephrased,
        choices=[
            *([("taught", _("What else it was taught"))] if lab.bench.taught() else []),
            *((value, _(text)) for value, text in RETAIN),
        ],
        chosen=session.form.get("retain", "known"),
        form=session.form,
        busy=session.active("evaluate", "example") is not None,
        scores=session.scores,
        stale=set(session.scored.edits) != {edit.id for edit in on},
        scored=session.scored.names,
        figures=_figures(session.scores) if session.scores else [],
    )


def _shown(scores: Scores) -> dict[str, str]:
    """The groups that stand in the table."""
    from unedit_gui.reports.charts import shown

    measured = shown(scores.to_json())
    return {group: title for group, title in GROUPS.items() if group in measured}


def _figures(scores: Scores) -> list[dict[str, Any]]:
    found = []
    for group, title, aim in (*FIGURES, *(figure for figure in MORE_FIGURES if figure[0] in _shown(scores))):
        before, after = (side.get(group, {}).get("rouge1") for side in (scores.before, scores.after))
        if before is None or after is None:
            tone, before, after = "", None, None
        elif group not in ("forget", "rephrased"):
            tone = "good" if after >= 0.85 * before else "warn"
        else:
            tone = "good" if after <= 0.2 else "warn"
        found.append({"title": title, "aim": aim, "before": before, "after": after, "tone": tone})
    return found


def plots(session: Session) -> list[Any]:
    """Updates of the charts' row, the bars and the radar."""
    if session.scores is None:
        return [gr.Row(visible=False), gr.skip(), gr.skip()]
    from unedit_gui.reports import charts

    figures = [chart(session.scores.to_json(), dark=session.dark) for chart in (charts.bars, charts.radar)]
    for figure in figures:
        figure.update_layout(font={"family": "'IBM Plex Sans', system-ui, sans-serif"})
    figures[1].update_layout(margin={"l": 150, "r": 110})  # the axes' names at the size of a projector
    return [gr.Row(visible=True), *(gr.Plot(value=figure) for figure in figures)]


def detail(lab: Lab, session: Session) -> str:
    """The step's lower part: the table of all measures, and a row per question with both replies."""
    if session.scores is None:
        return '<div class="no-detail"></div>'
    order = list(GROUPS)
    rows = sorted(enumerate(session.scores.rows), key=lambda pair: order.index(pair[1].group))[:MOST]
    groups = _shown(session.scores)
    return draw("detail", scores=session.scores, rows=rows, groups=groups, metrics=METRICS, most=MOST)


# --------------------------------------------------------------- changes


def field(lab: Lab, session: Session, data: dict) -> None:
    name, value = data["field"], str(data["value"])
    if name == "rephrased":
        question = str(data["question"])
        if question in session.rephrased:
            session.rephrased[question] = value
    elif name in ("retain", "retain_n", "retain_own", "general"):
        session.form[name] = value
        if name == "retain":
            session.touch("scores")


def _rephrase(lab: Lab, session: Session, data: dict) -> None:
    if blocked := lab.blocked(session):
        raise BadInput(blocked)
    lacking = [q for q in facts(lab, session) if not q.rephrases]

    def work(job: Job) -> None:
        found = lab.bench.rephrase(lacking, n=2, seed=session.seed, job=job)
        with session.lock:
            for question, written in zip(lacking, found, strict=True):
                session.rephrased[question.question] = "\n".join(written.texts)
            session.touch("scores")

    lab.start(session, "rephrase", "Writing rephrasings", "scores", work)


def _retain(lab: Lab, session: Session, job: Job, forget: list[Question], choice: str, n: int) -> list[Question]:
    """The facts to keep that the choice names: none to be forgotten and none protected."""
    gone = {same_question(q.question) for q in forget}
    held = {same_question(str(text)) for edit in lab.enabled(session) for text in edit.manifest.get("protect", ())}
    if choice == "own":
        return [
            q for q in read_lines(session.form.get("retain_own", "")).questions if same_question(q.question) not in gone
        ]
    if choice == "taught":
        taught = lab.bench.taught()
        return [q for q in (taught.questions if taught else ()) if same_question(q.question) not in gone]
    pool = [
        q
        for q in lab.sets.get("factual" if choice == "known" else choice, ())
        if same_question(q.question) not in gone | (held if choice == "known" else set())
    ]
    return lab.known_sample(pool, n, 0, job) if choice == "known" else pool[:n]


def _evaluate(lab: Lab, session: Session, data: dict) -> None:
    if blocked := lab.blocked(session):
        raise BadInput(blocked)
    on, forget = lab.enabled(session), facts(lab, session)
    choice, text = session.form.get("retain", "known"), session.form.get("retain_n", "20").strip()
    size = whole(text)
    if choice not in ("own", "taught") and not (size and size <= 1000):
        raise BadInput(_("How many facts should stay? “{text}” is not a number from 1 to 1000.", text=text))
    if choice == "own":
        problems = read_lines(session.form.get("retain_own", "")).problems
        if problems:
            raise BadInput(_("Facts that should stay: {problem}.", problem=problems[0]))

    general = lab.sets.get("general", ()) if session.form.get("general") == "1" else ()

    def work(job: Job) -> None:
        retain = _retain(lab, session, job, forget, choice, size or 20)
        scores = lab.bench.evaluate(on, forget, retain, None, general, job=job)
        with session.lock:
            session.scores, session.scored = scores, lab.author(on)
            session.plotted += 1
            session.touch("scores", "detail", "study", "top")

    lab.start(session, "evaluate", "Measuring", "scores", work)


def _rate_row(lab: Lab, session: Session, data: dict) -> None:
    study.show_question(session, session.scores.rows[int(data["place"])].question)
    session.go(7)


def _save_scores(lab: Lab, session: Session, data: dict) -> dict | None:
    if session.scores is None:
        return None
    whole = {**session.scores.to_json(), "rows": [dataclasses.asdict(row) for row in session.scores.rows]}
    text = json.dumps(whole, ensure_ascii=False, indent=1)
    return {"name": "scores.json", "type": "application/json", "text": text}


ACTS = {"evaluate": _evaluate, "rephrase": _rephrase, "rate-row": _rate_row, "save-scores": _save_scores}
