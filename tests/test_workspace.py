"""The workspace: folders, safe names, atomic writes, locks between processes, a trash that gives back."""

import errno
import multiprocessing
import os
import shutil
import stat
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unedit_gui import workspace as module
from unedit_gui.workspace import Workspace, safe_name


@pytest.fixture
def space(tmp_path):
    return Workspace(tmp_path / "home")


def tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


# Folders


def test_home_is_the_argument_then_the_environment_then_the_users_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("UNEDIT_HOME", str(tmp_path / "from-environment"))
    assert Workspace(tmp_path / "given").home == tmp_path / "given"
    assert Workspace().home == tmp_path / "from-environment"
    monkeypatch.delenv("UNEDIT_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    assert Workspace().home == tmp_path / "user" / ".unedit"
    assert Workspace("~/elsewhere").home == tmp_path / "user" / "elsewhere"
    assert list(tmp_path.iterdir()) == []  # asking where touches nothing


def test_folders_come_into_being_when_asked_for(space):
    for name in ("models", "edits", "statistics", "runs", "trash"):
        folder = getattr(space, f"{name}_dir")
        assert folder == space.home / name and folder.is_dir()
    assert space.ratings_path == space.home / "ratings.sqlite" and not space.ratings_path.exists()


def test_a_relative_home_stays_where_it_was_when_the_program_moves_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = Workspace("here")
    monkeypatch.chdir("/")
    assert space.edits_dir == tmp_path / "here" / "edits"


# Names


@pytest.mark.parametrize("name", ["smollm2-135m-instruct", "llama-3.1-8b", "a", "x_1"])
def test_plain_names_stay(name):
    assert safe_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "..", ".", "", "/", "C:\\x", "a/b", ".hidden", "nul", "con.txt", "é", "a\0b", "a."],
)
def test_other_names_become_harmless(name, space):
    folder = space.model_dir(name)
    assert folder.parent == space.models_dir and not folder.name.startswith(".") and "\0" not in folder.name
    assert folder.resolve().parent == space.models_dir.resolve()


@given(st.lists(st.text(max_size=100), min_size=2, max_size=2, unique=True))
def test_different_names_never_meet_even_where_case_does_not_count(names):
    first, second = (safe_name(name) for name in names)
    assert first.lower() != second.lower() and len(first) <= 80


def test_a_name_that_looks_like_one_of_ours_does_not_meet_it():
    assert safe_name(safe_name("a/b")) != safe_name("a/b")


# Atomic writes


def test_write_replaces_whole_files_and_makes_folders(space):
    path = space.runs_dir / "deep" / "down" / "scores.json"
    assert space.write_atomically(path, "é") == path
    assert path.read_bytes() == "é".encode()
    space.write_atomically(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert tree(space.runs_dir) == {"deep", "deep/down", "deep/down/scores.json"}


def test_a_failed_write_leaves_the_old_file_and_no_rest(space):
    path = space.write_atomically(space.runs_dir / "a.txt", "old")
    with pytest.raises(UnicodeEncodeError):
        space.write_atomically(path, "\ud800")
    assert path.read_text() == "old" and tree(space.runs_dir) == {"a.txt"}


def test_a_file_appears_only_when_finished_and_any_error_leaves_the_old_one(space):
    final = space.statistics_dir / "model" / "c.bin"
    with space.atomic_file(final) as part, space.atomic_file(final) as other:
        part.write_bytes(b"one")
        other.write_bytes(b"other")
        assert part.parent == final.parent and not final.exists()
    assert final.read_bytes() == b"one" and tree(final.parent) == {"c.bin"}
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), space.atomic_file(final) as part:
            part.write_bytes(b"half")
            raise error
    assert final.read_bytes() == b"one" and tree(final.parent) == {"c.bin"}


def test_a_link_stays_and_what_it_points_to_is_written(space, tmp_path):
    real, link = tmp_path / "a" / "real.csv", tmp_path / "link.csv"
    real.parent.mkdir()
    real.write_text("old")
    link.symlink_to(real)
    space.write_atomically(link, "new")
    assert link.is_symlink() and real.read_text() == "new"
    assert tree(tmp_path) == {"a", "a/real.csv", "link.csv"}


def test_a_pipe_is_written_to_and_stays_a_pipe(space, tmp_path):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    space.write_atomically(pipe, "whole")
    assert pipe.is_fifo()
    reader.join(30)
    assert read == ["whole"]


def test_a_device_is_written_to_and_stays_a_device(space, tmp_path):
    device = tmp_path / "null"
    try:
        os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
        device.write_text("x")
    except PermissionError:
        pytest.skip("only root can make a device, and not everywhere")
    space.write_atomically(device, "gone")
    assert device.is_char_device() and tree(tmp_path) == {"null"}


def test_folder_appears_only_when_finished(space):
    final = space.models_dir / "m"
    with space.atomic_folder(final) as part:
        (part / "weights").write_bytes(b"123")
        assert part.parent == final.parent and not final.exists()
    assert tree(space.models_dir) == {"m", "m/weights"}


def test_folder_is_removed_on_any_error_and_the_old_one_stays(space):
    final = space.models_dir / "m"
    with space.atomic_folder(final) as part:
        (part / "old").touch()
    for error in (ValueError, KeyboardInterrupt):
        with pytest.raises(error), space.atomic_folder(final) as part:
            (part / "new").touch()
            raise error
    assert tree(space.models_dir) == {"m", "m/old"}


def test_folder_takes_the_place_of_an_older_one(space):
    final = space.models_dir / "m"
    for name in ("old", "new"):
        with space.atomic_folder(final) as part:
            (part / name).touch()
    assert tree(space.models_dir) == {"m", "m/new"}


def test_what_a_killed_process_left_is_swept_after_a_day_but_not_before(space):
    names = []
    for _ in range(2):
        with space.atomic_folder(space.models_dir / "m") as part:
            names.append(part)
    fresh, stale = names
    for folder in (fresh, stale):
        folder.mkdir()
        (folder / "half").touch()
    make_old(stale)
    with space.atomic_folder(space.models_dir / "m"):
        pass
    assert fresh.exists() and not stale.exists()


def make_old(*paths: Path) -> None:
    yesterday = time.time() - 2 * 24 * 3600
    for path in paths:
        os.utime(path, (yesterday, yesterday))


def test_unfinished_files_and_folders_of_other_programs_stay(space, tmp_path):
    mine = tmp_path / "Documents"
    download = mine / ".movie.mp4.part"
    for folder in (mine / ".backup.part", mine / ".0123.part"):
        folder.mkdir(parents=True)
        (folder / "photo.jpg").touch()
    download.write_text("my only copy")
    make_old(download, mine / ".backup.part", mine / ".0123.part")
    space.write_atomically(mine / "c.csv", "x")
    with space.atomic_folder(mine / "adapter"):
        pass
    names = {".backup.part", ".backup.part/photo.jpg", ".0123.part", ".0123.part/photo.jpg", ".movie.mp4.part"}
    assert tree(mine) == names | {"c.csv", "adapter"}


# Locks


def _add_one(home: str, times: int) -> None:
    space = Workspace(home)
    path = space.runs_dir / "number"
    for _ in range(times):
        with space.lock("number"):
            number = int(path.read_text()) if path.exists() else 0
            time.sleep(0.001)
            path.write_text(str(number + 1))


def test_lock_keeps_processes_apart(space):
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_add_one, args=(str(space.home), 15)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert (space.runs_dir / "number").read_text() == "45"


def test_lock_keeps_threads_apart_and_other_names_free(space):
    threads = [threading.Thread(target=_add_one, args=(str(space.home), 10)) for _ in range(4)]
    with space.lock("number"), space.lock("another/name"):
        for thread in threads:
            thread.start()
        time.sleep(0.1)
        assert not (space.runs_dir / "number").exists()
    for thread in threads:
        thread.join(30)
    assert (space.runs_dir / "number").read_text() == "40"


def test_waiting_for_a_lock_can_be_given_up(space):
    def stopped():
        raise InterruptedError

    with space.lock("convert"):
        with pytest.raises(InterruptedError), space.lock("convert", waiting=stopped):
            pytest.fail("two hold the lock")
    with space.lock("convert", waiting=stopped):
        pass


def test_an_error_frees_the_lock(space):
    with pytest.raises(ValueError), space.lock("convert"):
        raise ValueError
    with space.lock("convert"):
        pass


def test_without_fcntl_it_goes_on_unlocked(space, monkeypatch):
    monkeypatch.setattr(module, "fcntl", None)
    with space.lock("a"), space.lock("a"):
        pass


# The trash


def make(folder: Path, content: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "edit.json").write_text(content)
    return folder


def test_discarded_things_come_back(space):
    edit = make(space.edits_dir / "e", "one")
    trashed = space.discard(edit)
    assert not edit.exists() and trashed.is_relative_to(space.trash_dir)
    assert (trashed / "edit.json").read_text() == "one"
    assert space.restore(str(trashed)) == edit
    assert (edit / "edit.json").read_text() == "one" and tree(space.trash_dir) == set()


def test_files_and_things_from_elsewhere_can_be_discarded_too(space, tmp_path):
    file = tmp_path / "elsewhere" / "origin.json"
    file.parent.mkdir()
    file.write_text("x")
    assert space.restore(space.discard(file)).read_text() == "x"


@pytest.fixture
def elsewhere(space, monkeypatch):
    """An edit on what the system says is another file system than the trash's."""
    edit = make(space.edits_dir / "e", "one")
    (edit / "payload").touch()
    rename = os.rename

    def refuse(source, target, **more):
        if Path(source) == edit:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(source, target, **more)

    monkeypatch.setattr(os, "rename", refuse)
    return edit


def test_things_on_another_file_system_can_be_discarded_too(space, elsewhere):
    trashed = space.discard(elsewhere)
    assert not elsewhere.exists() and tree(trashed) == {"edit.json", "payload"}
    assert tree(space.restore(trashed)) == {"edit.json", "payload"}


def test_what_could_not_be_removed_half_way_lies_whole_in_the_trash(space, elsewhere, monkeypatch):
    remove = shutil.rmtree

    def half_way(path, *how, **more):
        if Path(path) == elsewhere:
            (elsewhere / "payload").unlink()
            raise PermissionError(errno.EACCES, "Permission denied", str(elsewhere / "edit.json"))
        return remove(path, *how, **more)

    monkeypatch.setattr(shutil, "rmtree", half_way)
    with pytest.raises(OSError, match="all of e lies in the trash, at"):
        space.discard(elsewhere)
    (trashed,) = space.trash_dir.glob("*/content/e")
    assert tree(trashed) == {"edit.json", "payload"}
    assert tree(space.restore(trashed)) == {"edit.json", "payload"}


def test_what_could_not_be_copied_stays_and_leaves_nothing_in_the_trash(space, elsewhere, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copytree", full)
    with pytest.raises(OSError, match="No space left"):
        space.discard(elsewhere)
    assert tree(elsewhere) == {"edit.json", "payload"} and tree(space.trash_dir) == set()


def test_equal_names_do_not_meet_in_the_trash_or_on_the_way_back(space):
    edit = make(space.edits_dir / "e", "one")
    first = space.discard(edit)
    second = space.discard(make(edit, "two"))
    make(edit, "three")
    assert [space.restore(trashed).name for trashed in (first, second)] == ["e-2", "e-3"]
    assert [(space.edits_dir / name / "edit.json").read_text() for name in ("e", "e-2", "e-3")] == [
        *("three", "one", "two")
    ]


def test_restore_takes_nothing_that_is_not_in_the_trash(space, tmp_path):
    edit = make(space.edits_dir / "e", "one")
    trashed = space.discard(edit)
    space.restore(trashed)
    for other in (trashed, edit, space.trash_dir, tmp_path / "none", space.trash_dir / ".." / "edits" / "e"):
        with pytest.raises(FileNotFoundError):
            space.restore(other)
    assert (edit / "edit.json").read_text() == "one"


def test_discard_refuses_nothing_and_the_trash_itself(space):
    with pytest.raises(FileNotFoundError):
        space.discard(space.edits_dir / "none")
    for folder in (space.home, space.trash_dir, space.home.parent):
        with pytest.raises(ValueError):
            space.discard(folder)
    assert tree(space.trash_dir) == set()
