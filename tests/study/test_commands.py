"""The command study, from a protocol in a file to its end."""

import csv
import json
import re
import signal
import subprocess
import sys
import urllib.request
from collections import Counter

import pytest
import yaml

from tests.study.conftest import protocol, replies, told
from unedit_gui.cli import main
from unedit_gui.study.folder import EXAMPLE
from unedit_gui.study.protocol import load


@pytest.fixture
def study(tmp_path, capsys):
    """`study(action, ...)` runs a command and gives (status, its JSON, what it complained)."""
    (tmp_path / "protocol.yaml").write_text(yaml.safe_dump(told()), "utf-8")
    with (tmp_path / "replies.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([("question", "condition", "reply"), *replies(protocol())])

    def run(*arguments):
        status = main(["study", *map(str, arguments), "--json", "--home", str(tmp_path / "home")])
        out, err = capsys.readouterr()
        return status, json.loads(out) if out else None, err

    return run


def test_from_the_protocol_to_the_end(study, tmp_path):
    assert study("create", "trial", "--protocol", tmp_path / "protocol.yaml")[1]["state"] == "draft"
    status, _, complaint = study("open", "trial")
    assert status == 2 and "not frozen" in complaint
    assert study("freeze", "trial", "--replies", tmp_path / "replies.csv")[1]["missing"] == 0
    assert study("open", "trial")[1]["state"] == "open"
    status, made, _ = study(
        "invite", "trial", "--count", "3", "--url", "https://here.org", "--out", tmp_path / "codes.csv"
    )
    with (tmp_path / "codes.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows == made["invitations"] and len(rows) == 3
    assert rows[0]["link"] == f"https://here.org/study/j/{rows[0]['code']}"
    found = study("status", "trial")[1]
    assert found["invited"] == 3 and found["balance"]["imbalance"] == 0
    assert "alphaedit" not in json.dumps(found)
    assert study("pause", "trial")[1]["state"] == "paused"
    assert study("open", "trial")[0] == 0
    assert study("close", "trial")[1]["state"] == "closed"
    assert study("list")[1]["studies"][0]["state"] == "closed"
    assert study("open", "trial")[0] == 2


def test_a_draft_is_replaced_and_nothing_else(study, tmp_path):
    create = ("create", "trial", "--protocol", tmp_path / "protocol.yaml")
    study(*create)
    status, _, complaint = study(*create)
    assert status == 2 and "already" in complaint
    assert study(*create, "--replace")[0] == 0
    study("freeze", "trial", "--replies", tmp_path / "replies.csv")
    study("open", "trial")
    status, _, complaint = study(*create, "--replace")
    assert status == 2 and "no draft any more" in complaint


def test_the_example_opens_with_one_command(study):
    found = study("create", "demo", "--example", "--open")[1]
    assert found["state"] == "open" and found["missing"] == 0 and found["balance"]["imbalance"] == 0
    assert [one["difference"] for one in found["power"]] == [0.3, 0.5, 0.8]
    by_method = Counter(condition.method for condition in load(EXAMPLE).conditions)
    assert by_method == {"alphaedit": 2, "memit": 2}


def test_a_stranger_takes_part_in_the_example_after_one_command(tmp_path):
    """From an empty home, without the lab: the command says the link, and the link leads in."""
    command = [sys.executable, "-m", "unedit_gui", "study", "serve", "--example", "--port", "0"]
    for _ in range(2):  # the second time it is there already
        with subprocess.Popen([*command, "--home", tmp_path / "home"], stderr=subprocess.PIPE, text=True) as server:
            try:
                said = [server.stderr.readline(), server.stderr.readline()]
                link = re.search(r"http://127\.0\.0\.1:\d+/study/j/[0-9A-Z-]{14}", said[1])
                assert link, said
                opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
                assert "How replies of a computer program read" in opener.open(link[0]).read().decode()
            finally:
                server.terminate()
    assert len(list((tmp_path / "home" / "studies").glob("*.sqlite"))) == 1


@pytest.mark.parametrize("form, told", [((), "Ended.\n"), (("--json",), {"served": True})])
def test_serving_ends_with_the_interrupt_that_it_asks_for(tmp_path, form, told):
    command = [sys.executable, "-m", "unedit_gui", "study", "serve", "--port", "0", "--home", tmp_path / "home", *form]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            address = re.search(r"http://\S+", server.stderr.readline())[0]
            assert "Welcome" in urllib.request.urlopen(address).read().decode()
            server.send_signal(signal.SIGINT)
            out, complaint = server.communicate(timeout=60)
        finally:
            server.kill()
    assert (json.loads(out) if form else out) == told
    assert server.returncode == 0 and complaint == ""


@pytest.mark.parametrize("wrong", [("--raters", "0"), ("--kills", "101"), ("--pause", "soon"), ("--effect", "x=1,1,1")])
def test_a_simulation_that_can_not_be_leaves_no_study_behind(study, wrong):
    study("create", "ex", "--example", "--open")
    status, _, complaint = study("simulate", "ex", *wrong)
    assert status == 2 and complaint.count("\n") == 1
    assert [one["name"] for one in study("list")[1]["studies"]] == ["ex"]


def test_a_study_that_has_no_replies_yet_can_not_be_made_open(study, tmp_path):
    status, _, complaint = study("create", "trial", "--protocol", tmp_path / "protocol.yaml", "--open")
    assert status == 2 and "study freeze" in complaint and "study open" in complaint
    assert study("list")[1]["studies"] == []


def test_freezing_that_is_stopped_says_how_to_go_on(study, monkeypatch):
    def stop(self):
        raise KeyboardInterrupt

    study("create", "trial", "--protocol", EXAMPLE)
    monkeypatch.setattr("unedit_gui.cli.commands.Session.load", stop)
    complaint = "Stopped. Replies that were written are kept; the same command goes on with the rest.\n"
    assert study("freeze", "trial") == (1, None, complaint)


def test_links_lead_where_serve_listens_unless_told_otherwise(study):
    study("create", "demo", "--example", "--open")
    (one,) = study("invite", "demo")[1]["invitations"]
    assert one["link"] == f"http://127.0.0.1:7870/study/j/{one['code']}"


@pytest.mark.parametrize(
    "arguments",
    [
        ("status", "none"),
        ("create", "trial"),
        ("create", "trial", "--protocol", "none.yaml"),
        ("invite", "none", "--url", "ftp://x"),
        ("serve", "--port", "99999"),
        ("serve", "--host", "no such host"),
    ],
)
def test_what_can_not_be_done_is_one_sentence(study, arguments):
    status, result, complaint = study(*arguments)
    assert status in (1, 2) and result is None and complaint.count("\n") == 1


def test_it_needs_neither_torch_nor_the_page(tmp_path):
    heavy = ("torch", "gradio", "transformers", "numpy", "pandas", "matplotlib")
    code = (
        f"import sys\nfor name in {heavy}: sys.modules[name] = None\n"
        "from unedit_gui.cli import main\nfrom unedit_gui.study import pages, serving\n"
        f"sys.exit(main(['study', 'list', '--home', {str(tmp_path)!r}]))"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0
