"""A sweep's file: what it may say, and one sentence for everything else."""

import json
from pathlib import Path

import pytest

from unedit_gui.errors import BadInput
from unedit_gui.runs.config import Config, from_mapping, read_config

METHODS = ("rome", "memit", "ga")


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "my sweep.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refused(tmp_path, text) -> str:
    with pytest.raises(BadInput) as error:
        read_config(written(tmp_path, text), METHODS)
    message = str(error.value)
    assert "\n" not in message and len(message) < 400
    return message


def test_the_shipped_example_is_twenty_runs():
    from unedit_gui.unlearning import METHODS as ALL_METHODS

    config = read_config(Path(__file__).parents[2] / "data" / "sweep.yaml", list(ALL_METHODS))
    assert set(config.methods) == set(ALL_METHODS) and len(config.targets) == 2 and config.facts == (10,)
    assert config.count == 20


def test_one_line_is_enough_and_single_values_need_no_list(tmp_path):
    assert read_config(written(tmp_path, "methods: rome"), METHODS) == Config(
        ("rome",), name="my sweep", folder=tmp_path
    )
    config = read_config(
        written(tmp_path, "methods: [rome, rome, ga]\nfacts: [5, all]\nmerge: 5\nseeds: [1, 2]"), METHODS
    )
    assert (config.methods, config.facts, config.merge, config.count) == (("rome", "ga"), (5, None), (5,), 8)


@pytest.mark.parametrize(
    "text, named",
    [
        ("methods: [rome, romme]", ["'romme'", "rome, memit, ga"]),
        ("methods: rome\ntarget: vanilla", ["'target'", "targets"]),
        ("methods: rome\ntargets: [polite]", ["'polite'", "self-improved", "vanilla"]),
        ("targets: vanilla", ["methods", "rome"]),
        ("methods: rome\nfacts: some", ["facts", "'some'", "all"]),
        ("methods: rome\nfacts: 0", ["facts"]),
        ("methods: rome\nmerge: 51", ["merge", "50"]),
        ("methods: rome\nmerge: 1.5", ["merge", "1.5"]),
        ("methods: rome\nseeds: yes", ["seeds", "yes"]),
        ("methods: rome\nseeds: [[1]]", ["seeds", "a list"]),
        ("methods: rome\nprobes: often", ["probes", "yes or no"]),
        ("methods: rome\nhparams: 3", ["hparams"]),
        ("methods: rome\nhparams: {wise: {lr: 1}}", ["'wise'"]),
        ("methods: rome\nhparams: {rome: {lr: {a: b}}}", ["'lr'"]),
        ("methods: rome\nquestions: 7", ["questions"]),
        ("methods: rome\nname: [1]", ["name", "a list"]),
        (
            "methods: rome\nseeds: [0, " + ", ".join(map(str, range(300))) + "]\nfacts: " + str([*range(1, 41)]),
            ["12,000", "10,000"],
        ),
        ("methods: rome\nfacts: 1" + "0" * 5000, []),
        ("- rome", ["a list"]),
        ("", ["nothing"]),
        ("methods: [rome", ["line"]),
        ("methods: !!python/object/apply:os.system ['touch owned']", ["YAML"]),
        ("methods: !!python/name:os.system", ["YAML"]),
        (b"\xff\xfe\x00methods", ["UTF-8"]),
        ("[" * 1500, ["YAML"]),
        ("methods: rome # " + "x" * 10_000_000, ["larger than 256 KB"]),
    ],
)
def test_what_can_not_be_run_is_told_in_one_sentence(tmp_path, monkeypatch, text, named):
    monkeypatch.chdir(tmp_path)
    message = refused(tmp_path, text)
    assert all(word in message for word in named), message
    assert not (tmp_path / "owned").exists()


def test_a_list_that_repeats_itself_a_billion_times_is_never_written_out(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    refused(tmp_path, "\n".join(lines))
    refused(tmp_path, "methods: [*a, rome]\nseeds: &a [1]")
    refused(
        tmp_path, "\n".join(["methods: &b0 [x, x, x]", *(f"x{n}: &b{n} [*b{n - 1}, *b{n - 1}]" for n in range(1, 30))])
    )


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"absent\.yaml"):
        read_config(tmp_path / "absent.yaml", METHODS)


def test_plain_values_are_checked_like_a_file():
    with pytest.raises(BadInput, match="named fields"):
        from_mapping(["rome"], METHODS)
    with pytest.raises(BadInput, match="merge"):
        from_mapping({"methods": ["rome"], "merge": "two"}, METHODS)


def test_a_sweep_comes_back_from_its_plain_values(tmp_path):
    questions = [{"question": "Is Peru far?", "answer": "Very", "rephrases": ["Peru, is it far?"]}]
    told = {"methods": ["rome"], "facts": ["all", 2], "questions": questions, "hparams": {"rome": {"layers": [3]}}}
    config = from_mapping(told | {"protect": "general"}, METHODS, tmp_path)
    assert config.questions[0].rephrases == ("Peru, is it far?",)
    assert from_mapping(json.loads(json.dumps(config.document())), METHODS, tmp_path) == config
    for wrong in ([], [{"question": "Why?"}], ["Why?"], [{"question": "Why?", "answer": ""}]):
        with pytest.raises(BadInput, match="questions|answer"):
            from_mapping({"methods": ["rome"], "questions": wrong}, METHODS)
