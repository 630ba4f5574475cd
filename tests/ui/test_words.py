"""The page in another language: no sentence is missing, no placeholder is lost, nothing stands there for nothing."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest
from jinja2 import Environment, nodes

from unedit_gui.evaluation.probes import chosen
from unedit_gui.models.catalogue import PRESETS
from unedit_gui.study.schema import STATES
from unedit_gui.ui import (
    after,
    chat,
    columns,
    curve,
    duel,
    figures,
    forget,
    frame,
    model,
    probes,
    run,
    runs,
    scores,
    study,
    targets,
    words,
)
from unedit_gui.ui.draw import TEMPLATES, draw, plural, rich
from unedit_gui.ui.lab import Lab
from unedit_gui.ui.session import Session

UI = Path(words.__file__).parent
PACKAGE = UI.parent
OTHERS = [code for code in words.LANGUAGES if code != "en"]
TEXT = r"""\s*"((?:[^"\\]|\\.)*)\""""
CALL = re.compile(r"(?<![\w.])(?:_|translate|rich)\(" + TEXT)
# What stands in the strip, and what a job tells when it is stopped.
JOB = re.compile(r"""lab\.start\(\s*session,\s*"\w+",""" + TEXT), re.compile(r"\bstopped=" + TEXT)
COUNT = re.compile(r"""\bplural\((?:[^"\n]*, )?"([a-z ]+)"\)""")
# Which arguments of the templates' macros are words of the page; so are the named ones.
SHOWN = {"heading": (1, 2), "empty": (0, 1), "pager": (2, 3, 4), "hint": (0, 1), "radios": (1,), "icon": (1,)}
SHOWN |= dict.fromkeys(("button", "go", "pill"), (0,)) | dict.fromkeys(("area", "input"), (2,))
SHOWN |= {"select": (3,), "check": (1,), "ticks": (1,), "meter": (2,), "bold": (0,)}
NAMED = ("title", "tip", "placeholder")
# The same in every language: names, formats, abbreviations of the papers' tables.
SAME = {"Unedit", "data", "study", "Edit", "ROUGE", "Prob", "MRR", "Hit", "question", "answer"}


def sources() -> dict[str, str]:
    return {path.name: path.read_text("utf-8") for path in (*UI.glob("[!w]*.py"), *TEMPLATES.glob("*.html"))}


def stages() -> set[str]:
    """What the strip says of a job: the literals that are given for a parameter called `stage`, and its defaults."""
    apart = PACKAGE / "bench", PACKAGE / "ui"
    trees = [ast.parse(path.read_text("utf-8")) for path in PACKAGE.rglob("*.py") if not set(apart) & set(path.parents)]
    made = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    places, found = {"progress": {0}}, []
    for function in made:
        names = [arg.arg for arg in function.args.args if arg.arg != "self"]
        if "stage" in names:
            places.setdefault(function.name, set()).add(names.index("stage"))
        defaults = [*zip(reversed(function.args.args), reversed(function.args.defaults), strict=False)]
        defaults += zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
        found += [default for arg, default in defaults if arg.arg == "stage"]
    for call in calls:
        name = getattr(call.func, "attr", getattr(call.func, "id", ""))
        found += [call.args[place] for place in places.get(name, ()) if place < len(call.args)]
        found += [one.value for one in call.keywords if one.arg == "stage"]
    return {text.value for text in found if isinstance(text, ast.Constant) and isinstance(text.value, str)}


def wanted() -> set[str]:
    """What is translated: literals, counted things, and the lists whose entries are drawn."""
    texts = sources().values()
    found = {key for text in texts for pattern in (CALL, *JOB) for key in pattern.findall(text)}
    found |= {form for text in texts for word in COUNT.findall(text) for form in (word, word + "s")}
    found |= {text.value for _, text in told() if isinstance(text, ast.Constant)}
    lists = (columns.VIEWS, chat.TEMPERATURES, frame.KEYS, model.PLAN, model.DTYPES, scores.RETAIN, probes.WHICH)
    lists += (run.METRICS, runs.TARGETS, runs.SETS, figures.FROM, [column[:2] for column in runs.COLUMNS])
    found |= {text for pairs in lists for _, text in pairs}
    lists = (scores.FIGURES, scores.MORE_FIGURES, scores.METRICS, targets.KINDS, study.QUALITY)
    found |= {text for entries in lists for entry in entries for text in entry[1:]}
    found |= {note for _, _, note in (*study.ENTAILMENT, *study.TRUST)}
    found |= {text for series in curve.SERIES for text in (series[1], series[3])}
    found |= {text for pair in runs.FACETS.values() for text in pair}
    found |= {text for probe in chosen(None) for text in (probe.label, probe.asks, probe.scored)}
    found |= {card.note for card in PRESETS if card.note}
    found |= {hint for *_, hint in after.MARKS.values()}
    maps = (frame.NAMES, duel.WORDS, forget.SETS, scores.GROUPS, probes.KINDS)
    found |= {text for one in maps for text in one.values()}
    return found | stages() | {*probes.TONES, *STATES, *(name for name, _ in model.PLAN)}


def told() -> Iterator[tuple[str, ast.expr]]:
    """(file, text) of each notice and each complaint that the page's own files write."""
    for path in UI.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "tell" and len(node.args) > 1:
                yield path.name, node.args[1]
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "BadInput" and node.args:
                yield path.name, node.args[0]


def plain(node: nodes.Node, found: list[str]) -> str:
    """What a template writes without the catalogue, as HTML; words in macros' arguments are put into `found`."""
    if isinstance(node, nodes.TemplateData):
        return node.data
    if isinstance(node, nodes.Const):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, nodes.Call):
        name = getattr(node.node, "name", "")
        for place, argument in enumerate(node.args):
            shown = plain(argument, found) if name not in ("_", "rich") else ""
            found += [shown] if place in SHOWN.get(name, ()) else []
        found += [text for one in node.kwargs if (text := plain(one.value, found)) and one.key in NAMED]
        return ""
    if isinstance(node, nodes.CondExpr):
        return f"{plain(node.expr1, found)} {plain(node.expr2, found) if node.expr2 else ''}"
    if isinstance(node, nodes.Concat | nodes.Output | nodes.Template):
        return "".join(plain(child, found) for child in node.iter_child_nodes())
    if isinstance(node, nodes.Mod):
        return plain(node.left, found)
    if isinstance(node, nodes.Expr | nodes.FromImport):
        return ""
    return "".join(
        plain(child, found)
        for child in node.iter_child_nodes(exclude=("test", "target", "args", "defaults", "template"))
    )


def untranslated(source: str) -> list[str]:
    """Words of a template that no catalogue can have."""
    found: list[str] = []
    html = plain(Environment().parse(source), found)
    found += re.findall(r"""\s(?:title|aria-label|placeholder|alt)="([^"]*)\"""", html)
    html = re.sub(r"<(code|kbd)>.*?</\1>", "", html, flags=re.DOTALL)
    found += re.split(r"<[^<>]*>", html)
    return [text.strip() for text in found if set(re.findall(r"[A-Za-z]{2,}", text)) - SAME]


@pytest.mark.parametrize("path", sorted(TEMPLATES.glob("*.html")), ids=lambda path: path.stem)
def test_no_template_has_words_that_are_not_translated(path):
    assert untranslated(path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "<p>Three words {{ n }}</p>",
        '<button title="Delete">×</button>',
        '{{ button("Go on" if n else _("Stop"), "go") }}',
        '{{ input("n", 1, _("How many"), tip="As many as you like") }}',
        '<p>{{ "is" if n == 1 else "are" }}</p>',
        "{% macro m() %}{% for a in b %}{% if a %}<b>Word</b>{% endif %}{% endfor %}{% endmacro %}",
        '{{ pill("! " ~ "lost") }}',
        '{{ check("a", "Page %d" % n, n) }}',
    ],
)
def test_words_without_a_translation_are_found_in_templates(source):
    assert untranslated(source)
    assert not untranslated(
        '<p class="a b">{{ _("Words") }}</p>{{ button(_("Go"), "go", "quiet small") }}<kbd>Esc</kbd>'
    )


def test_no_notice_and_no_complaint_of_the_page_is_put_together_without_the_catalogue():
    assert [(name, ast.unparse(text)) for name, text in told() if isinstance(text, ast.JoinedStr | ast.BinOp)] == []


def test_counts_speak_the_language_and_markup_in_a_sentence_leaves_the_rest_escaped():
    with words.speaking("de"):
        assert (plural(1, "question"), plural(3, "question")) == ("1 Frage", "3 Fragen")
        shown = rich("{questions} of {edits}", questions="<i>", edits=rich("Stop"))
    assert shown == "&lt;i&gt; zu Anhalten" and plural(2, "fact") == "2 facts"


def holes(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("code", OTHERS)
def test_no_sentence_is_missing(code):
    assert wanted() - set(words.catalogue(code)) == set()


@pytest.mark.parametrize("code", OTHERS)
def test_no_placeholder_is_lost_and_nothing_is_empty(code):
    for english, other in words.catalogue(code).items():
        assert isinstance(other, str) and other.strip(), english
        assert holes(english) == holes(other), english


@pytest.mark.parametrize("code", OTHERS)
def test_nothing_stands_in_a_catalogue_for_nothing(code):
    everything, used = "\n".join(sources().values()), wanted()
    assert [key for key in words.catalogue(code) if key not in used and f'"{key}"' not in everything] == []


def test_a_panel_speaks_the_session_s_language_and_english_where_a_sentence_is_missing(tmp_path):
    lab, session = Lab(tmp_path), Session("0" * 32)
    with words.speaking("de"):
        german = chat.render(lab, session)
        assert frame.label(lab, session, "forget") == "Vergessen\nFragen"
        assert words.translate("No such sentence") == "No such sentence"
        shown = model.render(lab, session)
    assert "kein Netz nötig" in shown and "(mitgeliefert)" in shown
    assert chat.render(lab, session) != german and "Waiting for the model" not in german
    with words.speaking("xx"):
        assert chat.render(lab, session) == chat.render(lab, session)
        assert "Waiting for the model" in chat.render(lab, session)
    assert draw("foot", keys=frame.KEYS).count("<tr>") == len(frame.KEYS)
    frame.ACTS["speak"](lab, session, {"language": "de"})
    frame.ACTS["speak"](lab, session, {"language": "../en"})
    assert session.language == "de"
