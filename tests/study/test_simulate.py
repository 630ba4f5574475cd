"""Artificial raters against the real server, which is killed amid them."""

import pytest

from tests.study.conftest import CONDITIONS, protocol, replies
from unedit_gui.errors import BadInput
from unedit_gui.study.folder import Studies
from unedit_gui.study.simulate import Effect, run
from unedit_gui.workspace import Workspace


@pytest.fixture
def served(tmp_path):
    """(home, an open study in it)."""
    study = Studies(Workspace(tmp_path)).create("trial", protocol())
    study.add_replies(replies(study.protocol), "test")
    study.open()
    yield tmp_path, study
    study.disconnect()


def test_a_server_that_is_killed_loses_nothing_and_doubles_nothing(served):
    home, study = served
    effects = {CONDITIONS[0]: Effect(1.0, 5.0, 5.0), CONDITIONS[1]: Effect(0.0, 1.0, 1.0)}
    found = run(study, home, raters=6, kills=2, effects=effects)
    assert found["kills"] == 2 and found["retries"] > 0
    assert found["sent"] == found["stored"] == 6 * 5
    assert found["lost"] == found["twice"] == found["different"] == 0
    rows = [row for row in study.judgements() if row["condition"]]
    assert {(row["condition"], row["forgotten"]) for row in rows} == {(CONDITIONS[0], 1), (CONDITIONS[1], 0)}
    assert all(row["entailment"] >= 3 for row in rows if row["forgotten"])
    assert study.status()["finished"] == 6 and {r["raters"] for r in study.status()["lists"]} == {3}
    assert all(row["check_passed"] for row in study.judgements() if row["attention_check"])


@pytest.mark.parametrize("text", ["", "1", "2,3,3", "0.5,0,3", "a,b,c", "0.5,3,3,3"])
def test_an_effect_that_can_not_be_is_refused(text):
    with pytest.raises(BadInput, match="such as"):
        Effect.read(text)
