"""The architecture, read from the imports: they go down only, and what must stay light loads neither torch
nor gradio.

All imports count, also those inside functions and for types alone: what a file names, it depends on.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "unedit_gui"

# From the top down. A part may import the parts of the rows below its own, not its neighbours in the row.
LAYERS = (
    ("app",),
    ("ui", "cli"),
    ("bench",),
    ("workbench",),
    ("teaching",),
    ("unlearning", "reports"),
    ("editors", "evaluation", "presenting", "runs"),
    ("edits", "forget"),
    ("models",),
)
DEPTH = {part: depth for depth, layer in enumerate(LAYERS) for part in layer}
COMMAND_LINE = {"__main__", "cli", "commands", "terminal"}  # one part, in several files
BOTTOM = {"before_torch", "errors", "jobs", "plain_yaml", "spreadsheet", "workspace"}  # for everybody above, but not
AMONG_THEM = {("plain_yaml", "errors")}  # for one another, save for these: importer and imported
ABOVE_STUDY = {"app", "ui", "cli", "bench", "workbench", "reports"}
METHODS = {
    "editors": {"rome", "memit", "alphaedit", "grace", "wise", "ike"},
    "unlearning": {"grad_ascent", "grad_diff", "kl_min", "dpo"},
}
# Modules and what importing them must not load.
LIGHT = {
    "unedit_gui": {"torch", "gradio"},
    "unedit_gui.before_torch": {"torch", "gradio"},
    "unedit_gui.errors": {"torch", "gradio"},
    "unedit_gui.jobs": {"torch", "gradio"},
    "unedit_gui.plain_yaml": {"torch", "gradio"},
    "unedit_gui.workspace": {"torch", "gradio"},
    "unedit_gui.study": {"torch", "gradio"},
    "unedit_gui.study.ratings": {"torch", "gradio"},
    "unedit_gui.study.folder": {"torch", "gradio"},
    "unedit_gui.study.serving": {"torch", "gradio"},
    "unedit_gui.study.analysis": {"torch", "gradio", "scipy", "statsmodels", "pandas"},
    "unedit_gui.forget.questions": {"torch", "gradio"},
    "unedit_gui.forget.subjects": {"torch", "gradio"},
    "unedit_gui.forget.targets": {"torch", "gradio"},
    "unedit_gui.presenting.presets": {"torch", "gradio"},
    "unedit_gui.reports.charts": {"torch", "gradio"},
    "unedit_gui.workbench": {"torch", "gradio"},
}


def modules() -> dict[str, Path]:
    """Every module of the project by its dotted name; a package goes by its own, `app.py` by `app`."""
    found = {"app": ROOT / "app.py"} if (ROOT / "app.py").exists() else {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(module: str, source: str, is_package: bool) -> Iterator[tuple[str, int]]:
    """The dotted names that a source imports, with lines. `from a import b` is `a.b` if that is a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((name.name, node.lineno) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = module.split(".")
                package = package[: len(package) - node.level + is_package]
                base = ".".join([*package, *([base] if base else [])])
            for name in node.names:
                whole = f"{base}.{name.name}"
                # From the package itself only its version comes; the rest are its parts, there yet or not.
                is_part = whole in MODULES or (base == PACKAGE and not name.name.startswith("__"))
                yield (whole if is_part else base), node.lineno
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            function = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if function in ("import_module", "__import__") and isinstance(node.args[0].value, str):
                yield node.args[0].value, node.lineno


def part_of(module: str) -> str | None:
    """The part of the architecture that a module belongs to; "" for the package itself, None for others'."""
    names = module.split(".")
    if module == "app":
        return "app"
    if names[0] != PACKAGE:
        return None
    if names == [PACKAGE]:
        return ""
    return "cli" if names[1] in COMMAND_LINE else names[1]


def is_allowed(importer: str, imported: str) -> bool:
    """Whether the part `importer` may import the part `imported`."""
    if importer == imported or imported == "":
        return True
    if importer in BOTTOM:
        return (importer, imported) in AMONG_THEM
    if imported in BOTTOM:
        return True
    if importer == "":
        return imported in DEPTH  # `unedit_gui/__init__.py` may offer what it likes; see LIGHT
    if importer == "study":
        return False
    if imported == "study":
        return importer in ABOVE_STUDY
    return DEPTH.get(importer, 0) < DEPTH.get(imported, 0)  # unknown parts fail a test of their own


def violations(module: str, source: str, is_package: bool) -> list[str]:
    """What the module imports against the rules, as sentences."""
    importer, found = part_of(module), []
    for imported, line in imports(module, source, is_package):
        where, part, top = f"{module}, line {line}: {imported}", part_of(imported), imported.split(".")[0]
        if part is not None and not is_allowed(importer, part):
            found.append(f"{where} is not below {importer or PACKAGE}")
        if top == "gradio" and importer not in ("ui", "app"):
            found.append(f"{where} belongs to the page")
        if top == "torch" and importer in ("study", *BOTTOM):
            found.append(f"{where} is too heavy for {importer}")
        methods = METHODS.get(importer, set())
        if part == importer and methods:
            one, other = module.split(".")[2:3], imported.split(".")[2:3]
            if one != other and one and other and {one[0], other[0]} <= methods:
                found.append(f"{where} is another method; move what they share to a module of its own")
    return found


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_its_place(module):
    assert part_of(module) in {"", "study", *BOTTOM, *DEPTH}, "give the new part a place in LAYERS and in the README"


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down(module):
    path = MODULES[module]
    found = violations(module, path.read_text("utf-8"), path.name == "__init__.py")
    assert not found, "\n".join(found)


@pytest.mark.parametrize("module", [module for module in LIGHT if module in MODULES])
def test_light_modules_load_nothing_heavy(module):
    code = f"import sys, {module}; print(*({LIGHT[module]!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == [], f"{module} loads {result.stdout}"


# The test's own eyes


@pytest.mark.parametrize(
    "module, source",
    [
        ("unedit_gui.jobs", "from unedit_gui.errors import Failed"),
        ("unedit_gui.workspace", "from .jobs import Job"),
        ("unedit_gui.errors", "import unedit_gui.jobs"),
        ("unedit_gui.errors", "from . import plain_yaml"),
        ("unedit_gui.plain_yaml", "from .workspace import Workspace"),
        ("unedit_gui.models.chat", "from ..edits.edit import Edit"),
        ("unedit_gui.models.chat", "def f():\n    from unedit_gui import workbench"),
        ("unedit_gui.edits.edit", "from unedit_gui.forget.questions import Question"),
        ("unedit_gui.editors.rome", "from ..evaluation import suite"),
        ("unedit_gui.evaluation.suite", "import importlib\nimportlib.import_module('unedit_gui.workbench')"),
        ("unedit_gui.cli", "from .ui.app import build"),
        ("unedit_gui.study.pages", "from ..models.loading import load"),
        ("unedit_gui.study.pages", "from .. import workbench"),
        ("unedit_gui.study.pages", "import torch.nn as nn"),
        ("unedit_gui.jobs", "import torch"),
        ("unedit_gui.evaluation.suite", "from ..study.ratings import Ratings"),
        ("unedit_gui.workbench", "import gradio as gr"),
        ("unedit_gui.study.pages", "from gradio.themes import Soft"),
        ("unedit_gui.editors.memit", "from .rome import update"),
        ("unedit_gui.editors.memit", "from unedit_gui.editors.alphaedit import edit"),
        ("unedit_gui.unlearning.dpo", "from unedit_gui.unlearning import kl_min"),
    ],
)
def test_wrong_imports_are_seen(module, source, monkeypatch):
    monkeypatch.setitem(MODULES, "unedit_gui.unlearning.kl_min", Path())
    assert len(violations(module, source, is_package=False)) == 1


@pytest.mark.parametrize(
    "module, source",
    [
        ("unedit_gui.models.loading", "import torch\nfrom ..errors import Failed\nfrom ..jobs import Job"),
        (
            "unedit_gui.editors.rome",
            "from . import base\nfrom .locate import place\nfrom ..models import layout",
        ),
        (
            "unedit_gui.workbench",
            "from unedit_gui.study.ratings import Ratings\nfrom .edits.edit import Edit",
        ),
        (
            "unedit_gui.ui.app",
            "import gradio as gr\nfrom ..workbench import Workbench\nfrom unedit_gui import jobs",
        ),
        ("unedit_gui.__main__", "from .cli import main\nfrom unedit_gui import __version__"),
        ("app", "import gradio\nfrom unedit_gui.ui.app import launch"),
        (
            "unedit_gui.study.pages",
            "from ..errors import BadInput\nfrom .ratings import Ratings\nimport fastapi",
        ),
        ("unedit_gui.jobs", "import threading, time"),
        ("unedit_gui.plain_yaml", "import yaml\nfrom .errors import BadInput"),
    ],
)
def test_right_imports_are_let_through(module, source):
    assert violations(module, source, is_package=False) == []


def test_relative_imports_of_a_package_start_at_itself():
    assert violations("unedit_gui.models", "from .loading import load\nfrom ..errors import Failed", True) == []
    assert len(violations("unedit_gui.models", "from ..edits import edit", True)) == 1
