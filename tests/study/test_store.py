"""The study's file: what is frozen, what is refused, what is left of somebody who withdraws."""

import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta

import pytest

from tests.study.conftest import CONDITIONS, protocol, replies
from unedit_gui.errors import BadInput, Failed
from unedit_gui.study import taking
from unedit_gui.study.codes import plain, shown
from unedit_gui.study.export import analysis_of
from unedit_gui.study.folder import Studies
from unedit_gui.study.freezing import freeze, from_csv
from unedit_gui.study.results import COLUMNS
from unedit_gui.study.store import Study
from unedit_gui.study.taking import Given
from unedit_gui.study.visits import Shelf
from unedit_gui.workspace import Workspace


def seated(study, now=None):
    """A rater who stands before the first item."""
    rater = taking.rater_of(study, study.invite(1)[0])
    taking.consent(study, rater, study.protocol.consent_sha256)
    taking.tell(study, rater, {"age": "25 to 34"})
    taking.begin(study, rater, now)
    return rater


def answered(study, count=None):
    rater = seated(study)
    for position in range(1, (count or taking.where(study, rater).items) + 1):
        taking.show(study, rater, position)
        taking.answer(study, rater, position, Given(1, 3, 4, f"secret {position}"), f"{rater}{position}")
    return rater


def test_it_opens_only_once_every_reply_is_frozen(draft):
    with pytest.raises(BadInput, match="8 replies are not frozen"):
        draft.open()
    assert draft.add_replies(replies(draft.protocol), "test") == 8
    draft.open()
    assert draft.state == "open"


def test_nothing_changes_once_it_is_open(study):
    with pytest.raises(BadInput, match="this one is open"):
        study.add_replies(replies(study.protocol)[:1], "late")
    for table in ("study", "states", "conditions", "questions", "items", "list_items"):
        with pytest.raises(BadInput, match="kept"), study.writing() as db:
            db.execute(f"DELETE FROM {table}")
    with pytest.raises(BadInput, match="kept as it was given"), study.writing() as db:
        db.execute("UPDATE items SET reply = 'nicer'")
    with pytest.raises(BadInput, match="no draft"), study.writing() as db:
        db.execute("INSERT INTO conditions (name, settings) VALUES ('late', '{}')")


def test_states_follow_each_other_and_closed_is_the_end(study):
    study.pause()
    with pytest.raises(BadInput, match="can't become paused"):
        study.pause()
    study.open()
    study.close()
    for change in (study.open, study.pause, study.close):
        with pytest.raises(BadInput, match="is closed"):
            change()
    with pytest.raises(BadInput, match="closed"):
        study.invite(1)


def test_a_reply_that_was_changed_from_outside_is_found_at_opening(draft):
    draft.add_replies(replies(draft.protocol), "test")
    draft.disconnect()
    with sqlite3.connect(draft.path) as db:
        db.execute("DROP TRIGGER items_keeps")
        db.execute("UPDATE items SET reply = 'nicer' WHERE kind = 'main'")
    db.close()
    with pytest.raises(Failed, match="not what was frozen"):
        draft.open()
    assert draft.state == "draft"


@pytest.mark.parametrize(
    "change", ["UPDATE items SET reply = 'nicer' WHERE kind = 'main'", "UPDATE study SET protocol = '{}'"]
)
def test_what_was_changed_from_outside_is_found_before_it_is_analysed(study, change):
    answered(study)
    study.close()
    study.disconnect()
    with sqlite3.connect(study.path) as db:
        db.execute("DROP TRIGGER items_keeps")
        db.execute("DROP TRIGGER study_keeps")
        db.execute(change)
    db.close()
    with pytest.raises(Failed, match="changed from outside"):
        analysis_of(Study(study.path))


def test_freezing_goes_on_where_it_broke_off(draft):
    asked = []

    def write(questions, condition):
        if len(asked) == 3:
            raise KeyboardInterrupt
        asked.append((list(questions), condition.name))
        return [f"{condition.name[:1]} {question}" for question in questions]

    with pytest.raises(KeyboardInterrupt):
        freeze(draft, write, batch=2)
    assert len(draft.missing()) == 2
    asked.pop()
    assert freeze(draft, write, batch=2) == 2
    assert draft.missing() == [] and asked[-1][1] == CONDITIONS[1]


def test_replies_of_one_condition_come_from_the_same_edits(draft):
    """A freeze that was broken off must not go on with an edit that was made anew under the same name."""

    def write(questions, condition):
        if draft.missing()[0][0] != questions[0] or len(draft.missing()) < 8:
            raise KeyboardInterrupt
        return ["a"] * len(questions)

    with pytest.raises(KeyboardInterrupt):
        freeze(draft, write, batch=2, sources={name: "edit 1" for name in CONDITIONS})
    with pytest.raises(BadInput, match=f"{CONDITIONS[0]}.*edit 1.*edit 2"):
        freeze(draft, lambda q, c: ["b"] * len(q), sources={name: "edit 2" for name in CONDITIONS})
    assert len(draft.missing()) == 6
    assert freeze(draft, lambda q, c: ["b"] * len(q), sources={CONDITIONS[0]: "edit 1", CONDITIONS[1]: "edit 2"}) == 6


def test_a_model_that_says_nothing_is_judged_as_such(draft):
    freeze(draft, lambda questions, condition: [" \n"] * len(questions))
    assert draft.missing() == []
    with draft.reading() as db:
        replies = {row[0] for row in db.execute("SELECT reply FROM items WHERE kind = 'main'")}
    assert replies == {"(There was no reply.)"}


def test_replies_come_from_csv_whole_or_not_at_all(draft, tmp_path):
    file = tmp_path / "replies.csv"
    question = draft.protocol.questions[0].question
    file.write_text(f"question,condition,reply\n{question},{CONDITIONS[0]},Fine\n{question},other,Bad\n", "utf-8")
    with pytest.raises(BadInput, match="no condition 'other'"):
        from_csv(draft, file)
    assert len(draft.missing()) == 8
    file.write_text(f'question,condition,reply\n{question},{CONDITIONS[0]},"Fine,\nindeed"\n', "utf-8")
    assert from_csv(draft, file) == 1 and from_csv(draft, file) == 0
    file.write_text(f"question,condition,reply\n{question},{CONDITIONS[0]},Another\n", "utf-8")
    with pytest.raises(BadInput, match="frozen already"):
        from_csv(draft, file)


def test_answers_come_back_with_all_that_belongs_to_them(study):
    answered(study)
    rows = study.judgements()
    assert [tuple(row) for row in rows] == [COLUMNS] * 5
    assert [row["position"] for row in rows] == [1, 2, 3, 4, 5]
    (check,) = (row for row in rows if row["attention_check"])
    assert check["condition"] == "" and check["check_passed"] is False and "failed_check" in check["flags"]
    main = [row for row in rows if not row["attention_check"]]
    assert sorted(row["condition"] for row in main) == sorted(CONDITIONS * 2)
    assert sum(row["common"] for row in main) == 2 and {row["check_passed"] for row in main} == {None}
    assert all(row["shown_at"] <= row["submitted_at"] and "fast" in row["flags"] for row in rows)


def test_the_practice_is_neither_a_judgement_nor_flagged_and_a_failed_check_is_flagged(study):
    rater = seated(study)
    taking.show(study, rater, 0)
    taking.answer(study, rater, 0, Given(0), "quick")
    assert (study.status()["judgements"], study.status()["flagged"]) == (0, 0)
    answered(study)
    assert (study.status()["judgements"], study.status()["flagged"]) == (4, 5)


def test_a_changed_answer_is_a_revision_and_both_are_kept(study):
    rater = answered(study, 1)
    taking.answer(study, rater, 1, Given(0), "again")
    taking.answer(study, rater, 1, Given(0), "again")
    taking.answer(study, rater, 1, Given(0), "the same answer in another form")
    (row,) = study.judgements()
    assert (row["forgotten"], row["entailment"], row["trust"]) == (0, None, None) and "changed" in row["flags"]
    with study.reading() as db:
        assert [r["revision"] for r in db.query("SELECT revision FROM judgements ORDER BY id")] == [1, 2]


def test_a_repeated_submission_changes_nothing_however_late(study):
    rater = answered(study, 1)
    taking.answer(study, rater, 1, Given(0), "second")
    taking.answer(study, rater, 1, Given(1, 3, 4, "secret 1"), f"{rater}1")
    assert study.judgements()[0]["forgotten"] == 0
    # but the same form with another answer, whose thanks got lost, is an answer
    taking.answer(study, rater, 1, Given(1, 5, 5), "second")
    assert study.judgements()[0]["trust"] == 5


@pytest.mark.parametrize("values", [(0, 3, None), (0, None, 3), (1, None, 3), (1, 6, 3), (1, 0, 3), (2, None, None)])
def test_scales_are_there_exactly_where_forgotten(study, values):
    rater = answered(study, 1)
    with pytest.raises(BadInput):
        Given(*values)
    with pytest.raises(BadInput), study.writing() as db:
        row = [rater, study.judgements()[0]["item"], 2, *values, "", "t", "t", "n"]
        db.execute(
            "INSERT INTO judgements (rater, item, revision, forgotten, entailment, trust, comment, shown_at, "
            "submitted_at, nonce) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            row,
        )


def test_answers_can_be_neither_overwritten_nor_deleted(study):
    answered(study)
    for statement in ("UPDATE judgements SET trust = 1", "DELETE FROM judgements", "DELETE FROM raters"):
        with pytest.raises(BadInput), study.writing() as db:
            db.execute(statement)
    assert len(study.judgements()) == 5


@pytest.mark.parametrize("ours", [True, False])
def test_replacing_is_no_way_around_it(study, ours):
    """INSERT OR REPLACE deletes without asking a trigger, unless that is asked for; other programs don't ask."""
    answered(study)
    with study.reading() as db:
        before = list(db.conn.iterdump())
    values = "id, rater, item, revision, 0, NULL, NULL, 'forged', shown_at, submitted_at, focus_seconds, nonce"
    forgeries = [
        f"INSERT OR REPLACE INTO judgements SELECT {values} FROM judgements",
        "INSERT OR REPLACE INTO consents SELECT rater, 'forged', sha256, at FROM consents",
        "INSERT OR REPLACE INTO demographics SELECT rater, field, revision, 'forged', at FROM demographics",
        "INSERT OR REPLACE INTO study SELECT id, 'forged', key, protocol, protocol_sha256, consent_version, "
        "consent_sha256, created FROM study",
    ]
    for forgery in forgeries:
        if ours:
            with suppress(BadInput), study.writing() as db:
                db.execute(forgery)
        else:
            with closing(sqlite3.connect(study.path)) as db, suppress(sqlite3.IntegrityError), db:
                db.execute(forgery)
    with study.reading() as db:
        assert list(db.conn.iterdump()) == before


def test_one_form_answers_one_item(study):
    """The same form sent for another item is not that item's answer already."""
    rater = seated(study)
    for position in (1, 2):
        taking.answer(study, rater, position, Given(0), "form")
        taking.answer(study, rater, position, Given(0), "form")
    assert [row["position"] for row in study.judgements()] == [1, 2]


def test_who_withdraws_leaves_counts_alone(study):
    stays, goes = answered(study), answered(study, 3)
    study.erase(goes)
    study.erase(goes)
    assert {row["rater"] for row in study.judgements()} == {stays}
    assert taking.where(study, goes).step == taking.CONSENT
    with study.reading() as db:
        (stone,) = db.query("SELECT * FROM tombstones")
        assert (stone["judgements"], stone["finished"]) == (3, 0)
        assert goes not in "\n".join(db.conn.iterdump())
    study.erase(stays)
    study.disconnect()
    for file in study.path.parent.iterdir():
        assert b"secret" not in file.read_bytes() and stays.encode() not in file.read_bytes()


def test_what_another_program_kept_in_the_journal_goes_with_the_next_call(study):
    goes = answered(study, 3)
    with closing(sqlite3.connect(study.path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM judgements").fetchone()  # the journal can't be emptied as long as it reads
        study.erase(goes)
        assert study.judgements() == []
    study.status()
    for file in study.path.parent.iterdir():
        assert b"secret" not in file.read_bytes() and goes.encode() not in file.read_bytes()


def test_what_a_killed_program_left_in_the_journal_goes_when_the_file_is_next_used(study, tmp_path):
    goes = answered(study, 3)
    study.disconnect()
    code = (
        "import os, sys; from unedit_gui.study.store import Study; study = Study(sys.argv[1]); study.state; "
        "study._scrub = lambda: None; study.erase(sys.argv[2]); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(study.path), goes]).returncode == 9
    journal = study.path.with_name(f"{study.path.name}-wal")
    assert journal.stat().st_size
    study.status()
    assert not journal.stat().st_size
    assert goes.encode() not in study.path.read_bytes()


def test_codes_are_not_kept_and_read_as_they_are_written_down(study):
    (code,) = study.invite(1)
    rater = taking.rater_of(study, code)
    assert rater and taking.rater_of(study, code.lower().replace("-", " ")) == rater
    assert taking.rater_of(study, code[:-1]) is None and taking.rater_of(study, "") is None
    assert shown(plain(code)) == code
    study.disconnect()
    for file in study.path.parent.iterdir():
        assert plain(code).encode() not in file.read_bytes() and code.encode() not in file.read_bytes()


def test_lists_fill_evenly_and_those_of_drop_outs_go_back(study):
    long_ago = datetime.now(UTC) - timedelta(hours=200)
    first = [seated(study, long_ago) for _ in range(2)]
    lists = {row["rater"]: row["list"] for row in study.raters()}
    assert sorted(lists[rater] for rater in first) == [1, 2]
    assert study.status()["dropped_out"] == 2
    later = [seated(study) for _ in range(4)]
    lists = {row["rater"]: row["list"] for row in study.raters()}
    assert sorted(lists[rater] for rater in later) == [1, 1, 2, 2]
    taking.show(study, first[0], 1)  # who comes back goes on, and counts again
    assert study.status()["dropped_out"] == 1


def test_each_rater_sees_each_question_once(study):
    for _ in range(3):
        rater = seated(study)
        seen = [taking.show(study, rater, position).question for position in range(1, 6)]
        assert sorted(seen) == sorted([*(q.question for q in study.protocol.questions), "Bees?"])
        assert taking.show(study, rater, 6) is None


def test_twenty_at_once_lose_nothing(study):
    raters = [seated(study) for _ in range(20)]

    def work(rater):
        for position in range(6):
            taking.show(study, rater, position)
            taking.answer(study, rater, position, Given(0), f"n{position}")

    threads = [threading.Thread(target=work, args=[rater]) for rater in raters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(study.judgements()) == 120 and study.status()["finished"] == 20


def test_two_programs_write_into_one_study(study):
    other = Study(study.path)
    rater = seated(study)
    for position in range(1, 6):
        taking.answer(other if position % 2 else study, rater, position, Given(0), f"n{position}")
    other.disconnect()
    assert len(study.judgements()) == 5


def test_a_damaged_file_and_a_missing_one_are_told_in_a_sentence(tmp_path):
    (tmp_path / "bad.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(Failed, match="damaged or no study"):
        Study(tmp_path / "bad.sqlite").judgements()
    with pytest.raises(BadInput, match="There is no study 'none'"):
        Study(tmp_path / "none.sqlite")


def test_a_server_finds_the_study_that_took_the_place_of_a_draft(tmp_path):
    """Another program replaces a draft whose file this one holds open; neither file harms the other."""
    here, there = (Studies(Workspace(tmp_path)) for _ in range(2))
    here.create("trial", protocol(title="Old"))
    (code,) = there.get("trial").invite(1)
    shelf = Shelf(here.all)
    assert shelf.find(code)[0].protocol.title == "Old"
    new = there.create("trial", protocol(title="New"), replace=True)
    here_again = here.get("trial")
    assert here_again.protocol.title == "New"
    new.add_replies(replies(new.protocol), "test")
    new.open()
    assert shelf.find(new.invite(1)[0])[0].state == "open"
    assert shelf.find(code) is None
    assert len([p for p in new.path.parent.iterdir() if p.suffix == ".sqlite"]) == 1
    with new.reading() as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    for study in (new, here_again):
        study.disconnect()


def test_a_study_is_made_once(tmp_path):
    Study.create(tmp_path / "a.sqlite", "a", protocol()).disconnect()
    with pytest.raises(BadInput, match="already"):
        Study.create(tmp_path / "a.sqlite", "a", protocol())
