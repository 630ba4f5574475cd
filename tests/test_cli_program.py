"""The command line as a program of its own: what it loads, its output's ends, a terminal, Ctrl+C."""

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def program(*arguments, more=None, **options):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **(more or {})}
    command = [sys.executable, "-m", "unedit_gui", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, **options)


def test_a_hub_that_cant_be_reached_is_asked_once(tmp_path):
    """Its client asked for a minute, and wrote a line each time."""
    calls = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def hang_up():
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                calls.append(connection)
                connection.close()

        threading.Thread(target=hang_up, daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
        away = {"HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "hub")}
        (tmp_path / "q.txt").write_text("Who painted Guernica? | Picasso\n")
        asked = ("--questions", str(tmp_path / "q.txt"), "--home", str(tmp_path))
        done = program("ask", "--model", "nobody/there", *asked, more=away)
    assert done.returncode == 1 and "the hub can't be reached" in done.stderr
    assert len(calls) == 1 and "Retry" not in done.stderr


def test_help_and_errors_load_no_torch(tmp_path):
    code = (
        "import sys; from unedit_gui.cli import main; main(['--help']); main(['edit', '--help']);"
        f"main(['ask', '--questions', {str(tmp_path / 'x.csv')!r}]); print({{'torch', 'gradio'}} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.endswith("set()\n")
    for name in ("models", "ask", "targets", "edit", "evaluate", "chat"):
        assert f"\n    {name}" in done.stdout


def test_a_real_run_keeps_stdout_for_the_result_and_stderr_clean(folder):
    where = ("--model", str(folder / "model"), "--home", str(folder / "home"))
    done = program("ask", "--questions", str(folder / "forget.csv"), *where, "--json", "--threads", "1")
    assert done.returncode == 0
    assert done.stderr == ""  # no progress where there is no terminal, no library's warnings
    assert json.loads(done.stdout)["n"] == 2


def test_out_may_be_this_process_s_own_output_even_one_that_is_appended_to(tmp_path):
    own, log = tmp_path / "stdout", tmp_path / "log.txt"
    own.symlink_to("/proc/self/fd/1")  # what /dev/stdout is; never try this with the real one
    log.write_text("Earlier.\n")
    command = [sys.executable, "-m", "unedit_gui", "contracts", "--home", str(tmp_path / "home"), "--out", str(own)]
    piped = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    with log.open("a") as file:
        subprocess.run(command, cwd=ROOT, stdout=file)
    assert piped.returncode == 0 and own.is_symlink()
    assert piped.stdout.startswith("question,answer") and "contracts that share a party" in piped.stdout
    assert log.read_text() == "Earlier.\n" + piped.stdout


def test_ctrl_c_while_the_program_is_still_imported_is_one_line(tmp_path):
    (tmp_path / "argparse.py").write_text("raise KeyboardInterrupt")  # what Ctrl+C raises amid an import
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "unedit_gui", "models"]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", "Stopped.\n")


def test_a_reader_that_has_enough_is_no_error(folder):
    where = f"--model {folder / 'model'} --home {folder / 'home'}"
    shell = f"{sys.executable} -m unedit_gui models {where} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", shell], cwd=ROOT, capture_output=True, text=True)
    assert "Traceback" not in done.stderr


def test_progress_is_one_line_on_a_terminal(folder):
    """Under a pseudo-terminal stderr is written over; stdout is the document alone."""
    pty = pytest.importorskip("pty")
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "unedit_gui", "ask", "--questions", str(folder / "forget.csv"), "--json"]
    command += ["--model", str(folder / "model"), "--home", str(folder / "home")]
    done = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=slave, text=True)
    os.close(slave)
    out, _ = done.communicate(timeout=120)
    seen = os.read(master, 100_000).decode()
    os.close(master)
    assert json.loads(out)["n"] == 2
    assert "Asking the model" in seen and "\n" not in seen and seen.endswith("\r\x1b[K")
