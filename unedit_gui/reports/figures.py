"""The paper's figures from one's own runs: which marks they are made of. How they are drawn stands in drawing.py.

Pure functions from a list of runs to a `Figure`: score by method (the paper's figure 4), radar of reliability, locality
and generalization, score by the number of facts (figure 3) and by merging (figure 6, right). Own values are means over
the runs of a condition, with the lowest and the highest; the paper's stand beside them as marks of their own, each with
the model and setting that it is of (published.py says which may).

A figure that can't be made says what is missing (`missing`), and one that shows a part says which (`notes`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ..runs import Run
from . import published
from .conditions import Condition, Spread, apart_from, grouped, labels, model_name, sole_size, spread
from .published import Ghost

SCORE = "Score: 1 − ROUGE-1 (forget) + ROUGE-1 (retain), at best 2"
# Each axis of the radar with the group it reads, and whether a low ROUGE-1 is what is wanted there.
AXES = (("Reliability", "forget", True), ("Locality", "retain", False), ("Generalization", "rephrased", True))
NO_RUNS = "There are no runs yet; make some, and the figure draws itself from them."
NO_SCORE = "No run has a score: that takes forget questions as well as facts that should stay."


@dataclass(frozen=True)
class Mark:
    """One value of a figure. series: the row, line or small radar it belongs to; x: its place on that.

    low, high, n: the lowest and highest of the runs it is a mean of, and how many; a published value has neither.
    ghost: of a published value, whose it is; None for our own. same_model: it was measured on the run's model.
    original: it is of the model before the edit.
    """

    series: str
    x: str | int
    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None
    ghost: Ghost | None = None
    same_model: bool = False
    method: str = ""
    original: bool = False

    @property
    def published(self) -> bool:
        return self.ghost is not None


@dataclass(frozen=True)
class Figure:
    """What is drawn: kind "rows" (a row per series), "lines" (x is a number) or "radar" (x is an axis)."""

    name: str
    title: str
    kind: str
    value: str
    x: str = ""
    marks: tuple[Mark, ...] = ()
    notes: tuple[str, ...] = ()
    missing: str = ""

    @property
    def own(self) -> list[Mark]:
        return [mark for mark in self.marks if not mark.published]

    @property
    def series(self) -> list[str]:
        """The names of its rows, lines or radars, in order."""
        return list(dict.fromkeys(mark.series for mark in self.marks))


def all_figures(runs: Iterable[Run], ghosts: bool = True) -> list[Figure]:
    """The four, in the order in which they are shown. ghosts: with the paper's values."""
    runs = list(runs)
    return [make(runs, ghosts) for make in (score_by_method, radar, score_by_size, score_by_merge)]


def score_by_method(runs: Iterable[Run], ghosts: bool = True) -> Figure:
    """Figure 4: a row per condition, at the number of facts that most of them have, questions unmerged."""
    figure = Figure("score-by-method", "Score by method", "rows", SCORE)
    found, notes = _one_size(runs)
    marks: list[Mark] = []
    names = labels(list(found))
    for condition, own in found.items():
        value = spread(run.score for run in own)
        if value is not None:
            marks.append(_own(names[condition], condition.method_label, value, condition))
            marks += _ghosts(names[condition], condition, score_ghost(condition)) if ghosts else []
    lacking = [names[c] for c, own in found.items() if all(run.score is None for run in own)]
    if lacking:
        notes.append(f"No score: {', '.join(lacking)} (no facts that should stay were asked).")
    return _finished(figure, found, marks, notes, NO_SCORE if found else NO_RUNS, ghosts)


def radar(runs: Iterable[Run], ghosts: bool = True) -> Figure:
    """A small radar per condition: 1 - R1(forget), R1(retain), 1 - R1(rephrased), beside the original's."""
    figure = Figure("radar", "Reliability, locality, generalization", "radar", "share, from 0 to 1; outward is better")
    found, notes = _one_size(runs)
    marks: list[Mark] = []
    names, lacking = labels(list(found)), []
    for condition, own in found.items():
        for axis, group, low_is_good in AXES:
            for when in ("before", "after"):
                value = spread(_turned(run.average(group, when=when), low_is_good) for run in own)
                if value is not None:
                    marks.append(_own(names[condition], axis, value, condition, original=when == "before"))
                elif when == "after":
                    lacking.append(f"{axis.lower()} of {names[condition]}")
        for axis, ghost in _radar_ghosts(condition) if ghosts else ():
            marks += _ghosts(names[condition], condition, ghost, axis)
    if lacking and len(lacking) < len(AXES) * len(found):
        notes.append(f"Not measured: {'; '.join(lacking)}.")
    missing = "No run has scores of the three groups of questions." if found else NO_RUNS
    return _finished(figure, found, marks, notes, missing, ghosts)


def score_by_size(runs: Iterable[Run], ghosts: bool = True) -> Figure:
    """Figure 3: score by the number of facts that are forgotten, a line per condition, questions unmerged.

    Where some have several numbers, those that have one alone are left out, as the figure by method has them.
    """
    figure = Figure("score-by-size", "Score by number of facts", "lines", SCORE, "facts to forget")
    everything = grouped(runs)
    found = {c: own for c, own in everything.items() if c.merge == 1}
    counts = Counter(apart_from(c, "facts") for c, own in found.items() if any(run.score is not None for run in own))
    lone = (
        {c for c, own in found.items() if counts[apart_from(c, "facts")] < 2}
        if max(counts.values(), default=0) > 1
        else {}
    )
    found = {c: own for c, own in found.items() if c not in lone}
    names = labels(list(found), without="facts")
    marks: list[Mark] = []
    for condition, own in found.items():
        value = spread(run.score for run in own)
        if value is not None:
            marks.append(_own(names[condition], condition.facts, value, condition))
    if ghosts:
        for condition in {apart_from(c, "facts"): c for c in found}.values():
            for ghost in _scores(condition):
                marks += _ghosts(names[condition], condition, ghost, ghost.facts) if ghost.facts else []
    there = sorted({mark.x for mark in marks if not mark.published})
    notes = [f"All runs forget {there[0]} facts; runs with other numbers make it a line."] if len(there) == 1 else []
    if lone:
        notes.append(f"Left out: {len(lone)} with runs of one number of facts alone.")
    merging = "Every run merges questions; this figure is of unmerged ones."
    missing = NO_SCORE if found else merging if everything else NO_RUNS
    return _finished(figure, found, marks, notes, missing, ghosts)


def score_by_merge(runs: Iterable[Run], ghosts: bool = True) -> Figure:
    """Figure 6, right: score by how many questions are merged into one request; a line per condition.

    The paper counts requests (80 facts by 5 are 16); questions per request say the same of sets of other sizes.
    """
    figure = Figure("score-by-merge", "Score by merging", "lines", SCORE, "questions merged into one request")
    everything = grouped(runs)
    merged = {apart_from(c, "merge") for c in everything if c.merge > 1}
    found = {c: own for c, own in everything.items() if apart_from(c, "merge") in merged}
    if everything and not merged:
        return _finished(figure, everything, [], [], "No run merges questions; runs with merge 2, 5 or more draw it.")
    names = labels(list(found), without="merge")
    marks: list[Mark] = []
    for condition, own in found.items():
        value = spread(run.score for run in own)
        if value is not None:
            marks.append(_own(names[condition], condition.merge, value, condition))
    if ghosts:
        for condition in {apart_from(c, "merge"): c for c in found}.values():
            for k in published.merges(condition.method) if condition.dataset == "factual" else ():
                ghost = published.score(condition.method, "factual", published.MERGED_FACTS, condition.targets, k)
                marks += _ghosts(names[condition], condition, ghost, k)
    return _finished(figure, found, marks, [], NO_SCORE if found else NO_RUNS, ghosts)


# --------------------------------------------------------------------- parts


def _one_size(runs: Iterable[Run]) -> tuple[dict[Condition, list[Run]], list[str]]:
    """The conditions of the commonest number of facts, unmerged where there are such; and what is left out."""
    found = grouped(runs)
    if not found:
        return {}, []
    size = sole_size(list(found))
    kept = {c: own for c, own in found.items() if c.facts == size}
    unmerged = {c.method for c in kept if c.merge == 1}
    shown = {c: own for c, own in kept.items() if c.merge == 1 or c.method not in unmerged}
    others = sorted({c.facts for c in found} - {size})
    notes = [f"Runs that forget {size} facts; there are others with {_and(others)}."] if others else []
    if len(shown) < len(kept):
        notes.append("Merged questions have a figure of their own.")
    return shown, notes


def _own(series: str, x: str | int, value: Spread, condition: Condition, original: bool = False) -> Mark:
    return Mark(series, x, value.mean, value.low, value.high, value.n, method=condition.method, original=original)


def _ghosts(series: str, condition: Condition, ghost: Ghost | None, x: str | int | None = None) -> list[Mark]:
    if ghost is None:
        return []
    place = condition.method_label if x is None else x
    same = published.is_same_model(condition.model, ghost)
    return [Mark(series, place, ghost.value, ghost=ghost, same_model=same, method=condition.method)]


def _turned(value: float | None, low_is_good: bool) -> float | None:
    return None if value is None else 1 - value if low_is_good else value


def _scores(condition: Condition) -> list[Ghost]:
    """The published scores of a condition's method and kind of target, unmerged, for each number of facts."""
    c = condition
    model = published.model_beside(c.model)
    there = published.sizes(c.method, c.dataset, c.targets, model)
    found = (published.score(c.method, c.dataset, facts, c.targets, 1, model) for facts in there)
    return [ghost for ghost in found if ghost is not None]


def score_ghost(condition: Condition) -> Ghost | None:
    """The published score to stand beside a condition's: of the nearest number of facts, which its label says."""
    c = condition
    if c.merge > 1:
        return published.score(c.method, c.dataset, published.MERGED_FACTS, c.targets, c.merge)
    return min(_scores(c), key=lambda ghost: _distance(ghost, c), default=None)


def rouge_ghost(condition: Condition, group: str, facts: int | None) -> Ghost | None:
    """The published ROUGE-1 recall of a group of questions, of a condition's setting with this number of facts."""
    c = condition
    model = published.model_beside(c.model) if c.merge == 1 else published.MAIN
    return published.rouge1(c.method, group, c.dataset, facts, c.targets, c.merge, model)


def _radar_ghosts(condition: Condition) -> list[tuple[str, Ghost]]:
    """The published axes of one setting: of the nearest number of facts with all of them, else the nearest at all."""
    c = condition
    if c.merge > 1:
        there = [published.MERGED_FACTS]
    else:
        there = published.sizes(c.method, c.dataset, c.targets, published.model_beside(c.model))

    def of(facts: int | None) -> list[tuple[str, Ghost]]:
        found = [(axis, low, rouge_ghost(c, group, facts)) for axis, group, low in AXES]
        return [(axis, replace(g, value=_turned(g.value, low))) for axis, low, g in found if g is not None]

    return min((of(facts) for facts in there), key=lambda g: (-len(g), _distance(g[0][1], c) if g else 0), default=[])


def _distance(ghost: Ghost, condition: Condition) -> float:
    return abs((ghost.facts or 0) - condition.facts)


def _finished(
    figure: Figure,
    found: dict[Condition, list[Run]],
    marks: Sequence[Mark],
    notes: Sequence[str],
    missing: str,
    ghosts: bool = False,
) -> Figure:
    """The figure with its notes: whose runs, how many seeds, what the whiskers are, which values are the paper's."""
    own = [mark for mark in marks if not mark.published and not mark.original]
    if not own:
        return replace(figure, missing=missing)
    said = list(notes)
    models = sorted({model_name(c.model) for c in found})
    runs = sum(len(runs) for runs in found.values())
    said.insert(0, f"Own: {_and(models)}, {runs} run{'s' if runs != 1 else ''}.")
    most, least = max(mark.n for mark in own), min(mark.n for mark in own)
    if most == 1:
        said.append("Each own mark is one run, so there is no spread to show.")
    else:
        count = f"{least} to {most}" if least < most else most
        spread = "their spread stands in the CSV" if figure.kind == "radar" else "whiskers: the lowest and the highest"
        said.append(f"Own marks are means of n = {count} runs; {spread}.")
    theirs = [mark for mark in marks if mark.published]
    if theirs:
        said.append(_whose(theirs))
    elif ghosts:
        said.append("The paper has no value for these settings.")
    return replace(figure, marks=tuple(marks), notes=tuple(said))


def _whose(theirs: Sequence[Mark]) -> str:
    """One sentence on all hollow marks."""
    same = {mark.same_model for mark in theirs}
    whose = (
        "both the same and another model" if len(same) > 1 else "the same model" if True in same else "another model"
    )
    sets: dict[str, list[int]] = {}
    for mark in theirs:
        ghost = mark.ghost
        counts = sets.setdefault(f"{ghost.model} and {{}} {published.DATASETS[ghost.dataset]}", [])
        counts += [ghost.facts] if ghost.facts and ghost.facts not in counts else []
    said = [name.format(_or(sorted(counts))) if counts else name.replace("{} ", "") for name, counts in sets.items()]
    return f"Hollow marks: published in “{published.PAPER}” for {whose} and other questions: {'; '.join(said)}."


def _and(words: Iterable[object], joint: str = "and") -> str:
    *some, last = map(str, words)
    return f"{', '.join(some)} {joint} {last}" if some else last


def _or(words: Iterable[object]) -> str:
    return _and(words, "or")
