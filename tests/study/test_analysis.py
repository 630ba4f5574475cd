"""The figures of a study, against values worked out by hand (as fractions, in each test)."""

import json
import math
from fractions import Fraction as F

import numpy as np
import pytest

from unedit_gui.errors import BadInput
from unedit_gui.study import cells, comparisons
from unedit_gui.study.agreement import agreement, alpha, gwet_ac1, tally, weighted_alpha
from unedit_gui.study.analysis import analyse
from unedit_gui.study.comparisons import Contrast, self_improvement
from unedit_gui.study.flags import flagged
from unedit_gui.study.stat import defined, holm, wilson

PLAIN, IMPROVED = "alphaedit, vanilla", "alphaedit, self-improved"
CONTRAST = Contrast("with against without self-improvement", ((IMPROVED, PLAIN),))


def judgement(rater, item, condition, entailment=None, trust=None, **other):
    """A row as the store gives it; without levels nothing was forgotten."""
    return {
        "study": "s", "rater": rater, "item": item, "question": f"{item}?", "condition": condition,
        "list": 1, "position": 1,
        "forgotten": int(trust is not None), "entailment": entailment, "trust": trust, "comment": "",
        "shown_at": "2026-01-01T10:00:00+00:00", "submitted_at": "2026-01-01T10:00:12+00:00", "focus_seconds": 12.0,
        "attention_check": False, "check_passed": None, "common": False, "practice": False, "flags": "", **other,
    }  # fmt: skip


@pytest.fixture
def rows():
    """Three raters, four items, two conditions; (entailment, trust), or nothing where it wasn't forgotten."""
    given = {
        "r1": {PLAIN: [(2, 3), (3, 4)], IMPROVED: [(5, 5), (4, 4)]},
        "r2": {PLAIN: [(1, 2), ()], IMPROVED: [(3, 4), (4, 5)]},
        "r3": {PLAIN: [(2, 2), (2, 5)], IMPROVED: [(4, 3), ()]},
    }
    return [
        judgement(rater, f"{condition[11]}{place}", condition, *levels)
        for rater, mine in given.items()
        for condition, answers in mine.items()
        for place, levels in enumerate(answers)
    ]


# ---------------------------------------------------------------- conditions


def test_each_condition_equals_the_hand_computation(rows):
    plain, improved = analyse(rows, [PLAIN, IMPROVED]).everybody.conditions
    assert (plain.judgements, plain.raters, plain.items) == (6, 3, 2)
    by_hand = {
        "forgotten": (F(5, 6), F(5, 6)),
        "entailment": (F(2 + 3 + 1 + 2 + 2, 5), F(5 + 4 + 3 + 4 + 4, 5)),
        "trust": (F(3 + 4 + 2 + 2 + 5, 5), F(5 + 4 + 4 + 5 + 3, 5)),
        "trusted": (F(2, 6), F(4, 6)),  # of all six, not of the five forgotten
    }
    for criterion, (one, other) in by_hand.items():
        assert plain.means[criterion].value == pytest.approx(float(one)), criterion
        assert improved.means[criterion].value == pytest.approx(float(other)), criterion
    assert (plain.means["trust"].n, plain.means["trusted"].n) == (5, 6)
    assert plain.levels == {"entailment": (1, 3, 1, 0, 0), "trust": (0, 2, 1, 1, 1)}


def test_a_rate_has_wilsons_interval():
    """Centre (p + z^2 / 2n) / (1 + z^2 / n), half width z / (1 + z^2/n) sqrt(p (1-p) / n + z^2 / 4n^2)."""
    p, n, z = 5 / 6, 6, 1.959963984540054
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    found = wilson(5, 6)
    assert (found.low, found.high) == pytest.approx((centre - half, centre + half))
    assert wilson(0, 0).why == "no judgements"
    assert str(defined(-0.001, 3, -0.5, 0.004)) == "0.00 [-0.50, 0.00]"


def test_the_bootstrap_draws_raters_and_not_judgements(rows):
    """Ten times the answers of the same three people tell no more about other people."""
    once, often = (analyse(rows * times, [PLAIN, IMPROVED]).everybody.conditions[0] for times in (1, 10))
    assert (often.means["trusted"].low, often.means["trusted"].high) == pytest.approx(
        (once.means["trusted"].low, once.means["trusted"].high)
    )
    assert often.rates["trusted"].high - often.rates["trusted"].low < 0.5 * (
        once.rates["trusted"].high - once.rates["trusted"].low
    )


def test_the_interval_is_as_wide_as_students_for_twenty_raters():
    """Expanded percentiles: for a mean of twenty values nearly m +- t s / sqrt(20), which plain ones fall short of."""
    values = np.random.default_rng(3).normal(size=20)
    found = cells.mean_of(values, draws=20_000)
    half = 2.093024 * values.std(ddof=1) / math.sqrt(20)
    assert found.low == pytest.approx(values.mean() - half, abs=0.08)
    assert found.high == pytest.approx(values.mean() + half, abs=0.08)


# --------------------------------------------------------------- comparisons


def test_the_planned_contrast_equals_the_hand_computation(rows):
    """Differences of the raters' means, improved less plain; entailment 9/2 - 5/2, 7/2 - 1, 4 - 2, and so on.

    Entailment: 2, 5/2, 2, all up: p = 2/8. Trust: 1, 5/2, -1/2 with ranks 2, 3, 1: R+ = 5, two of the eight
    signings give 5 or more: p = 4/8. Trusted: 1/2, 1, -1/2 with ranks 3/2, 3, 3/2: R+ = 9/2, three of eight: 6/8.
    Holm: 3 * 2/8, max(3/4, 2 * 4/8), max(1, 6/8).
    """
    entailment, trust, trusted = analyse(rows, contrast=CONTRAST).everybody.planned
    assert entailment.difference.value == pytest.approx(float(F(13, 6)))
    assert trust.difference.value == pytest.approx(1.0)
    assert trusted.difference.value == pytest.approx(float(F(1, 3)))
    assert [one.p.value for one in (entailment, trust, trusted)] == pytest.approx([2 / 8, 4 / 8, 6 / 8])
    assert [one.p_holm for one in (entailment, trust, trusted)] == pytest.approx([3 / 4, 1, 1])
    assert [one.effect.value for one in (entailment, trust, trusted)] == pytest.approx([1, 4 / 6, 3 / 6])
    assert trust.spread == pytest.approx(1.5)  # sqrt((0^2 + (3/2)^2 + (3/2)^2) / 2)
    assert "no p below 0.05 is possible" in trust.remark and not trust.found


def test_raters_without_a_difference_do_not_make_the_p_an_approximation():
    """Fourteen of twenty differ by nothing, six all up: two of the 64 signings are as extreme."""
    up = {r: 1 + (r < 6) for r in range(20)}
    rows = [judgement(f"r{r:02}", "i", PLAIN, 1, 1) for r in up]
    rows += [judgement(f"r{r:02}", "j", IMPROVED, level, level) for r, level in up.items()]
    found = comparisons.compared(rows, CONTRAST, "trust")
    assert found.p.value == pytest.approx(2 / 64) and found.p.n == 20


def test_a_contrast_over_two_editors_averages_their_differences():
    """Rater r1: (5 - 3 + 4 - 4) / 2 = 1; r2 lacks a value for one editor and is left out."""
    rows = [judgement("r1", "i", c, v, v) for c, v in zip("abcd", (5, 3, 4, 4), strict=True)]
    rows += [judgement("r2", "i", c, v, v) for c, v in zip("abc", (5, 1, 5), strict=True)] + [judgement("r2", "i", "d")]
    found = comparisons.compared(rows, Contrast("x", (("a", "b"), ("c", "d"))), "trust")
    assert (found.difference.value, found.difference.n, found.left_out) == (1.0, 1, 1)


def test_a_condition_outside_of_the_contrast_changes_nothing_in_it(rows):
    more = [judgement(rater, "o", "other", 1, 1) for rater in ("r1", "r2", "r4")]
    alone, beside = (analyse(these, contrast=CONTRAST).everybody for these in (rows, rows + more))
    assert [one.p for one in beside.planned] == [one.p for one in alone.planned]
    assert [one.left_out for one in beside.planned] == [1, 1, 1]  # r4 saw neither of the two
    assert [c.name for c in beside.conditions] == [IMPROVED, PLAIN, "other"]


def test_friedman_equals_the_hand_computation():
    """Rank sums 3, 7, 8: 12 / (3*3*4) (9 + 49 + 64) - 3*3*4 = 14/3; p of two degrees of freedom is exp(-7/3)."""
    levels = {"r1": (1, 2, 3), "r2": (1, 3, 2), "r3": (2, 4, 5)}
    rows = [judgement(r, "i", c, v, v) for r, mine in levels.items() for c, v in zip("abc", mine, strict=True)]
    found = comparisons.omnibus(rows, "abc", "trust")
    assert found.chi2.value == pytest.approx(float(F(14, 3)))
    assert found.p.value == pytest.approx(math.exp(-7 / 3))
    assert found.w.value == pytest.approx(float(F(7, 9)))
    assert [pair.name for pair in found.pairs] == ["a against b", "a against c", "b against c"]
    # Pair a, b: 1, 2, 2: all up, p = 2/8; a, c: 2, 1, 3, p = 2/8; b, c: 1, -1, 1: ranks 2, 2, 2, R+ = 4, p = 1.
    assert [pair.p.value for pair in found.pairs] == pytest.approx([1 / 4, 1 / 4, 1])
    assert [pair.p_holm for pair in found.pairs] == pytest.approx([3 / 4, 3 / 4, 1])


def test_the_contrast_over_questions_asks_about_other_questions():
    """Question means of three raters, improved less plain: 2 - 1, 5 - 3; the rater's own level doesn't matter."""
    rows = [judgement(r, f"{c}{q}", c, v, v, question=q) for r in "xyz" for q, a, b in (("1", 1, 2), ("2", 3, 5))
            for c, v in ((PLAIN, a), (IMPROVED, b))]  # fmt: skip
    found = comparisons.over_questions(rows, CONTRAST)[1]
    assert (found.difference.value, found.difference.n, found.p.value) == (1.5, 2, 0.5)


def test_holm_leaves_out_what_is_undefined():
    assert holm([0.01, None, 0.04]) == pytest.approx([0.02, None, 0.04])
    assert holm([None]) == [None]


def test_holm_is_that_of_statsmodels():
    from statsmodels.stats.multitest import multipletests

    for p in ([0.01, 0.04, 0.03], [0.6, 0.5, 0.01, 0.011], [0.02]):
        assert holm(p) == pytest.approx(multipletests(p, method="holm")[1].tolist())


def test_the_odds_ratio_equals_the_two_by_two_table():
    """Nine of ten against six of ten: (9 / 1) / (6 / 4) = 6."""
    kept = {("improved", 3): [None], ("plain", 0): [None] * 2, ("plain", 4): [None] * 2}
    rows = []
    for rater in range(5):
        for condition in ("improved", "plain"):
            lost = len(kept.get((condition, rater), []))
            rows += [judgement(f"r{rater}", i, condition, *((3, 3) if i >= lost else ())) for i in range(2)]
    odds = comparisons.gee(rows, Contrast("x", (("improved", "plain"),)), "forgotten")
    assert odds.ratio.value == pytest.approx(6.0, rel=1e-6) and odds.ratio.low < 6 < odds.ratio.high


def test_higher_ratings_have_an_odds_ratio_above_one():
    random = np.random.default_rng(0)
    rows = [
        judgement(f"r{r}", i, c, 3, int(random.integers(1 + (c == "a"), 5 + (c == "a"))))
        for r in range(12) for i in range(4) for c in "ab"
    ]  # fmt: skip
    up, down = (comparisons.gee(rows, Contrast("x", (pair,)), "trust").ratio.value for pair in (("a", "b"), ("b", "a")))
    assert up > 1.5 and up * down == pytest.approx(1.0, rel=1e-3)


SHARED = Contrast("x", (("five", "plain"), ("ten", "plain")))


def test_a_baseline_that_two_conditions_share_is_taken_away_once_and_whole():
    """Each rater's (five + ten) / 2 - plain: (3 + 5) / 2 - 2 = 2, (4 + 4) / 2 - 1 = 3, (1 + 2) / 2 - 1 = 1/2."""
    assert SHARED.conditions == ("five", "plain", "ten") and SHARED.weights == (0.5, -1.0, 0.5)
    given = {"r1": (3, 5, 2), "r2": (4, 4, 1), "r3": (1, 2, 1)}
    rows = [judgement(r, "i", c, v, v) for r, mine in given.items() for c, v in zip(("five", "ten", "plain"), mine)]  # noqa: B905
    found = comparisons.planned(rows, SHARED)[1]
    assert (found.difference.value, found.difference.n, found.left_out) == (pytest.approx(float(F(11, 6))), 3, 0)
    assert found.p.value == pytest.approx(1 / 4)  # all three up


@pytest.mark.parametrize("criterion", ["forgotten", "trust"])
def test_the_odds_against_a_shared_baseline_are_those_of_the_table(criterion):
    """Of ten each, 9, 6 and 2 are high: the mean log odds of 9 and 3/2, less that of 1/4."""
    rows = []
    for condition, high in (("plain", 2), ("five", 9), ("ten", 6)):
        for place in range(10):
            low = (3, 3) if criterion == "trust" else ()
            rows.append(judgement(f"r{place % 5}", place, condition, *((4, 4) if place < high else low)))
    odds = comparisons.gee(rows, SHARED, criterion)
    assert odds.ratio.value == pytest.approx(4 * math.sqrt(13.5), rel=1e-4) and odds.ratio.low < odds.ratio.high


def test_the_planned_contrast_is_found_among_the_conditions():
    found = self_improvement(
        {
            "1": ("wise", "self-improved"), "2": ("wise", "dummy"), "3": ("wise", "vanilla"), "4": ("dpo", "vanilla"),
            "5": ("alphaedit", "avoidant"), "6": ("alphaedit", "self-improved"),
        }
    )  # fmt: skip
    assert found.pairs == (("1", "3"), ("6", "5"))
    assert self_improvement({"1": ("wise", "vanilla"), "2": ("dpo", "vanilla")}) is None


# ----------------------------------------------------------------- agreement


def test_nominal_agreement_equals_the_hand_computation():
    """Units 11, 10, 00, 11. Per cent 3/4. Alpha: D_o = 2/8, D_e = 2*5*3 / (8*7), 1 - (1/4) / (15/28) = 8/15.
    AC1: pi_1 = 5/8, p_e = 2 * 5/8 * 3/8 = 15/32, (3/4 - 15/32) / (17/32) = 9/17."""
    judged = [(unit, int(value)) for unit, pair in enumerate(("11", "10", "00", "11")) for value in pair]
    found = agreement("forgotten", judged, (0, 1), "nominal")
    assert found.percent.value == pytest.approx(3 / 4)
    assert found.alpha.value == pytest.approx(8 / 15)
    assert found.ac1.value == pytest.approx(9 / 17)
    assert (found.units, found.judgements) == (4, 8)


def test_ordinal_alpha_equals_the_hand_computation():
    """Units 12, 22, 32; n_1, n_2, n_3 = 1, 4, 1. Distances (5 - 5/2)^2 = 25/4 of neighbours, (6 - 1)^2 = 25 of 1 and
    3. D_o = 4 * 25/4 / 6, D_e = (8 * 25/4 + 8 * 25/4 + 2 * 25) / 30 = 5; 1 - (25/6) / 5 = 1/6."""
    judged = [(unit, int(value)) for unit, pair in enumerate(("12", "22", "32")) for value in pair]
    assert agreement("trust", judged, (1, 2, 3, 4, 5), "ordinal").alpha.value == pytest.approx(1 / 6)


def test_the_bootstraps_alpha_is_that_of_the_library():
    random = np.random.default_rng(1)
    counts = tally([(unit, int(random.integers(1, 6))) for unit in range(30) for _ in range(2 + unit % 3)], range(1, 6))
    for level in ("nominal", "ordinal"):
        whole = alpha(counts, range(1, 6), level)
        assert weighted_alpha(counts, np.ones((1, 30)), level) == pytest.approx([whole.value])
        assert whole.low < whole.value < whole.high


def test_ac1_takes_chance_from_replies_judged_once_too():
    """Units 11 and 0: p_a = 1 of one unit, pi_1 = 1/2, p_e = 1/2, AC1 = 1."""
    counts = tally([(1, 1), (1, 1), (2, 0)], (0, 1))
    assert gwet_ac1(counts).value == pytest.approx(1.0)


def test_undefined_agreement_says_why():
    equal = agreement("forgotten", [(1, 1), (1, 1), (2, 1), (2, 1)], (0, 1), "nominal")
    assert (equal.alpha.value, equal.alpha.why) == (None, "all ratings are equal")
    assert equal.percent.value == 1.0
    alone = agreement("forgotten", [(1, 1), (2, 0)], (0, 1), "nominal")
    assert {alone.alpha.why, alone.ac1.why, alone.percent.why} == {"no reply was judged by two raters"}


# --------------------------------------------------------- what is undefined


def everything(value):
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from everything(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from everything(inner)


@pytest.mark.parametrize("case", ["nothing forgotten", "all alike", "one rater", "one judgement", "one condition"])
def test_no_figure_is_ever_nan_and_each_missing_one_says_why(rows, case):
    changed = {
        "nothing forgotten": [{**row, "forgotten": 0, "entailment": None, "trust": None} for row in rows],
        "all alike": [{**row, "forgotten": 1, "entailment": 3, "trust": 3} for row in rows],
        "one rater": [row for row in rows if row["rater"] == "r1"],
        "one judgement": rows[:1],
        "one condition": [row for row in rows if row["condition"] == PLAIN],
    }[case]
    whole = len({row["condition"] for row in changed}) == 2
    found = analyse(changed, contrast=CONTRAST if whole else None).to_json()
    json.dumps(found, allow_nan=False)
    stats = [inner for inner in everything(found) if set(inner) == {"value", "n", "low", "high", "why"}]
    assert len(stats) > 20
    assert all((stat["value"] is None) == bool(stat["why"]) for stat in stats)


def test_an_empty_study_and_a_contrast_that_nobody_judged_are_told():
    with pytest.raises(BadInput, match="no judgements yet"):
        analyse([judgement("r", "i", "a", practice=True)])
    with pytest.raises(BadInput, match="needs the condition 'b'"):
        analyse([judgement("r", "i", "a")], contrast=Contrast("x", (("b", "a"),)))


# --------------------------------------------------------------------- flags


def test_flagged_raters_stay_in_and_are_left_out_beside_it(rows):
    rows.append(judgement("r3", "check", None, attention_check=True, check_passed=False))
    rows.append(judgement("r1", "check", None, attention_check=True, check_passed=True))
    rows.append(judgement("r1", "p", PLAIN, 1, 1, practice=True))
    found = analyse(rows, contrast=CONTRAST)
    assert found.flags == {"r3": ["failed check"]}
    assert (found.everybody.raters, found.unflagged.raters) == (3, 2)
    assert (found.everybody.judgements, found.unflagged.judgements) == (12, 8)
    assert found.checks == {"answered": 2, "failed": 1}
    assert found.left_out == {"practice": 1, "attention checks": 2}
    assert any("1 of 3 raters are flagged" in note for note in found.notes)


def test_speeders_are_measured_against_the_middle_rater_and_the_protocol(rows):
    for row in rows:
        row["focus_seconds"] = {"r1": 12.0, "r2": 9.0, "r3": 2.9}[row["rater"]]
    assert flagged(rows) == {"r3": ["speeder"]}
    for row in rows:
        row["focus_seconds"] = None  # then the time between shown and submitted counts, which is the same for all
    assert flagged(rows) == {}
    rows[0]["flags"] = "fast,changed"
    assert flagged(rows) == {"r1": ["speeder"]}  # one of four
    rows[0]["flags"] = "changed"
    assert flagged(rows) == {}


def test_whoever_always_gives_the_same_answer_is_flagged():
    rows = [judgement("r1", i, PLAIN, 3, 3) for i in range(10)]
    rows += [judgement("r2", i, PLAIN, 3, 3 + (i == 4)) for i in range(10)]
    assert flagged(rows) == {"r1": ["same answer throughout"]}
