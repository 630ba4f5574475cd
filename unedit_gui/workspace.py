"""Where this program keeps things: models, edits, statistics, runs, ratings, a trash.

All of it lies under one folder, `$UNEDIT_HOME` or `~/.unedit`. What is written here is there whole or not at
all: files and folders are made beside their place under a hidden name and renamed at the end. Nothing is
deleted for good: `discard` moves it to the trash, and `restore` brings it back.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_UNFINISHED = re.compile(r"\.[0-9a-f]{16}\.part")  # the names of what is not finished, as `_part_of` makes them
_ABANDONED = 24 * 3600.0  # seconds after which an unfinished thing belongs to a process that died
_SAFE = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
_OURS = re.compile(r".*-[0-9a-f]{10}")
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?")  # names that Windows keeps for itself


def safe_name(name: str) -> str:
    """A file name for any text: never a path or hidden, at most 80 characters, different for different texts.

    Plain lower-case names stay as they are; the others keep what can be kept and get a hash, so that `a/b`
    and `a-b`, or `A` and `a` where a file system takes them for the same, don't share a folder.
    """
    special = name.endswith(".") or _OURS.fullmatch(name) or _DEVICES.fullmatch(name)
    if _SAFE.fullmatch(name) and not special:
        return name
    kept = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:64] or "unnamed"
    return f"{kept}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:10]}"


class Workspace:
    """The folders of one user. They are created when first asked for; until then nothing is touched.

    Every method raises OSError where the disk refuses (full, read-only, no permission).
    """

    def __init__(self, home: Path | str | None = None):
        self.home = Path(home or os.environ.get("UNEDIT_HOME") or "~/.unedit").expanduser()
        self.home = Path(os.path.abspath(self.home))

    def __repr__(self) -> str:
        return f"Workspace({str(self.home)!r})"

    @property
    def models_dir(self) -> Path:
        """Converted models, a folder each."""
        return self._folder("models")

    @property
    def edits_dir(self) -> Path:
        """Saved edits, a folder each."""
        return self._folder("edits")

    @property
    def statistics_dir(self) -> Path:
        """Second moments, by model."""
        return self._folder("statistics")

    @property
    def runs_dir(self) -> Path:
        """Scores and what else a run leaves to be looked at."""
        return self._folder("runs")

    @property
    def presets_dir(self) -> Path:
        """Presets of presentations, a YAML file each."""
        return self._folder("presets")

    @property
    def recordings_dir(self) -> Path:
        """Recorded conversations, a JSON file each."""
        return self._folder("recordings")

    @property
    def exports_dir(self) -> Path:
        """Adapters and checkpoints made of edits, a folder each."""
        return self._folder("exports")

    def unused(self, folder: Path | str) -> Path:
        """`folder`, or where something has that name already one beside it (`name-2`)."""
        folder = Path(folder)
        place, number = folder, 2
        while os.path.lexists(place):
            place, number = folder.with_name(f"{folder.name}-{number}"), number + 1
        return place

    @property
    def trash_dir(self) -> Path:
        """What was discarded, restorable."""
        return self._folder("trash")

    @property
    def ratings_path(self) -> Path:
        """The SQLite file of the lab's ratings. Its folder exists, the file perhaps not."""
        return self._folder() / "ratings.sqlite"

    @property
    def studies_dir(self) -> Path:
        """Studies with human raters, an SQLite file each."""
        return self._folder("studies")

    def model_dir(self, name: str) -> Path:
        """The place of the model called `name` (a hub name, any text). Inside `models_dir`; not created."""
        return self.models_dir / safe_name(name)

    def write_atomically(self, path: Path | str, content: bytes | str) -> Path:
        """Write a file so that readers see the old content or the new, never a part. Text becomes UTF-8."""
        with self.atomic_file(path) as part:
            part.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        return Path(path)

    @contextmanager
    def atomic_file(self, path: Path | str) -> Iterator[Path]:
        """Yield an unused name next to `path`. The file that the block writes there takes its name (and its place) if
        the block ends well; if it raises, also by a stop, nothing is left of it.

        A link stays, and what it points to is replaced. To a device, a pipe or this process's own output, which have
        no place to be taken, the finished file is written.
        """
        if stream(path):
            with tempfile.TemporaryDirectory(prefix="unedit-") as folder:
                yield Path(folder) / "part"
                with _opened(path) as out, (Path(folder) / "part").open("rb") as file:
                    shutil.copyfileobj(file, out)
            return
        path = Path(os.path.realpath(path))
        part = _part_of(path)
        try:
            yield part
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(part, path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    @contextmanager
    def atomic_folder(self, final: Path | str) -> Iterator[Path]:
        """Yield an empty folder next to `final` that takes its name (and its place) if the block ends well.

        If the block raises, also by a stop, the folder is removed and `final` is as it was.
        """
        final = Path(final)
        part = _part_of(final)
        part.mkdir()
        try:
            yield part
            _move_in(part, final)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise

    @contextmanager
    def lock(self, name: str, waiting: Callable[[], None] | None = None) -> Iterator[None]:
        """Hold the lock `name` against other threads and processes; it is freed even if this process is
        killed.

        While someone else holds it, `waiting()` is called some times a second; what it raises (Stopped) ends
        the wait. On systems without fcntl (Windows) this locks nothing; atomic writes still keep files whole.
        """
        if fcntl is None:
            yield
            return
        with (self._folder("locks") / f"{safe_name(name)}.lock").open("ab") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if waiting is not None:
                        waiting()
                    time.sleep(0.05)
            yield  # closing the file frees the lock

    def discard(self, path: Path | str) -> Path:
        """Move a file or folder to the trash. Returns where it lies there: what `restore` takes.

        Across file systems that is a copy, after which the old place is cleared; where that fails half-way, the copy
        stays in the trash, whole, and the OSError says where.

        Raises FileNotFoundError if there is nothing at `path`, and ValueError for a folder that holds the
        trash.
        """
        path = Path(os.path.abspath(path))
        if not os.path.lexists(path):
            raise FileNotFoundError(f"nothing to discard at {path}")
        if self.trash_dir.resolve().is_relative_to(path.resolve()):
            raise ValueError(f"{path} holds the trash and can't go there")
        # The time first, so that the trash lists in order; a folder each, so that equal names don't meet.
        slot = self.trash_dir / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(4)}"
        slot.mkdir()
        place = slot / "content" / path.name
        try:
            (slot / "origin.json").write_text(json.dumps(str(path)), "utf-8")
            place.parent.mkdir()
            try:
                os.rename(path, place)
                return place
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                _copy(path, place)
        except BaseException:  # it did not get here: leave no empty slot behind
            shutil.rmtree(slot, ignore_errors=True)
            raise
        try:
            _remove(path)
        except OSError as error:
            said = f"{error.strerror}; all of {path.name} lies in the trash, at {place}"
            raise OSError(error.errno, said, error.filename) from error
        return place

    def restore(self, trashed: Path | str) -> Path:
        """Bring back what `discard` returned, and return its place: the old one, or, if something new is
        there, one beside it (`name-2`).

        Raises FileNotFoundError if it is not in the trash (any more).
        """
        trashed = Path(os.path.abspath(trashed))  # resolves "..", which would lead out of the trash
        slot = trashed.parent.parent
        if slot.parent != self.trash_dir or not os.path.lexists(trashed):
            raise FileNotFoundError(f"{trashed} is not in the trash")
        origin = Path(json.loads((slot / "origin.json").read_text("utf-8")))
        origin.parent.mkdir(parents=True, exist_ok=True)
        place = self.unused(origin)
        shutil.move(trashed, place)
        shutil.rmtree(slot, ignore_errors=True)
        return place

    def _folder(self, name: str = "") -> Path:
        folder = self.home / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def _copy(path: Path, place: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.copytree(path, place, symlinks=True)
    else:
        shutil.copy2(path, place, follow_symlinks=False)


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def stream(path: Path | str) -> bool:
    """Whether what is written to `path` flows on and replaces nothing: a device, a pipe, this process's own output."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) or _own_output(path) is not None


def _opened(path: Path | str) -> BinaryIO:
    """A stream, to write to. This process's own output is not opened again, which would cut off a file that it goes
    into."""
    own = _own_output(path)
    return Path(path).open("wb") if own is None else os.fdopen(os.dup(own), "wb")


def _own_output(path: Path | str) -> int | None:
    """The descriptor of stdout or stderr, where `path` is the same file (/dev/stdout)."""
    for descriptor in (1, 2):
        try:
            if os.path.samestat(os.stat(path), os.fstat(descriptor)):
                return descriptor
        except OSError:  # closed
            continue
    return None


def _part_of(final: Path) -> Path:
    """A hidden, unused name next to `final`; unfinished things of processes that died go by the way.

    `final` may lie in any folder of the user's, so that nothing goes but what bears one of our own names.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    for old in final.parent.glob(".*.part"):
        if not _UNFINISHED.fullmatch(old.name):
            continue
        try:
            if time.time() - old.stat().st_mtime > _ABANDONED:
                shutil.rmtree(old) if old.is_dir() else old.unlink()
        except OSError:
            continue  # someone else's, or gone already
    return final.parent / f".{secrets.token_hex(8)}.part"


def _move_in(part: Path, final: Path) -> None:
    """Give `part` the place of `final`; an older `final` is taken away after, and put back if that fails."""
    try:
        os.replace(part, final)  # nothing there, or an empty folder
        return
    except OSError:
        if not os.path.lexists(final):
            raise
    old = _part_of(final)
    os.replace(final, old)
    try:
        os.replace(part, final)
    except BaseException:
        os.replace(old, final)
        raise
    shutil.rmtree(old, ignore_errors=True) if old.is_dir() else old.unlink(missing_ok=True)
