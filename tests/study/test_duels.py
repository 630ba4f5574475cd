"""Votes of blinded duels: nothing lost, nothing twice; wins and intervals, computed by hand; sides by chance."""

import csv
import io
import threading
from dataclasses import replace

import pytest
from sqlite_utils import Database

from unedit_gui.errors import BadInput, Failed
from unedit_gui.study.duels import COLUMNS, Duels, Vote, left_first, standing
from unedit_gui.study.ratings import Ratings

GOOD = Vote("Who?", "a", "Edit A", "I don't know.", "b", "Edit B", "It was Leonardo.", "left", "bundled", "first")


@pytest.fixture
def duels(tmp_path):
    return Duels(tmp_path / "home" / "ratings.sqlite")


def test_a_vote_comes_back_and_a_double_click_is_one_vote(duels):
    assert duels.all() == [] and not duels.path.exists()
    assert duels.add(GOOD) == duels.add(replace(GOOD, vote="right")) == 1
    (row,) = Duels(duels.path).all()
    assert tuple(row) == COLUMNS and row["vote"] == "left" and row["right_reply"] == "It was Leonardo."
    assert Ratings(duels.path).all() == []  # the same file, another table


def test_many_at_once_lose_nothing(duels):
    def vote(person):
        for number in range(10):
            duels.add(replace(GOOD, nonce=f"{person}-{number}"))
            duels.add(replace(GOOD, nonce=f"{person}-{number}"))

    threads = [threading.Thread(target=vote, args=(person,)) for person in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(duels.all()) == 40


def test_votes_are_neither_changed_nor_deleted(duels):
    duels.add(GOOD)
    db = Database(duels.path)
    assert db.journal_mode == "wal"
    for sql in ("DELETE FROM duels", "UPDATE duels SET vote = 'right'"):
        with pytest.raises(Exception, match="votes are kept"):
            db.execute(sql)
    db.close()


@pytest.mark.parametrize(
    "changes, word",
    [({"vote": "up"}, "no vote"), ({"right_id": "a"}, "same variant"), ({"question": " "}, "needs a question"),
     ({"left_reply": "\0"}, "can't be stored"), ({"model": 5}, "must be a text"), ({"nonce": ""}, "nonce")],
)  # fmt: skip
def test_what_is_no_vote_is_refused(changes, word):
    with pytest.raises(BadInput, match=word):
        replace(GOOD, **changes)


def test_a_damaged_file_is_named_and_left(duels):
    duels.path.parent.mkdir()
    duels.path.write_bytes(b"not a database, but long enough to be looked at " * 30)
    with pytest.raises(Failed, match="votes can't be read"):
        duels.add(GOOD)


def votes(*given) -> list[dict]:
    return [
        {"left_id": left, "left_name": left.upper(), "right_id": right, "right_name": right.upper(), "vote": vote}
        for left, right, vote in given
    ]


def test_wins_ties_and_intervals_are_those_computed_by_hand():
    # a beats b three times (on either side) and loses once; one tie and one "both bad"; c only ever tied.
    rows = votes(
        ("a", "b", "left"), ("b", "a", "right"), ("a", "b", "left"), ("a", "b", "right"), ("b", "a", "tie"),
        ("a", "b", "bad"), ("c", "a", "tie"),
    )  # fmt: skip
    alone, pairs = standing(rows)
    assert [(l.name, l.wins, l.losses, l.ties, l.bad, l.n) for l in alone] == [  # noqa: E741
        ("A", 3, 1, 2, 1, 7), ("B", 1, 3, 1, 1, 6), ("C", 0, 0, 1, 0, 1),
    ]  # fmt: skip
    # Wilson, n = 4, p = 3/4, z = 1.96: centre (p + z²/2n) / (1 + z²/n) = 0.6275, half 0.3268
    share = alone[0].share
    assert (share.value, share.n) == (0.75, 4)
    assert (share.low, share.high) == pytest.approx((0.3006, 0.9544), abs=2e-4)
    assert alone[2].share.value is None  # nothing decided, so no share
    assert [(line.name, line.other, line.wins, line.losses, line.n) for line in pairs] == [
        ("A", "B", 3, 1, 6), ("A", "C", 0, 0, 1),
    ]  # fmt: skip


def test_two_edits_of_one_name_stay_two():
    rows = votes(("aa", "bb", "left"))
    rows[0]["right_name"] = rows[0]["left_name"]
    assert {line.name for line in standing(rows)[0]} == {"AA (aa)", "AA (bb)"}


def test_sides_are_drawn_per_question_and_come_again_with_the_seed():
    drawn = [left_first("seed", number) for number in range(400)]
    assert drawn == [left_first("seed", number) for number in range(400)]
    assert 160 < sum(drawn) < 240 and drawn != [left_first("other", number) for number in range(400)]


def test_the_csv_holds_no_formula(duels):
    duels.add(replace(GOOD, question="=1+1", left_name="@cmd"))
    (row,) = csv.DictReader(io.StringIO(duels.to_csv()))
    assert row["question"] == "'=1+1" and row["left_name"] == "'@cmd" and row["vote"] == "left"
