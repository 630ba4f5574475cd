"""A sweep whose process is killed goes on where it was."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.commands import FORGET, RETAIN
from unedit_gui.workbench import Workbench

ROOT = Path(__file__).resolve().parents[2]
CONFIG = """
methods: [memit, grace]
targets: [vanilla, dummy]
facts: 2
questions: forget.csv
known: no
retain: retain.csv
retain_facts: 2
hparams: {memit: {steps: 2, contexts: 1}, grace: {steps: 2}}
"""


def kept(home: Path) -> set[str]:
    return {place.parent.name for place in home.glob("runs/*/run.json") if not place.parent.name.startswith(".")}


def killed(folder: Path, home: Path, count: int) -> None:
    """Start the sweep as a user does, and kill it in the middle of the run after the `count`th."""
    command = [sys.executable, "-m", "unedit_gui", "sweep", "--config", str(folder / "sweep.yaml")]
    command += ["--model", str(folder / "model"), "--home", str(home), "--threads", "1"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    until = time.monotonic() + 300
    while len(kept(home)) < count and process.poll() is None and time.monotonic() < until:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors.decode()


def test_a_sweep_that_is_killed_twice_ends_with_the_same_runs(tmp_path, tiny_model):
    tiny_model.hf.save_pretrained(tmp_path / "model")
    tiny_model.tokenizer.save_pretrained(tmp_path / "model")
    (tmp_path / "forget.csv").write_text(FORGET)
    (tmp_path / "retain.csv").write_text(RETAIN)
    (tmp_path / "sweep.yaml").write_text(CONFIG)
    home = tmp_path / "home"
    killed(tmp_path, home, 1)
    first = kept(home)
    assert 1 <= len(first) < 4
    killed(tmp_path, home, len(first) + 1)
    second = kept(home)
    assert first < second and len(second) < 4
    bench = Workbench(home)
    (unfinished,) = bench.unfinished_sweeps().values()
    assert unfinished.name == "sweep" and unfinished.count == 4
    bench.load(tmp_path / "model")
    outcomes = bench.sweep(unfinished)
    assert bench.unfinished_sweeps() == {}
    assert {outcome.settings.id for outcome in outcomes if outcome.state == "kept"} == second
    assert {outcome.state for outcome in outcomes} == {"kept", "made"} and len(outcomes) == 4
