"""The workbench's part on presentations: presets and recordings, files of the workspace that go by their names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BadInput
from .shared import Shared

if TYPE_CHECKING:
    from ..presenting.presets import Preset
    from ..presenting.recordings import Recording


class Presenting(Shared):
    """Presets and recordings."""

    def presets(self) -> dict[str, Preset]:
        """The sound presets by name: the workspace's, then those that ship with the program."""
        from ..presenting.presets import SHIPPED, checked_name, read

        found: dict[str, Preset] = {}
        for folder in (self.workspace.presets_dir, SHIPPED):
            for path in sorted(folder.glob("*.yaml")):
                try:
                    if path.is_file() and path.stem not in found:
                        found[checked_name(path.stem)] = read(path.read_bytes(), path.name)
                except (BadInput, OSError):  # told about when it is opened by its name
                    continue
        return found

    def preset(self, name: str) -> Preset:
        """The preset of this name. BadInput if there is none, or its file can't be used."""
        from ..presenting.presets import SHIPPED, checked_name, read

        checked_name(name)
        for folder in (self.workspace.presets_dir, SHIPPED):
            path = folder / f"{name}.yaml"
            if path.is_file():
                return read(path.read_bytes(), path.name)
        known = ", ".join(self.presets()) or "none"
        raise BadInput(f"There is no preset called {name!r}; there are: {known}.")

    def save_preset(self, preset: Preset, name: str) -> Path:
        """Write a preset to the workspace. BadInput for a name that is taken, also by one of the program's."""
        from ..presenting.presets import SHIPPED, checked_name, read

        read(preset.to_yaml())  # what can't be read again is not written
        path = self.workspace.presets_dir / f"{checked_name(name)}.yaml"
        if path.exists() or (SHIPPED / path.name).exists():
            raise BadInput(f"There is a preset called {name!r} already; choose another name.")
        return self.workspace.write_atomically(path, preset.to_yaml())

    def delete_preset(self, name: str) -> str:
        """Move a preset of the workspace to the trash. Returns where it lies there."""
        from ..presenting.presets import checked_name

        path = self.workspace.presets_dir / f"{checked_name(name)}.yaml"
        if not path.is_file():
            raise BadInput(f"The workspace has no preset called {name!r}; those of the program stay.")
        return str(self.workspace.discard(path))

    def recordings(self) -> dict[str, Recording]:
        """The workspace's sound recordings by name."""
        found = {}
        for path in sorted(self.workspace.recordings_dir.glob("*.json")):
            try:
                found[path.stem] = self.recording(path.stem)
            except (BadInput, OSError):  # told about when it is opened by its name
                continue
        return found

    def recording(self, name: str) -> Recording:
        """The recording of this name. BadInput if there is none, or its file can't be used."""
        from ..presenting.presets import checked_name
        from ..presenting.recordings import LARGEST, read

        path = self.workspace.recordings_dir / f"{checked_name(name, 'recording')}.json"
        if not path.is_file():
            raise BadInput(f"There is no recording called {name!r}; `recordings` lists them.")
        if path.stat().st_size > LARGEST:
            raise BadInput(f"{path.name} is too large for a recording.")
        return read(path.read_bytes(), path.name)

    def new_recording(self, name: str) -> Path:
        """Where a recording of this name will lie. BadInput for a name that is none, or is taken: ask before work."""
        from ..presenting.presets import checked_name

        path = self.workspace.recordings_dir / f"{checked_name(name, 'recording')}.json"
        if path.exists():
            raise BadInput(f"There is a recording called {name!r} already; choose another name.")
        return path

    def save_recording(self, recording: Recording, name: str) -> Path:
        """Write a recording to the workspace. BadInput for a name that is taken."""
        from ..presenting.recordings import read

        path, text = self.new_recording(name), recording.to_json()
        read(text)  # what can't be read again is not written
        return self.workspace.write_atomically(path, text)
