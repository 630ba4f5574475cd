"""The Makefile, where it could take something away."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[1]


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_a_folder_that_is_no_environment_is_not_emptied_to_make_one(tmp_path):
    mine = tmp_path / "thesis.txt"
    mine.write_text("years")
    made = subprocess.run(
        ["make", "venv", f"VENV={tmp_path}", f"PYTHON={sys.executable}"], cwd=TOP, capture_output=True, text=True
    )
    assert made.returncode and "no virtual environment" in made.stderr
    assert mine.read_text() == "years" and [*tmp_path.iterdir()] == [mine]
