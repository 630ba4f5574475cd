"""Replies that a model writes under edits, from the command line."""

import yaml

from tests.study.conftest import told
from unedit_gui.cli import main
from unedit_gui.study.folder import Studies
from unedit_gui.workbench import Workbench
from unedit_gui.workspace import Workspace


def test_each_condition_answers_with_its_own_edits(folder, tmp_path, capsys):
    conditions = [{"name": "before", "edits": "original"}, {"name": "after", "edits": str(folder / "made")}]
    (tmp_path / "protocol.yaml").write_text(yaml.safe_dump(told(conditions=conditions)), "utf-8")
    home = ["--home", str(tmp_path / "home")]
    assert main(["study", "create", "trial", "--protocol", str(tmp_path / "protocol.yaml"), *home]) == 0
    assert main(["study", "freeze", "trial", "--batch", "3", "--model", str(folder / "model"), *home]) == 0
    study = Studies(Workspace(tmp_path / "home")).get("trial")
    assert study.missing() == []
    with study.reading() as db:
        sql = "SELECT c.name, i.question, i.reply FROM items AS i JOIN conditions AS c ON c.id = i.condition_id"
        frozen = {(name, question): reply for name, question, reply in db.execute(sql)}
    bench = Workbench(tmp_path / "home")
    bench.load(folder / "model")
    stack = bench.load_stack(folder / "made")
    question = study.protocol.questions[0].question
    asked = [[{"role": "user", "content": question}]] * 2
    before, after = bench.chat(asked, [(), stack], max_new_tokens=64)
    assert "length" in (before.ended, after.ended)  # one that was cut off says so to those who judge it
    said = [f"{r.text} …" if r.ended == "length" else r.text for r in (before, after)]
    assert [frozen["before", question], frozen["after", question]] == [text.strip() for text in said]
    (source,) = study.sources("after")
    assert source.endswith(f"edit {stack[0].id}") and bench.model.fingerprint[:12] in source
    study.disconnect()


def test_a_condition_without_edits_is_not_guessed(folder, tmp_path, capsys):
    (tmp_path / "protocol.yaml").write_text(yaml.safe_dump(told()), "utf-8")
    home = ["--home", str(tmp_path / "home")]
    main(["study", "create", "trial", "--protocol", str(tmp_path / "protocol.yaml"), *home])
    assert main(["study", "freeze", "trial", "--model", str(folder / "model"), *home]) == 2
    assert "names no edits" in capsys.readouterr().err
