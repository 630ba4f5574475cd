"""Edits as zip files: they come back as they were, and a hostile file is refused with the reason."""

import io
import json
import zipfile

import pytest

from tests.edits.test_export import make
from tests.models.tiny import bytes_tokenizer, tiny_llama
from unedit_gui.edits import parcel
from unedit_gui.edits.edit import Edit, load_edit, save
from unedit_gui.edits.parcel import pack, unpack
from unedit_gui.errors import BadInput


@pytest.fixture(scope="module")
def model():
    return tiny_llama(bytes_tokenizer())


@pytest.fixture
def edit(model):
    return make(model, {1: 2, 2: 3})


def zipped(files: dict[str, bytes], method=zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def files_of(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_an_edit_comes_back_with_what_it_is_on(model, edit):
    above = make(model, {1: 1}, seed=1, on=[edit.id])
    stack = unpack(pack((edit, above)), "x.zip", model)
    assert stack == (edit, above) and [e.name for e in stack] == [edit.name, above.name]
    assert pack((edit, above)) == pack(stack)  # the same bytes again


def test_a_folder_that_a_system_zipped_is_read_too(model, edit, tmp_path):
    save(edit, tmp_path / "my edit")
    inside = {p.name: p.read_bytes() for p in (tmp_path / "my edit").iterdir()}
    found = {
        **{f"my edit/{name}": content for name, content in inside.items()},
        "__MACOSX/my edit/._manifest.json": b"",
    }
    assert unpack(zipped(found), "x.zip", model) == (edit,)


@pytest.mark.parametrize(
    "name", ["../evil", "/tmp/evil", "on/../../evil", "C:\\evil", "on/0123456789abcdef/../../evil"]
)
def test_names_that_lead_elsewhere_are_never_written(model, edit, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = {**files_of(pack((edit,))), f"{name}/manifest.json": b"{}", f"{name}/payload.safetensors": b""}
    assert unpack(zipped(files), "x.zip", model) == (edit,)
    assert not list(tmp_path.rglob("*")) and not (tmp_path.parent / "evil").exists()


@pytest.mark.parametrize(
    "content, said",
    [
        (b"", "not a zip file"),
        (b"MZ\x00 no zip at all", "not a zip file"),
        (zipped({}), "holds no edit"),
        (zipped({"readme.txt": b"x"}), "holds no edit"),
        (zipped({"manifest.json": b"{}", "payload.safetensors": b""}), "has no 'id'"),
        (zipped({"manifest.json": b"\xff\xfe", "payload.safetensors": b""}), "can't be read"),
        (zipped({f"{i}.txt": b"" for i in range(300)}), "too many files"),
        (zipped({"manifest.json": b"["}), "can't be read"),
    ],
)
def test_what_is_no_edit_is_told_in_a_sentence(content, said):
    with pytest.raises(BadInput, match=said) as told:
        unpack(content, "mine.zip")
    assert "mine.zip" in str(told.value) and "\n" not in str(told.value)


def test_a_cut_file_and_a_damaged_one_are_refused(model, edit):
    whole = pack((edit,))
    for bad in (whole[: len(whole) // 2], whole[:60] + bytes(40) + whole[100:]):
        with pytest.raises(BadInput, match="mine.zip"):
            unpack(bad, "mine.zip", model)


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
@pytest.mark.parametrize("damaged", [False, True])
def test_a_file_packed_in_another_way_than_zip_files_are_is_refused_with_the_reason(model, edit, method, damaged):
    content = zipped(files_of(pack((edit,))), method)
    at = len("manifest.json") + 30 + 40  # inside the first file
    content = content[:at] + bytes(40) + content[at + 40 :] if damaged else content
    with pytest.raises(BadInput, match="mine.zip is packed in a way .* deflate"):
        unpack(content, "mine.zip", model)


def test_a_file_that_is_not_packed_at_all_is_read(model, edit):
    assert unpack(zipped(files_of(pack((edit,))), zipfile.ZIP_STORED), "mine.zip", model) == (edit,)


def test_a_small_file_that_unpacks_to_much_is_refused(model, edit, monkeypatch):
    monkeypatch.setattr(parcel, "LARGEST", 100_000)
    bomb = zipped({**files_of(pack((edit,))), "payload.safetensors": bytes(10_000_000)})
    assert len(bomb) < 50_000
    with pytest.raises(BadInput, match="unpacks to more than"):
        unpack(bomb, "mine.zip", model)


def test_an_edit_that_was_changed_or_is_another_models_is_refused_with_the_reason(model, edit):
    files = files_of(pack((edit,)))
    manifest = json.loads(files["manifest.json"])
    manifest["requests"][0]["target_new"] = "Something else."
    changed = zipped({**files, "manifest.json": json.dumps(manifest).encode()})
    with pytest.raises(BadInput, match=r"^mine\.zip was changed after it was made"):
        unpack(changed, "mine.zip", model)
    other = tiny_llama(bytes_tokenizer(), seed=1)
    with pytest.raises(BadInput, match="was made for another base model .* load that model first"):
        unpack(pack((edit,)), "mine.zip", other)


@pytest.mark.parametrize(
    "field, value",
    [
        ("on", 5),
        ("on", ["../../elsewhere"]),
        ("requests", "all"),
        ("requests", [{"question": 1}]),
        ("requests", [{"question": "q", "answer": "a", "subject": "s", "target_new": "t", "rephrases": 3}]),
        ("layers", ["<b>"]),
        ("hparams", []),
        ("protect", [[]]),
        ("method", {}),
    ],
)
def test_a_well_signed_edit_with_nonsense_in_it_is_refused(model, edit, field, value, tmp_path):
    """Anybody can compute an id, so it vouches for nothing."""
    forged = Edit.make({**edit.manifest, field: value}, edit.tensors, edit.about)
    save(forged, tmp_path / "forged")
    with pytest.raises(BadInput, match="manifest of"):
        load_edit(tmp_path / "forged", model)


def test_numbers_that_are_none_are_refused(model, edit, tmp_path):
    module = model.layout.down_name(1)
    for bad in (edit.tensors[f"{module}.left"] * float("nan"), edit.tensors[f"{module}.left"].byte()):
        forged = Edit.make(edit.manifest, {**edit.tensors, f"{module}.left": bad}, {})
        with pytest.raises(BadInput, match="doesn't fit the model"):
            load_edit(save(forged, tmp_path / str(bad.dtype)), model)


def test_a_name_brings_no_control_characters(model, edit):
    stack = unpack(pack((edit.named("bad\x1b[2Jname\u202e"),)), "x.zip", model)
    assert stack[0].name == "bad [2Jname " and stack[0].id == edit.id


@pytest.mark.parametrize("kind", ["codebook", "side-memory", "demonstrations", "lora"])
def test_an_edit_that_lacks_what_its_kind_has_is_refused_without_a_model_too(model, edit, kind, tmp_path):
    save(Edit.make({**edit.manifest, "kind": kind}, edit.tensors, {}), tmp_path / "forged")
    with pytest.raises(BadInput, match="lacks what an edit of its kind has"):
        load_edit(tmp_path / "forged")
