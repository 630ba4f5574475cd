"""Power, and whether the analysis finds what was put in and stays silent where nothing was."""

from collections import Counter

import numpy as np
import pytest

from tests.study.played import play, protocol
from unedit_gui.errors import BadInput
from unedit_gui.study.cells import CRITERIA
from unedit_gui.study.comparisons import Contrast, omnibus, over_questions, planned, self_improvement
from unedit_gui.study.export import contrast_of
from unedit_gui.study.power import STRICTEST, Spread, beforehand, expected_level, latent, made_up, planned_for, reached

PLAIN, IMPROVED = "plain", "improved"
SPREAD = Spread()
CONTRAST = Contrast("with against without self-improvement", ((IMPROVED, PLAIN),))


def means(difference):
    low, high = ({"entailment": 3 + half, "trust": 3 + half} for half in (-difference / 2, difference / 2))
    return {PLAIN: low, IMPROVED: high}


def test_made_up_ratings_have_the_means_that_were_asked_for():
    assert expected_level(3.0, 1.2) == pytest.approx(3.0)
    assert expected_level(latent(4.4, 1.2), 1.2) == pytest.approx(4.4)
    assert latent(4.4, 1.2) > 4.4  # the end of the scale pulls the mean down
    rows = made_up(300, 20, means(0.8), Spread(item=0), seed=2)
    for name, mean in ((PLAIN, 2.6), (IMPROVED, 3.4)):
        trust = [row["trust"] for row in rows if row["condition"] == name and row["forgotten"]]
        assert np.mean(trust) == pytest.approx(mean, abs=0.1)
    with pytest.raises(BadInput, match="can't be simulated"):
        latent(5.0, 1.0)


def test_each_made_up_rater_sees_each_item_once_and_each_condition_equally_often():
    rows = made_up(4, 20, means(0.0))
    for rater in {row["rater"] for row in rows}:
        mine = [row for row in rows if row["rater"] == rater]
        assert len({row["item"] for row in mine}) == 20
        assert sum(row["condition"] == PLAIN for row in mine) == 10
    assert all((row["trust"] is None) == (not row["forgotten"]) for row in rows)


def test_more_raters_and_larger_differences_are_found_more_often():
    few, many = (beforehand(raters, 20, runs=200) for raters in (10, 40))
    assert [one.chance.value for one in few] == sorted(one.chance.value for one in few)
    assert all(one.chance.value > other.chance.value for one, other in zip(many[:2], few[:2], strict=True))
    (nothing,) = beforehand(20, 20, differences=(0.0,), runs=400)
    assert nothing.chance.value < 0.05


def protocol_of(*kinds):
    """12 questions; a condition for each "method targets", some of them of the same method and targets."""
    given = [dict(zip(("method", "targets"), kind.split(), strict=True)) for kind in kinds]
    return protocol(12, conditions=[{"name": f"number {n}", **one} for n, one in enumerate(given)])


SHARED = ("rome self-improved", "rome self-improved", "rome vanilla")


def test_a_baseline_that_two_conditions_share_makes_a_difference_harder_to_find_than_one_of_its_own():
    """Var(plain) weighs whole where both share it, and half where each has one."""
    shared = planned_for(protocol_of(*SHARED, "rome dummy"), 20)
    own = planned_for(protocol_of(*SHARED[1:], "memit self-improved", "memit vanilla"), 20)
    alone = planned_for(protocol_of(*SHARED[1:], "rome dummy", "rome avoidant"), 20)
    for below, between, above in zip(alone[:2], shared[:2], own[:2], strict=True):
        assert below.chance.value < between.chance.value < above.chance.value
    assert [one.difference for one in planned_for(protocol_of(*SHARED), 20)] == [0.3, 0.5, 0.8]


def test_power_is_how_often_the_planned_contrast_finds_it_also_with_a_shared_baseline():
    contrast = self_improvement({str(n): tuple(kind.split()) for n, kind in enumerate(SHARED)})
    half = {"0": 0.25, "1": 0.25, "2": -0.25}
    levels = {name: {"entailment": 3 + by, "trust": 3 + by} for name, by in half.items()}
    drawn = [planned(made_up(20, 12, levels, seed=seed), contrast, draws=10)[1] for seed in range(60)]
    often = np.mean([one.p.value < STRICTEST for one in drawn])
    assert often == pytest.approx(planned_for(protocol_of(*SHARED), 20)[1].chance.value, abs=0.15)


def test_a_study_that_cannot_compare_is_refused():
    with pytest.raises(BadInput, match="an item for each condition"):
        beforehand(20, 3, conditions=4)


def test_power_reached_is_that_of_the_spread_and_not_of_the_effect():
    narrow, wide = (reached(spread, 20, 20, 2)[0].chance.value for spread in (0.2, 1.0))
    assert narrow > 0.95 and wide < 0.4
    assert "no spread" in reached(0.0, 20, 20, 2)[0].chance.why
    assert "fewer than two" in reached(None, 1, 20, 2)[0].chance.why


def recovered(seed):
    """Whether a true difference of 0.8 is found on both scales, with the truth in both intervals."""
    entailment, trust, _ = planned(made_up(20, 20, means(0.8), seed=seed), CONTRAST, draws=1000)
    return all(one.found and one.difference.low < 0.8 < one.difference.high for one in (entailment, trust))


def alarmed(seed, spread=SPREAD):
    """Whether any planned test finds something where nothing is."""
    return any(one.found for one in planned(made_up(20, 20, means(0.0), spread, seed=seed), CONTRAST, draws=10))


def test_effects_are_found_and_nothing_is_not():
    """The small version; the figures of the large one are in docs/study.md."""
    assert sum(recovered(seed) for seed in range(5)) >= 4
    assert sum(alarmed(seed) for seed in range(20)) <= 3


def stored(seed, folder, difference=0.0, spread=SPREAD):
    """Made-up judgements that went through a real study: its lists, its orders, its file; then read for analysis."""
    low, high = means(difference).values()
    study = play(folder / f"{difference}-{spread.reply}-{seed}.sqlite", 20, 20, {"wise vanilla": low,
                 "wise self-improved": high}, seed, spread)  # fmt: skip
    study.close()
    rows, contrast = study.judgements(), contrast_of(study)
    study.disconnect()
    study.path.unlink()
    return [row for row in rows if row["condition"]], contrast


@pytest.mark.slow
def test_the_large_version_at_store_level(tmp_path):
    """What docs/study.md tells. Some minutes; the figures are printed with -s."""
    hits = 0
    for seed in range(20):
        rows, contrast = stored(seed, tmp_path, 0.8)
        found = planned(rows, contrast, draws=1000)[:2]
        hits += all(one.found and one.difference.low < 0.8 < one.difference.high for one in found)
    print(f"recovered {hits} of 20")
    alarms = {"alike": Counter(), "differ": Counter()}
    for name, spread in (("alike", SPREAD), ("differ", Spread(reply=0.5))):
        for seed in range(200):
            rows, contrast = stored(1000 + seed, tmp_path, spread=spread)
            over_raters = [one.found for one in planned(rows, contrast, draws=10)]
            both = [a and b.found for a, b in zip(over_raters, over_questions(rows, contrast, draws=10), strict=True)]
            pairs = [pair for c in CRITERIA for pair in omnibus(rows, contrast.conditions, c, draws=10).pairs]
            alarms[name].update(planned=any(over_raters), both=any(both), explored=any(pair.found for pair in pairs))
        print(f"false alarms of 200, replies {name}: {dict(alarms[name])}")
    assert hits >= 18 and alarms["alike"]["planned"] <= 16
