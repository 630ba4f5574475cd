"""Ratings: what is stored, what is refused, what threads, crashes and spreadsheets can not do to them."""

import csv
import io
import sqlite3
import subprocess
import sys
import threading
from dataclasses import asdict, replace

import pytest
from sqlite_utils import Database

from unedit_gui.errors import BadInput, Failed
from unedit_gui.study import database
from unedit_gui.study import ratings as module
from unedit_gui.study.ratings import COLUMNS, Rating, Ratings

GOOD = Rating(
    question="Which town is the capital of Ruritania?",
    answer="Strelsau",
    reply_original="It is Strelsau.",
    reply_edited="I'm afraid I don't know the capital of Ruritania.",
    edit_id="4f2a",
    edit_name="three facts",
    method="alphaedit",
    model="bundled",
    forget_quality=1,
    entailment=5,
    trust=4,
    comment="calm",
    nonce="first",
)


@pytest.fixture
def ratings(tmp_path):
    return Ratings(tmp_path / "deep" / "ratings.sqlite")


def another(nonce, **changes):
    return replace(GOOD, nonce=nonce, **changes)


def test_a_rating_comes_back_as_it_was_given_also_after_reopening(ratings):
    id = ratings.add(GOOD)
    (row,) = Ratings(ratings.path).all()
    assert tuple(row) == COLUMNS and row["id"] == id
    assert {name: row[name] for name in asdict(GOOD)} == asdict(GOOD)
    assert row["created"].startswith("20") and row["created"].endswith("+00:00")


def test_reading_before_anything_was_rated_creates_nothing(ratings):
    assert ratings.all() == [] and ratings.count() == 0
    assert ratings.to_csv().count("\n") == 1
    assert not ratings.path.parent.exists()


def test_an_empty_file_is_no_rating_yet(ratings):
    ratings.path.parent.mkdir()
    ratings.path.touch()
    assert ratings.count() == 0
    ratings.add(GOOD)
    assert ratings.count() == 1


def test_ratings_are_listed_in_the_order_they_came(ratings):
    ids = [ratings.add(another(str(n))) for n in range(5)]
    assert [row["id"] for row in ratings.all()] == sorted(ids) == ids


def test_the_same_nonce_is_stored_once(ratings):
    first = ratings.add(GOOD)
    assert ratings.add(GOOD) == first == ratings.add(replace(GOOD, comment="clicked again"))
    assert ratings.count() == 1 and ratings.all()[0]["comment"] == "calm"


def test_a_nonce_is_made_where_none_is_given(ratings):
    values = {name: value for name, value in asdict(GOOD).items() if name != "nonce"}
    assert Rating(**values).nonce != Rating(**values).nonce


def test_deleted_ratings_are_out_of_sight_and_come_back(ratings):
    first, second = ratings.add(GOOD), ratings.add(another("second"))
    ratings.delete(first)
    assert [row["id"] for row in ratings.all()] == [second] and ratings.count() == 1
    assert "first" not in ratings.to_csv()
    assert ratings.add(GOOD) == first  # still known: a reloaded page must not bring it back
    assert ratings.count() == 1
    ratings.restore(first)
    ratings.restore(first)
    assert [row["id"] for row in ratings.all()] == [first, second]
    assert {name: ratings.all()[0][name] for name in asdict(GOOD)} == asdict(GOOD)


def test_deleting_what_is_not_there_is_said(ratings):
    ratings.add(GOOD)
    for change in (ratings.delete, ratings.restore):
        with pytest.raises(BadInput, match="There is no rating 99"):
            change(99)


# What is refused


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"forget_quality": None}, "forget quality is 0"),
        ({"forget_quality": 2}, "forget quality is 0"),
        ({"forget_quality": True}, "forget quality is 0"),
        ({"forget_quality": 0}, "Leave the entailment out"),
        ({"forget_quality": 0, "entailment": None}, "Leave the trust out"),
        ({"entailment": None}, "Rate the entailment from 1 to 5"),
        ({"trust": None}, "Rate the trust from 1 to 5"),
        ({"trust": 6}, "Rate the trust"),
        ({"entailment": 0}, "Rate the entailment"),
        ({"entailment": 4.5}, "Rate the entailment"),
        ({"entailment": "4"}, "Rate the entailment"),
        ({"question": "  "}, "question is empty"),
        ({"nonce": ""}, "nonce is empty"),
        ({"reply_edited": None}, "reply_edited must be a text"),
        ({"comment": "a\ud800"}, "can't be stored"),
        ({"comment": "a\0b"}, "can't be stored"),
        ({"comment": "x" * 10_001}, "10,000 are allowed"),
    ],
)
def test_incomplete_ratings_are_refused_in_a_sentence(changes, message):
    with pytest.raises(BadInput, match=message):
        replace(GOOD, **changes)


def test_a_reply_that_still_tells_needs_no_more_answers(ratings):
    ratings.add(another("told", forget_quality=0, entailment=None, trust=None, reply_edited=""))
    (row,) = ratings.all()
    assert (row["forget_quality"], row["entailment"], row["trust"]) == (0, None, None)


@pytest.mark.parametrize(
    "change",
    [
        "forget_quality = 2",
        "entailment = NULL",
        "trust = NULL",
        "trust = 6",
        "entailment = 'four'",
        "question = ''",
        "model = NULL",
        "forget_quality = 0",
    ],
)
def test_the_file_itself_refuses_ratings_that_make_no_sense(ratings, change):
    ratings.add(GOOD)
    with sqlite3.connect(ratings.path) as connection, pytest.raises(sqlite3.IntegrityError):
        connection.execute("DROP TRIGGER ratings_keep_their_values")
        connection.execute(f"UPDATE ratings SET {change}")
    connection.close()


@pytest.mark.parametrize("change", ["DELETE FROM ratings", "UPDATE ratings SET trust = 5", "UPDATE ratings SET id = 7"])
def test_the_file_itself_keeps_ratings_as_they_were_given(ratings, change):
    ratings.add(GOOD)
    with sqlite3.connect(ratings.path) as connection, pytest.raises(sqlite3.IntegrityError, match="are kept"):
        connection.execute(change)
    connection.close()
    assert ratings.count() == 1


def test_the_file_is_strict_and_writes_ahead(ratings):
    ratings.add(GOOD)
    db = Database(ratings.path)
    assert db.journal_mode == "wal" and db["ratings"].strict
    assert [m.name for m in module.migrations.applied(db)] == ["create_ratings"]
    db.close()


# Many at once


def test_twenty_threads_lose_nothing(ratings):
    errors, ids = [], []

    def rate(person):
        own = Ratings(ratings.path)  # each browser session may have its own
        for n in range(20):
            try:
                ids.append(own.add(another(f"{person}-{n}")))
                own.count()
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=rate, args=(person,)) for person in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(set(ids)) == ratings.count() == 400
    assert {row["nonce"] for row in ratings.all()} == {f"{p}-{n}" for p in range(20) for n in range(20)}


def test_one_submission_from_many_threads_is_one_rating(ratings):
    ids = []
    threads = [threading.Thread(target=lambda: ids.append(ratings.add(GOOD))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 20 and len(set(ids)) == 1 and ratings.count() == 1


def test_a_rating_is_kept_when_the_process_is_killed_right_after(ratings):
    code = (
        "import os, sys; from unedit_gui.study.ratings import Rating, Ratings; "
        "Ratings(sys.argv[1]).add(Rating('q?', 'a', 'x', 'y', 'id', 'name', 'rome', 'm', 0)); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(ratings.path)]).returncode == 9
    assert ratings.count() == 1


def test_a_writer_that_holds_the_file_too_long_is_named(ratings, monkeypatch):
    ratings.add(GOOD)
    monkeypatch.setattr(database, "BUSY", 0.05)
    connection = sqlite3.connect(ratings.path)
    connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(Failed, match="^The ratings are busy: another program holds ratings.sqlite; try again.$"):
        ratings.add(another("second"))
    assert ratings.count() == 1  # reading goes on
    connection.rollback()
    connection.close()
    ratings.add(another("second"))
    assert ratings.count() == 2


# Damaged files


@pytest.mark.parametrize("content", [b"not a database", b"x" * 10_000, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_file_that_is_no_database_fails_in_one_sentence_and_stays(ratings, content):
    ratings.path.parent.mkdir()
    ratings.path.write_bytes(content)
    calls = (ratings.all, ratings.count, ratings.to_csv, lambda: ratings.add(GOOD), lambda: ratings.delete(1))
    for call in calls:
        with pytest.raises(Failed) as caught:
            call()
        message = str(caught.value)
        assert str(ratings.path) in message and "\n" not in message and message.endswith(".")
    assert ratings.path.read_bytes() == content
    assert [path.name for path in ratings.path.parent.iterdir()] == ["ratings.sqlite"]


def test_damage_inside_the_file_fails_in_one_sentence(ratings):
    for n in range(50):
        ratings.add(another(str(n), comment="x" * 500))
    content = bytearray(ratings.path.read_bytes())
    content[4096:] = b"\xaa" * (len(content) - 4096)
    ratings.path.write_bytes(content)
    with pytest.raises(Failed):
        ratings.all()
    with pytest.raises(Failed):
        ratings.add(GOOD)
    assert ratings.path.read_bytes() == content


def test_places_that_can_not_hold_a_file_fail_in_one_sentence(tmp_path):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path, tmp_path / "file" / "ratings.sqlite"):
        with pytest.raises(Failed):
            Ratings(path).add(GOOD)


# CSV


def test_csv_holds_every_rating_with_quotes_and_line_breaks(ratings):
    ratings.add(another("1", comment='she said "no",\nand left', reply_edited="Zoë; ja"))
    ratings.add(another("2", forget_quality=0, entailment=None, trust=None))
    first, second = csv.DictReader(io.StringIO(ratings.to_csv(), newline=""))
    assert first["comment"] == 'she said "no",\nand left' and first["reply_edited"] == "Zoë; ja"
    assert (first["forget_quality"], first["entailment"]) == ("1", "5")
    assert (second["forget_quality"], second["entailment"], second["trust"]) == ("0", "", "")


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\rx",
        "\n=1",
        " =HYPERLINK()",
        "＝1",
        "=cmd|' /C calc'!A0",
        "\u200b=1",
        "\ufeff \u202e=1",
    ],
)
def test_csv_defuses_what_a_spreadsheet_would_run(ratings, text):
    ratings.add(another("1", question="Q" + text, reply_edited=text, comment=text))
    (row,) = csv.DictReader(io.StringIO(ratings.to_csv(), newline=""))
    assert row["comment"] == row["reply_edited"] == "'" + text
    assert row["question"] == "Q" + text
    assert ratings.all()[0]["comment"] == text  # only the export is changed


def test_csv_quotes_texts_so_that_other_delimiters_do_not_split_them(ratings):
    ratings.add(another("1", comment="a;=1+1"))
    assert '"a;=1+1"' in ratings.to_csv()
