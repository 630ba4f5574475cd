"""The edits that a workspace keeps, and the folders that the command line writes.

An edit made on top of others works only with them, so its folder holds a copy of each in `on/<id>`: it can be
moved or handed on by itself. An edit is named by its folder, its zip file, the name or id that the workspace knows it
by, or the name of one that ships with the program (`ready_made`).
"""

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BadInput
from . import parcel
from .edit import BELOW, Edit, checked_name, load_edit, rename, save

if TYPE_CHECKING:
    from ..models.loading import LoadedModel
    from ..workspace import Workspace

READY_MADE = Path(__file__).resolve().parents[2] / "data" / "edits"


def ready_made() -> dict[str, Edit]:
    """The edits of the bundled model that ship with the program, by the name that commands take."""
    folders = sorted(READY_MADE.iterdir()) if READY_MADE.is_dir() else ()
    return {folder.name: load_edit(folder) for folder in folders if folder.is_dir()}


class Shelf:
    """Saves, finds, renames and deletes edits. Reads the disk every time: several processes may share it."""

    def __init__(self, workspace: "Workspace") -> None:
        self._workspace = workspace

    def save(self, edit: Edit, folder: Path | None = None, on: tuple[Edit, ...] = ()) -> Path:
        """Write an edit to `folder` (new or empty) or onto the shelf, with copies of the edits that it is
        `on`.

        One that is on the shelf already stays there, and gets what it lacks of those copies. Returns the folder;
        BadInput if that is not empty.
        """
        found = self.folder_of(edit) if folder is None else None
        if found is not None:
            for earlier in on:
                if not (found / BELOW / earlier.id).is_dir():
                    save(earlier, found / BELOW / earlier.id)
            return found
        folder = folder or self._workspace.edits_dir / edit.id
        save(edit, folder, on)
        return folder

    def all(self) -> list[tuple[Edit, Path]]:
        """The sound edits of the workspace with their folders, newest first; damaged ones are left out."""
        found = []
        root = self._workspace.edits_dir
        for folder in root.iterdir() if root.is_dir() else ():
            if folder.is_dir() and not folder.name.startswith("."):
                try:
                    found.append((load_edit(folder), folder))
                except BadInput:  # told about when it is opened by its name
                    continue
        return sorted(found, key=lambda pair: (pair[0].created, pair[0].id), reverse=True)

    def folder_of(self, edit: Edit) -> Path | None:
        """Where an edit is saved, if it is."""
        return next((folder for saved, folder in self.all() if saved.id == edit.id), None)

    def stack(self, path: Path, model: "LoadedModel | None" = None) -> tuple[Edit, ...]:
        """A saved edit with those that it was made on top of, oldest first. `path`: see the module's text.

        Raises BadInput if one of them is damaged, belongs to another model, or can't be found.
        """
        if path.is_file() and path.name != "manifest.json":
            return self._opened(path, model)
        path = path if path.is_dir() else self._known(str(path)) or path
        edit = load_edit(path, model)
        return (*self.below(edit, model, path), edit)

    def below(self, edit: Edit, model: "LoadedModel | None" = None, path: Path | None = None) -> tuple[Edit, ...]:
        """The edits that `edit` was made on top of, oldest first: from its own folder, or else the
        workspace's."""
        path = path or self.folder_of(edit)
        found = []
        for id in edit.manifest.get("on", ()):
            places = [path / BELOW / id] if path is not None else []
            places += [self._workspace.edits_dir / id]
            place = next((place for place in places if place.is_dir()), None)
            if place is None:
                raise BadInput(f"{edit.name} was made on top of the edit {id}, which can't be found; make it again.")
            earlier = load_edit(place, model)
            if earlier.id != id:
                raise BadInput(
                    f"{edit.name} was made on top of the edit {id}, and {place} holds another one ({earlier.id}); "
                    "copy the edit again, or make it again."
                )
            found.append(earlier)
        return tuple(found)

    def add(self, stack: tuple[Edit, ...]) -> Edit:
        """Put an edit from elsewhere, and those that it was made on top of, onto the shelf."""
        there = set(ready_made().values())
        for place, edit in enumerate(stack):
            if edit not in there:
                self.save(edit, None, tuple(e for e in stack[:place] if e.id in edit.manifest.get("on", ())))
        return stack[-1]

    def opened(self, content: bytes, name: str, model: "LoadedModel | None" = None) -> tuple[Edit, ...]:
        """The stack in the bytes of a zip file; what it lacks of what the edit is on comes from the workspace."""
        *below, edit = parcel.unpack(content, name, model)
        if [earlier.id for earlier in below] != edit.manifest.get("on", []):
            below = self.below(edit, model)
        return (*below, edit)

    def _opened(self, path: Path, model: "LoadedModel | None") -> tuple[Edit, ...]:
        if path.stat().st_size > parcel.LARGEST:
            raise BadInput(f"{path} is larger than {parcel.LARGEST // 2**20} MB; an edit's zip file is smaller.")
        return self.opened(path.read_bytes(), str(path), model)

    def _known(self, name: str) -> Path | None:
        """The folder of a ready-made edit, or of the workspace's newest by this name or id."""
        if name in ready_made():
            return READY_MADE / name
        return next((folder for edit, folder in self.all() if name in (edit.id, edit.name)), None)

    def rename(self, edit: Edit, name: str) -> Edit:
        """The same edit under another name, on disk too if it is saved."""
        name = checked_name(name)
        folder = self.folder_of(edit)
        if folder is not None:
            rename(folder, name)
        return edit.named(name)

    def discard(self, edit: Edit) -> str:
        """Move a saved edit to the trash. Returns what `restore` takes."""
        folder = self.folder_of(edit)
        if folder is None:
            raise BadInput(f"{edit.name} is not saved, so there is nothing to delete.")
        return str(self._workspace.discard(folder))

    def restore(self, token: str) -> Edit:
        """Put a discarded edit back and return it."""
        return load_edit(self._workspace.restore(Path(token)))
