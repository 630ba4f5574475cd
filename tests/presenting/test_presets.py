"""Presets: what is read and refused, and that a name never leads out of the two folders."""

import pytest

from unedit_gui.errors import BadInput
from unedit_gui.presenting.presets import SHIPPED, Preset, read
from unedit_gui.workbench import Workbench

GOOD = Preset(
    "A <b>talk</b>", "bundled", "columns", (("one",), ("one", "two")), (("Who?", "Me"), ("Why?", "")), "de", True
)


@pytest.fixture
def bench(tmp_path):
    return Workbench(tmp_path)


def test_a_preset_comes_back_as_it_was_saved_and_is_not_written_over(bench):
    path = bench.save_preset(GOOD, "my-talk")
    assert path.parent == bench.workspace.presets_dir and bench.preset("my-talk") == GOOD
    assert {"my-talk", "three-facts"} <= set(bench.presets())
    for name in ("my-talk", "three-facts"):
        with pytest.raises(BadInput, match="already"):
            bench.save_preset(GOOD, name)
    bench.delete_preset("my-talk")
    with pytest.raises(BadInput, match="no preset called 'my-talk'; there are: three-facts"):
        bench.preset("my-talk")


@pytest.mark.parametrize(
    "name",
    ["../presets/x", "..", "/etc/passwd", "a/b", "a\\b", "", "A", "x" * 65, "a\0b", "a.yaml", "%2e%2e", "é", "-a"],
)
def test_a_name_is_never_a_path(bench, name):
    (bench.workspace.home / "secret.yaml").write_text("title: secret")
    for use in (bench.preset, bench.delete_preset, lambda n: bench.save_preset(GOOD, n)):
        with pytest.raises(BadInput, match="no preset's name"):
            use(name)
    for use in (bench.recording, bench.new_recording):
        with pytest.raises(BadInput, match="no recording's name"):
            use(name)


def test_what_ships_is_sound_and_names_edits_that_ship(bench):
    ready = set(bench.ready_made())
    for path in SHIPPED.glob("*.yaml"):
        preset = bench.preset(path.stem)
        assert preset.questions and {name for row in preset.columns for name in row} <= ready


@pytest.mark.parametrize(
    "text, word",
    [
        ("", "holds no fields"), ("- a", "holds no fields"), ("a: [", "no YAML"),
        ("!!python/object:os.system {}", "no YAML"),
        ("x: &a [1]\ntitle: *a", "aliases"), ("shell: rm", "unknown field 'shell'"), ("view: six", "one of panes"),
        ("columns: [1]", "columns must be"), ("columns: [a, b, c, d, e, f]", "at most 5"),
        ("columns: [[]]", "columns must be"),
        ("questions: [{q: 1}]", "question 1"), ("questions: ['']", "question 1 is empty"),
        ("projector: 1", "true or false"),
        ("language: fr", "one of en, de"), ("title: [1]", "title must be a text"), ("[" * 3000, "no YAML"),
        (b"\xff\xfe", "no UTF-8"), ("title: " + "a" * 100_001, "too large"),
    ],
)  # fmt: skip
def test_what_is_no_preset_is_told_in_a_sentence(text, word):
    with pytest.raises(BadInput, match=word):
        read(text, "talk.yaml")


def test_a_damaged_file_doesnt_hide_the_others(bench):
    (bench.workspace.presets_dir / "broken.yaml").write_text("view: [")
    assert "broken" not in bench.presets() and "three-facts" in bench.presets()
    with pytest.raises(BadInput, match="broken.yaml"):
        bench.preset("broken")
