"""The shelf keeps an edit with those that it was made on top of, whole or not at all."""

import shutil
from pathlib import Path

import pytest

from tests.edits.test_export import files_of, make
from tests.models.tiny import bytes_tokenizer, tiny_llama
from unedit_gui.edits.edit import save
from unedit_gui.edits.shelf import Shelf
from unedit_gui.errors import BadInput
from unedit_gui.workspace import Workspace


@pytest.fixture(scope="module")
def model():
    return tiny_llama(bytes_tokenizer())


@pytest.fixture
def lower(model):
    return make(model, {1: 2}, name="Lower")


@pytest.fixture
def upper(model, lower):
    return make(model, {1: 1}, seed=1, name="Upper", on=[lower.id])


@pytest.fixture
def shelf(tmp_path):
    return Shelf(Workspace(tmp_path / "home"))


@pytest.fixture
def full(monkeypatch):
    """A disk that is full from the second manifest on, until it is given room."""
    plain, written = Path.write_text, []

    def write(path, *args, **more):
        written.append(path)
        if len(written) > 1:
            raise OSError(28, "No space left on device")
        return plain(path, *args, **more)

    monkeypatch.setattr(Path, "write_text", write)
    return lambda: monkeypatch.setattr(Path, "write_text", plain)


# Saving


@pytest.mark.parametrize("place", ["shelf", "new folder", "empty folder"])
def test_an_edit_is_saved_with_what_it_is_on_or_not_at_all(shelf, lower, upper, full, tmp_path, model, place):
    folder = None if place == "shelf" else tmp_path / "out"
    if place == "empty folder":
        folder.mkdir()
    with pytest.raises(BadInput, match="No space left"):
        shelf.save(upper, folder, (lower,))
    assert shelf.all() == [] and files_of(tmp_path) == {}
    full()
    assert shelf.stack(shelf.save(upper, folder, (lower,)), model) == (lower, upper)


def test_saving_again_brings_what_an_edit_on_the_shelf_lacks(shelf, lower, upper, model):
    found = shelf.save(upper, None, (lower,))
    shutil.rmtree(found / "on")
    assert shelf.save(upper, None, (lower,)) == found
    assert shelf.stack(found, model) == (lower, upper)
    before = files_of(found)
    assert shelf.save(upper, None, (lower,)) == found and files_of(found) == before


# Opening


@pytest.mark.parametrize("place", ["its own folder", "the workspace"])
def test_another_edit_in_the_place_of_a_lower_one_is_refused(shelf, lower, upper, model, tmp_path, place):
    stranger = make(model, {1: 2}, seed=2, name="Stranger")
    folder = save(upper, tmp_path / "out")
    where = folder / "on" if place == "its own folder" else tmp_path / "home" / "edits"
    save(stranger, where / lower.id)
    said = rf"on top of the edit {lower.id}, .* holds another one \({stranger.id}\)"
    with pytest.raises(BadInput, match=said) as told:
        shelf.stack(folder, model)
    assert "\n" not in str(told.value)
