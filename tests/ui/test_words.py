"""The page in another language: no sentence is missing, no placeholder is lost, nothing stands there for nothing."""

import re
from pathlib import Path
from string import Formatter

import pytest

from unedit_gui.ui import chat, columns, duel, frame, model, words
from unedit_gui.ui.draw import TEMPLATES, draw
from unedit_gui.ui.lab import Lab
from unedit_gui.ui.session import Session

UI = Path(words.__file__).parent
OTHERS = [code for code in words.LANGUAGES if code != "en"]
CALL = re.compile(r"""(?<![\w.])(?:_|translate)\(\s*"((?:[^"\\]|\\.)*)\"""")


def sources() -> dict[str, str]:
    return {path.name: path.read_text("utf-8") for path in (*UI.glob("[!w]*.py"), *TEMPLATES.glob("*.html"))}


def wanted() -> set[str]:
    """What is translated: literals, and the lists whose entries are drawn."""
    found = {key for text in sources().values() for key in CALL.findall(text)}
    lists = (columns.VIEWS, chat.TEMPERATURES, frame.KEYS, model.PLAN, model.DTYPES)
    found |= {text for pairs in lists for _, text in pairs}
    return found | {*frame.NAMES.values(), *duel.WORDS.values(), *(name for name, _ in model.PLAN)}


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
    everything = "\n".join(sources().values())
    assert [key for key in words.catalogue(code) if f'"{key}"' not in everything] == []


def test_a_panel_speaks_the_session_s_language_and_english_where_a_sentence_is_missing(tmp_path):
    lab, session = Lab(tmp_path), Session("0" * 32)
    with words.speaking("de"):
        german = chat.render(lab, session)
        assert frame.label(lab, session, "forget") == "Vergessen\nFragen"
        assert words.translate("No such sentence") == "No such sentence"
    assert chat.render(lab, session) != german and "Waiting for the model" not in german
    with words.speaking("xx"):
        assert chat.render(lab, session) == chat.render(lab, session)
        assert "Waiting for the model" in chat.render(lab, session)
    assert draw("foot", keys=frame.KEYS).count("<tr>") == len(frame.KEYS)
    frame.ACTS["speak"](lab, session, {"language": "de"})
    frame.ACTS["speak"](lab, session, {"language": "../en"})
    assert session.language == "de"
