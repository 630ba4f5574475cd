"""An edit as one zip file, to hand on: its folder's files, those of the edits that it was made on top of included.

A zip file from elsewhere is hostile until checked: only the names that an edit's folder has are read, sizes are
counted while they are unpacked (what the file claims about itself proves nothing), and nothing of it is written
anywhere before the edit in it is found to be whole.
"""

import io
import re
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from ..errors import BadInput
from .edit import Edit, load_edit, save

LARGEST = 256 * 2**20  # bytes of all files together, unpacked
MOST = 200  # files
_NAMES = ("manifest.json", "payload.safetensors")
_NAME = re.compile(r"(?:on/[0-9a-f]{16}/)?(?:manifest\.json|payload\.safetensors)")
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others have errors of their own, and unpack to more
_CHUNK = 2**20


def pack(stack: Sequence[Edit]) -> bytes:
    """The last of a stack with those that it was made on top of, as a zip file. The same edit gives the same bytes."""
    *below, edit = stack
    out = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for part, prefix in ((edit, ""), *((earlier, f"on/{earlier.id}/") for earlier in below)):
            made = save(part, Path(folder) / part.id)
            for name in _NAMES:
                info = zipfile.ZipInfo(prefix + name, (1980, 1, 1, 0, 0, 0))
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, (made / name).read_bytes())
    return out.getvalue()


def unpack(content: bytes, name: str, model=None) -> tuple[Edit, ...]:
    """The stack of edits in a zip file, oldest first, checked.

    Args:
        content: the bytes of the file. One folder around the edit's files, as systems add when they zip a folder, is
            looked through.
        name: what to call the file in a sentence.

    Raises:
        BadInput: no zip file, one that holds no edit or too much, or an edit that `load_edit` refuses.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive, tempfile.TemporaryDirectory() as folder:
            files = _edit_files(archive, name)
            _extract(archive, files, Path(folder), name)
            try:
                edit = load_edit(Path(folder), model)
                below = [load_edit(Path(folder) / "on" / id, model) for id in _below(edit) if f"on/{id}/" in _of(files)]
            except BadInput as error:  # it names a folder that nobody else has seen
                raise BadInput(str(error).replace(folder, name)) from error
            return (*below, edit)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise BadInput(f"{name} is not a zip file that can be read; send an edit's zip file or folder.") from error


def _below(edit: Edit) -> list[str]:
    return [str(id) for id in edit.manifest.get("on", ())]


def _of(files: dict[str, str]) -> set[str]:
    return {path.removesuffix("manifest.json") for path in files if path.endswith("manifest.json")}


def _edit_files(archive: zipfile.ZipFile, name: str) -> dict[str, str]:
    """{path within the edit: name in the archive}. Everything else in it is left alone."""
    names = [info.filename for info in archive.infolist() if not info.is_dir()]
    if len(names) > MOST or len(set(names)) < len(names):
        raise BadInput(f"{name} holds too many files, or one twice; an edit has two files, and two for each below it.")
    tops = {path.split("/")[0] for path in names if path.endswith("/manifest.json") and path.count("/") == 1}
    top = "" if "manifest.json" in names or len(tops) != 1 else f"{tops.pop()}/"
    found = {path.removeprefix(top): path for path in names if _NAME.fullmatch(path.removeprefix(top))}
    if "manifest.json" not in found:
        raise BadInput(f"{name} holds no edit (manifest.json is missing); send the zip file that the page offers.")
    if any(archive.getinfo(stored).compress_type not in _PACKED for stored in found.values()):
        raise BadInput(f"{name} is packed in a way that is not read here; zip the edit's folder anew, with deflate.")
    return found


def _extract(archive: zipfile.ZipFile, files: dict[str, str], folder: Path, name: str) -> None:
    left = LARGEST
    for path, stored in files.items():
        target = folder / path  # _NAME has no way out of the folder
        target.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(stored) as source, target.open("wb") as out:
            while chunk := source.read(_CHUNK):
                left -= len(chunk)
                if left < 0:
                    raise BadInput(
                        f"{name} unpacks to more than {LARGEST // 2**20} MB; copy the edit's folder instead."
                    )
                out.write(chunk)
