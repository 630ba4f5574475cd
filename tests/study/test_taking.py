"""Taking part, below the pages: who gets which items, in which order."""

import pytest

from tests.study.played import IMPROVED, PLAIN, places, protocol
from unedit_gui.study import taking
from unedit_gui.study.freezing import freeze
from unedit_gui.study.store import Study


def seated(study):
    rater = taking.rater_of(study, study.invite(1)[0])
    taking.begin(study, rater)
    return [place for place in places(study, rater) if place[2]]  # without the check


@pytest.mark.parametrize("seed", range(3))
def test_in_a_fixed_order_questions_come_as_in_the_protocol_and_conditions_mixed(tmp_path, seed):
    """Replies are frozen condition by condition; nobody is to see them so."""
    study = Study.create(tmp_path / "a.sqlite", "a", protocol(12, seed, order="fixed"))
    freeze(study, lambda questions, condition: [f"Reply to {question}" for question in questions])
    study.open()
    one, other = seated(study), seated(study)
    asked = [question.question for question in study.protocol.questions]
    assert [question for _, question, _ in one] == [question for _, question, _ in other] == asked
    for seen in (one, other):
        conditions = [condition for *_, condition in seen]
        assert sorted(conditions) == [IMPROVED] * 6 + [PLAIN] * 6
        assert conditions not in (sorted(conditions), sorted(conditions)[::-1])
    study.disconnect()
