"""The documentation, held to the code: commands parse, files exist, names are the ones that the program has."""

import argparse
import ast
import inspect
import re
import shlex
from dataclasses import fields
from pathlib import Path
from urllib.parse import urlparse

import pytest

import unedit_gui
from unedit_gui.cli import parser
from unedit_gui.forget.questions import Question
from unedit_gui.workbench import Workbench

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
REFERENCE = (ROOT / "docs" / "commands.md").read_text("utf-8")
STUDY = (ROOT / "docs" / "study.md").read_text("utf-8")
PAGES = {
    "README.md": README,
    "docs/commands.md": REFERENCE,
    "docs/probes.md": (ROOT / "docs" / "probes.md").read_text("utf-8"),
    "docs/study.md": STUDY,
}


def blocks(text: str, language: str) -> list[str]:
    """The fenced code blocks of a language ("": those without one)."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def section(text: str, title: str) -> str:
    """A section of a page, from its heading of the second level to the next one."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    assert found, f"there is no section {title!r}"
    return found[1]


def shell_lines() -> list[tuple[str, str]]:
    """(page, command) for every line of every shell block, and for every command in backticks."""
    found = []
    for page, text in PAGES.items():
        lines = [line for block in blocks(text, "sh") for line in block.splitlines()]
        lines += re.findall(r"`((?:make|python) [^`]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S))
        found += [(page, part.strip()) for line in lines for part in line.split("&&") if not line.startswith("#")]
    return [(page, line) for page, line in found if line]


COMMANDS = [(page, line) for page, line in shell_lines() if line.startswith("python -m unedit_gui ")]


def subparsers() -> dict[str, argparse.ArgumentParser]:
    top = parser()
    (action,) = (a for a in top._actions if isinstance(a, argparse._SubParsersAction))
    return dict(action.choices)


def options_of(made: argparse.ArgumentParser) -> set[str]:
    return {name for action in made._actions for name in action.option_strings if name.startswith("--")} - {"--help"}


# ------------------------------------------------------------------ commands


@pytest.mark.parametrize("page, line", COMMANDS)
def test_every_command_line_shown_is_understood(page, line):
    words = shlex.split(line)[3:]
    words = words[: words.index(">")] if ">" in words else words
    if "COMMAND" in words:
        return
    options = parser().parse_args(words)
    assert callable(options.run)
    for name in getattr(options, "set", []):
        assert name.split("=")[0] in settings(), f"{name} is no setting of any method"
    for name in ("questions", "forget", "retain", "protect"):
        shown = getattr(options, name, None)
        if shown and shown.startswith("data/"):
            assert (ROOT / shown).is_file()


@pytest.mark.parametrize("command", ["models", "ask", "contracts", "teach", "targets", "edit", "evaluate", "chat"])
def test_the_readme_shows_every_command(command):
    assert any(shlex.split(line)[3] == command for page, line in COMMANDS if page == "README.md")


def actions_of(made: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The actions of a command that has some, such as `study open`."""
    found = [a for a in made._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(found[0].choices) if found else {}


def test_the_study_has_every_action_and_option_and_no_other():
    common = set(re.findall(r"^\| `(--[\w-]+)", section(REFERENCE, "Common options"), re.M))
    shown = {}
    for line in section(STUDY, "The commands").splitlines():
        if not line.startswith("|"):  # only the table is about options
            continue
        for action in re.findall(r"`study (\w+)", line.split(" | ")[0]):
            shown[action] = set(re.findall(r"(?<![\w-])--[\w-]+", line))
    actions = actions_of(subparsers()["study"])
    assert shown == {name: options_of(made) - common for name, made in actions.items()}


@pytest.mark.parametrize("command", [name for name, made in subparsers().items() if not actions_of(made)])
def test_the_reference_has_every_option_and_no_other(command):
    common = set(re.findall(r"^\| `(--[\w-]+)", section(REFERENCE, "Common options"), re.M))
    own = set(re.findall(r"^\| `(--[\w-]+)", section(REFERENCE, command), re.M))
    assert own | common == options_of(subparsers()[command])
    assert not own & common


def settings() -> dict[str, set[str]]:
    """Each setting, with the methods that have it."""
    from unedit_gui.unlearning import METHODS

    found: dict[str, set[str]] = {}
    for method in METHODS.values():
        for field in fields(method.Hparams):
            found.setdefault(field.name, set()).add(method.label)
    return found


def test_the_reference_has_every_setting_of_every_method():
    from unedit_gui.unlearning import METHODS

    everybody = {method.label for method in METHODS.values()}
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", section(REFERENCE, "Settings of the methods"), re.M)
    assert {name: everybody if who == "all" else set(who.split(", ")) for name, who in rows} == settings()


def test_the_passes_of_teaching_are_told_as_they_are():
    from unedit_gui.teaching.train import Recipe

    said = f"default {Recipe().passes}"
    (teach,) = [a.choices["teach"] for a in parser()._actions if isinstance(a, argparse._SubParsersAction)]
    assert said in teach.format_help() and said in section(REFERENCE, "teach")


def test_the_reference_has_every_metric():
    from unedit_gui.evaluation.suite import METRICS

    assert re.findall(r"^\| `(\w+)` \|", section(REFERENCE, "evaluate"), re.M) == [*METRICS, "n"]


@pytest.mark.parametrize("page, line", [(p, line) for p, line in shell_lines() if re.match(r"(\w+=\S+ )?make\b", line)])
def test_every_make_target_shown_exists(page, line):
    words = [word for word in shlex.split(line) if "=" not in word][1:]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert words and all(re.search(rf"^{word}:", makefile, re.M) for word in words)


@pytest.mark.parametrize("page, line", [(p, line) for p, line in shell_lines() if "ARGS=" in line or "app.py" in line])
def test_every_flag_of_the_page_shown_exists(page, line):
    known = re.findall(r'add_argument\("(--[\w-]+)"', (ROOT / "app.py").read_text("utf-8"))
    assert set(re.findall(r"--[\w-]+", line.split("app.py")[-1])) <= {*known, "--help"}


def test_the_bundled_model_is_named_alike_everywhere():
    from unedit_gui.models.catalogue import BUNDLED_COMMAND

    assert BUNDLED_COMMAND in README
    assert BUNDLED_COMMAND.split()[-1] in (ROOT / "Makefile").read_text("utf-8")


# -------------------------------------------------------------- architecture


def listed() -> list[str]:
    """The paths of the architecture section; folders end with a slash."""
    (block,) = blocks(section(README, "Architecture"), "")
    found, above = [], []
    for line in block.splitlines():
        indent = len(line) - len(line.lstrip())
        name = line.split()[0]
        above = [*above[: indent // 2], name]
        assert len(line) <= 120 and (name.endswith("/") or len(line.split()) > 1), f"{name} is not explained"
        found.append("".join(above))
    return found


@pytest.mark.parametrize("path", listed())
def test_every_file_in_the_architecture_exists(path):
    assert (ROOT / path).is_dir() if path.endswith("/") else (ROOT / path).is_file()


def test_every_file_has_its_line_in_the_architecture():
    named = listed()
    assert len(named) == len(set(named))
    there = {ROOT / "app.py", *(ROOT / "data").iterdir(), *(ROOT / "unedit_gui").rglob("*")}
    paths = {p.relative_to(ROOT).as_posix() for p in there if p.is_file() and p.suffix != ".pyc" and p.stat().st_size}
    covered = tuple(name for name in named if name.endswith("/templates/"))
    assert sorted(path for path in paths - set(named) if not path.startswith(covered)) == []


@pytest.mark.parametrize("page", PAGES)
def test_every_link_within_the_project_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        if not urlparse(target).scheme:
            assert ((ROOT / page).parent / target.split("#")[0]).exists(), target


def test_every_file_named_in_passing_exists():
    for page, text in PAGES.items():
        for name in re.findall(r"`((?:data|tests|docs|assets|unedit_gui)/[\w./-]*)`", text):
            assert (ROOT / name).exists(), f"{page}: {name}"


# ---------------------------------------------------------------- the example


def test_the_python_example_fits_the_workbench():
    """Every call is checked against the signature that it meets."""
    (source,) = blocks(README, "python")
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    checked = set()
    for call in calls:
        names = {"Question": Question, "Workbench": Workbench}
        if isinstance(call.func, ast.Name) and call.func.id in names:
            function, first = names[call.func.id], []
        elif isinstance(call.func, ast.Attribute) and getattr(call.func.value, "id", "") == "bench":
            function, first = getattr(Workbench, call.func.attr), [None]
        else:
            continue
        inspect.signature(function).bind(*first, *call.args, **{k.arg: k.value for k in call.keywords})
        checked.add(ast.unparse(call.func))
    assert {"Workbench", "bench.load", "bench.edit", "bench.chat", "bench.evaluate"} <= checked


def test_the_changelog_knows_this_version():
    assert f"## {unedit_gui.__version__}" in (ROOT / "CHANGELOG.md").read_text("utf-8")


@pytest.mark.parametrize("page", [*PAGES, "CHANGELOG.md", "LICENSE", "Makefile", "data/README.md"])
def test_no_page_names_a_place_on_somebodys_computer(page):
    text = (ROOT / page).read_text("utf-8")
    assert not re.search(r"(?<![\w~.:])/(work|home|root|tmp|Users|mnt)/", text)


def test_every_probe_has_its_line_and_no_other():
    from unedit_gui.evaluation.probes import PROBES

    for kind, title in (("leak", "Leak probes"), ("harm", "Harm")):
        named = re.findall(r"^\| `([\w-]+)` \|", section(PAGES["docs/probes.md"], title), re.M)
        assert named == [name for name, probe in PROBES.items() if probe.kind == kind]
        assert all(f"`{name}`" in section(REFERENCE, "probe") for name in named)
