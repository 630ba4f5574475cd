"""YAML is read as plain values, and what would stand for more of them than memory holds is refused at once."""

import time

import pytest
import yaml

from unedit_gui.editors.easyedit_files import translate
from unedit_gui.errors import BadInput
from unedit_gui.plain_yaml import load
from unedit_gui.presenting import presets
from unedit_gui.runs.config import read_config
from unedit_gui.study import protocol

BOMB = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
)


@pytest.mark.parametrize("text", ["a: [1, 2.5, yes]\nb: {c: null, d: '*e', f: '&g'}", "- x", "7", "", '{"a": "*b"}'])
def test_plain_values_are_what_the_safe_loader_says(text):
    assert load(text, "it.yaml") == yaml.safe_load(text)


@pytest.mark.parametrize("text", [BOMB, "a: &a 1\nb: *a", "a: &a {b: 1}\nc: {<<: *a}"])
def test_aliases_are_refused_by_name(text):
    with pytest.raises(BadInput, match=r"it\.yaml uses YAML aliases"):
        load(text, "it.yaml")


def test_an_anchor_that_nothing_names_is_none():
    assert load("a: &a 1", "it.yaml") == {"a": 1}


def test_what_is_no_yaml_stays_the_reader_s_to_tell():
    wrong = {"a: [": yaml.YAMLError, "[" * 3000 + "]" * 3000: RecursionError, "!!python/name:os.system": yaml.YAMLError}
    for text, error in wrong.items():
        with pytest.raises(error):
            load(text, "it.yaml")


def easyedit(path):
    translate(path.read_bytes(), path.name, None)


READERS = {
    "EasyEdit's": easyedit,
    "a preset's": lambda path: presets.read(path.read_bytes(), path.name),
    "a sweep's": lambda path: read_config(path, ["rome"]),
    "a study's": protocol.load,
}


@pytest.mark.parametrize("whose", READERS)
def test_a_few_hundred_bytes_that_stand_for_a_billion_values_are_refused_at_once(tmp_path, whose):
    path = tmp_path / "bomb.yaml"
    path.write_text(f"alg_name: IKE\n{BOMB}\ninner_params: *a9\n")
    assert path.stat().st_size < 700
    began = time.monotonic()
    with pytest.raises(BadInput, match=r"bomb\.yaml uses YAML aliases"):
        READERS[whose](path)
    assert time.monotonic() - began < 5
