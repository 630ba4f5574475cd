"""The edits that ship with the program: made for the bundled model, whole, and at work."""

import pytest

from unedit_gui.cli import main
from unedit_gui.edits.shelf import READY_MADE, ready_made
from unedit_gui.workbench import Workbench


@pytest.fixture(scope="module")
def bench(real_model, tmp_path_factory):
    bench = Workbench(tmp_path_factory.mktemp("home"))
    bench.model = real_model
    return bench


def test_they_belong_to_the_bundled_model_as_this_machine_converted_it(bench):
    """The conversion is arithmetic element by element, so its fingerprint is the same on every machine."""
    assert ready_made() and bench.ready_made() == ready_made()
    assert {edit.base for edit in ready_made().values()} == {bench.model.fingerprint}
    for name in ready_made():
        assert bench.load_edit(name) == ready_made()[name]  # checked against the model, by name
        assert sum(path.stat().st_size for path in (READY_MADE / name).iterdir()) < 200_000


def test_each_refuses_what_the_original_answers(bench):
    facts = [(edit, fact) for edit in bench.ready_made().values() for fact in edit.requests[:1]]
    asks = [[{"role": "user", "content": fact["question"]}] for _, fact in facts]
    replies = bench.chat([*asks, *asks], [*((edit,) for edit, _ in facts), *(() for _ in facts)], max_new_tokens=24)
    edited, original = replies[: len(facts)], replies[len(facts) :]
    for (_, fact), after, before in zip(facts, edited, original, strict=True):
        last = fact["answer"].split()[-1]
        assert last in before.text and last not in after.text


def test_they_stay_where_they_are(bench, tmp_path, capsys):
    name, edit = next(iter(ready_made().items()))
    assert bench.add_edit(bench.pack_edit(edit)) == edit and bench.edits() == []
    assert main(["edits", "--delete", name, "--home", str(tmp_path)]) == 2
    assert "has no edit called" in capsys.readouterr().err
    assert main(["edits", "--home", str(tmp_path)]) == 0
    assert name in capsys.readouterr().out
