"""A blinded duel: until somebody voted nothing that the page sends tells who answers; then the names are there."""

import csv
import io

import pytest

from tests.ui.test_columns import QUESTION, ask, ids, lab, session  # noqa: F401 - fixtures
from unedit_gui.errors import BadInput
from unedit_gui.ui import chat, columns, duel, study


@pytest.fixture
def ring(lab, session):  # noqa: F811
    """The page in a duel of two chosen edits, of which both replies are there."""
    columns.show(session, "duel")
    for place, edit in zip(("duel_first", "duel_second"), ids(lab), strict=False):
        chat.field(lab, session, {"field": place, "value": edit})
    return fight(lab, session)


def fight(lab, session):  # noqa: F811
    chat.ACTS["chip"](lab, session, {"text": QUESTION, "answer": "Leonardo da Vinci"})
    session.jobs["chat"].wait(120)
    return duel.arena_of(session).now


def test_nothing_in_the_bytes_tells_who_answers_until_the_vote(lab, session, ring):  # noqa: F811
    assert ring.state == "done" and {side.id for side in ring.sides} == set(ids(lab)[:2])
    blind = chat.render(lab, session)
    for edit in lab.edits.values():
        assert edit.id not in blind and edit.name not in blind and f"&lt;{edit.name[-2]}&gt;" not in blind
        assert edit.method_label not in blind and edit.method not in blind
    assert blind.count('data-act="vote"') == 4 and "trace" not in blind
    chat.ACTS["vote"](lab, session, {"vote": "left"})
    assert f"Edit &lt;{ring.sides[0].name[6]}&gt;" in chat.render(lab, session)


def test_replies_that_were_cut_off_are_marked_on_the_page_and_kept_as_they_are(lab, session, ring):  # noqa: F811
    assert any(side.cut for side in ring.sides)  # the tiny models seldom end a reply
    assert chat.render(lab, session).count('class="cut"') == sum(side.cut for side in ring.sides)
    columns.show(session, "panes")
    session.enabled = ids(lab)[:1]
    turn = ask(lab, session)
    assert any(pane.cut for pane in turn.panes)
    for drawn in (chat.render(lab, session), study.render(lab, session)):
        assert drawn.count('class="cut"') == sum(pane.cut for pane in turn.panes)
    assert not any(pane.text.endswith("…") for pane in turn.panes)


def test_two_replies_that_are_the_same_are_said_to_be(lab, session, ring):  # noqa: F811
    assert "the same, word for word" not in chat.render(lab, session)
    ring.sides[1].text = ring.sides[0].text
    drawn = chat.render(lab, session)
    assert "Both replies are the same, word for word." in drawn and drawn.count('data-act="vote"') == 4


def test_a_vote_is_kept_once_with_its_sides(lab, session, ring):  # noqa: F811
    for vote in ("right", "left", "right"):
        chat.ACTS["vote"](lab, session, {"vote": vote})
    (kept,) = lab.bench.duels.all()
    assert kept["vote"] == "right" and kept["question"] == QUESTION
    assert (kept["left_id"], kept["right_id"]) == (ring.sides[0].id, ring.sides[1].id)
    assert (kept["left_reply"], kept["right_reply"]) == (ring.sides[0].text, ring.sides[1].text)
    alone, _ = lab.bench.standing()
    assert alone[0].name == ring.sides[1].name and (alone[0].wins, alone[1].losses) == (1, 1)
    chat.ACTS["duel-table"](lab, session, {})
    assert "By pair" in chat.render(lab, session)
    assert len(list(csv.DictReader(io.StringIO(chat.ACTS["duels-csv"](lab, session, {})["text"])))) == 1


def test_who_wants_no_vote_sees_the_names_and_nothing_is_kept(lab, session, ring):  # noqa: F811
    with pytest.raises(BadInput, match="Vote first"):
        fight(lab, session)
    chat.ACTS["unblind"](lab, session, {})
    chat.ACTS["vote"](lab, session, {"vote": "left"})
    assert lab.bench.duels.all() == [] and "not counted" in chat.render(lab, session)


def test_sides_change_and_chance_takes_two_that_differ(lab, session):  # noqa: F811
    columns.show(session, "duel")
    arena = duel.arena_of(session)
    arena.seed = "fixed"
    seen = []
    for _ in range(12):
        now = fight(lab, session)
        seen.append(tuple(side.id for side in now.sides))
        assert len(set(seen[-1])) == 2
        now.vote = "shown"
    assert len({frozenset(pair) for pair in seen}) > 3
    again = [duel.left_first("fixed", number) for number in range(12)]
    assert True in again and False in again
    for place in ("duel_first", "duel_second"):
        chat.field(lab, session, {"field": place, "value": ids(lab)[0]})
    with pytest.raises(BadInput, match="Both sides are the same"):
        fight(lab, session)
