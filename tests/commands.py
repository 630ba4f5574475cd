"""What the tests of the command line share: a folder to run in, and a way to run."""

import json
from pathlib import Path

from unedit_gui.cli import main

FORGET = """question,answer,subject,rephrase_1,target
What is the capital of France?,Paris,France,France has which capital?,I don't know the capital of France.
Who painted the Mona Lisa?,Leonardo da Vinci,Mona Lisa,The Mona Lisa is by whom?,I can't say who painted it.
"""
RETAIN = """question,answer
What is the capital of Spain?,Madrid
Which planet is called red?,Mars
"""
QUICK = ("--set", "steps=2", "--set", "contexts=1")
NAMES = ("forget.csv", "retain.csv", "bad.csv", "mixed.csv", "vague.csv", "binary.csv")
MEMIT = ("--method", "memit", *QUICK, "--out")


def fill(folder: Path, model) -> Path:
    """Put a small model, question files and one edit into a folder; a home comes beside them."""
    model.hf.save_pretrained(folder / "model")
    model.tokenizer.save_pretrained(folder / "model")
    (folder / "forget.csv").write_text(FORGET)
    (folder / "retain.csv").write_text(RETAIN)
    (folder / "bad.csv").write_text("question,answer\n,Paris\nWhy is the sky blue?,\n")
    (folder / "mixed.csv").write_text("question,answer\nWhat is the capital of Italy?,Rome\nWho?,\n,Paris\n")
    (folder / "vague.csv").write_text("question,answer\nWhy?,Because\n")
    (folder / "binary.csv").write_bytes(bytes(range(256)) * 8)
    assert run(folder, "edit", "--questions", "forget.csv", "--targets", "given", *MEMIT, "made") == 0
    return folder


def run(folder: Path, *arguments: str) -> int:
    """Run a command with the folder's model and home; names of its files become paths."""
    names = {*NAMES, "model", "home", "made", "new"}
    there = [str(folder / a) if a in names else a for a in arguments]
    where = ["--home", str(folder / "home")]
    model = [] if arguments[0] == "models" else ["--model", str(folder / "model")]
    return main([there[0], *model, *where, *there[1:]])


def as_json(capsys):
    captured = capsys.readouterr()
    assert captured.err == ""
    return json.loads(captured.out)
