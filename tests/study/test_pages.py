"""The participants' pages over HTTP: the way through, what they never say, and what can't harm an answer."""

import re

import pytest
from starlette.testclient import TestClient

from tests.study.conftest import CONDITIONS, METHODS, Person, protocol, replies
from unedit_gui.study import taking
from unedit_gui.study.serving import standalone
from unedit_gui.study.store import Study


def test_the_way_from_the_link_to_the_thanks(study, person):
    visitor = person()
    assert visitor.at == "consent" and "You may stop." in visitor.page.text
    visitor.send()
    assert visitor.page.status_code == 422 and "tick the box" in visitor.page.text
    visitor.send(agree="yes")
    assert visitor.at == "about-you"
    visitor.send(gender="Woman")
    assert visitor.page.status_code == 422 and "your age" in visitor.page.text
    visitor.send(gender="Woman", age="25 to 34")
    assert visitor.at == "instructions" and "Example 1" in visitor.page.text
    visitor.send()
    assert visitor.at == "practice"
    visitor.send(forgotten="1", entailment="2", trust="4")
    assert visitor.at == "practice/notes" and "We would have said" in visitor.page.text
    visitor.get("item/1")
    assert "<h1>Item 1 of 5</h1>" in visitor.page.text
    visitor.to_the_end()
    assert visitor.at == "thanks" and "All your 5 answers are stored" in visitor.page.text
    assert study.status()["finished"] == 1 and study.status()["judgements"] == 4
    with study.reading() as db:
        assert db.execute("SELECT version, sha256 FROM consents").fetchone() == ("1", study.protocol.consent_sha256)
        told = dict(db.execute("SELECT field, value FROM latest_demographics").fetchall())
    assert told == {"age": "25 to 34", "gender": "Woman"}


def test_no_byte_names_a_method_a_condition_or_a_model(study, person):
    visitor = person().to_the_items()
    visitor.send()  # an error page
    visitor.to_the_end()
    for path in ("look/page.css", "look/page.js", "leave", "withdraw", "nowhere", "item/9", "item/x", "j/wrong", ""):
        visitor.get(path)
    visitor.browser.cookies.clear()
    for path in ("", "next", "docs", "openapi.json", "redoc"):
        visitor.get(path)
    study.pause()
    Person(study, study.invite(1)[0])
    study.close()
    visitor.get("withdrawn")
    served = ""
    for answer in visitor.seen:
        served += f"{answer.url}\n{answer.headers}\n{answer.text}\n"
    assert len(visitor.seen) > 30
    for word in (*CONDITIONS, *METHODS, "unedit", "smollm", "bundled", "condition"):
        assert not re.search(rf"\b{re.escape(word)}", served, re.I), word
    assert not re.search(r"\bmodels?\b|\bedits?\b|\bedited\b|gradio|fastapi|uvicorn", served, re.I)
    assert study.name not in served


def test_items_of_different_conditions_come_in_the_same_page(study, person):
    """But for what is said, the code and the marks of the form, nothing differs."""
    pages, seen = {}, set()
    marks = r'<dl class="shown">.*?</dl>|(value|data-item)="[\w-]{16,40}"|<b class="code">.*?</b>'
    for _ in range(4):
        visitor = person().to_the_items()
        for position in range(1, 6):
            text = visitor.get(f"item/{position}").text
            seen.add((position, re.search(r'class="reply">(.*?)</dd>', text)[1]))
            pages.setdefault(position, set()).add(re.sub(marks, "", text, flags=re.S))
            visitor.send(forgotten="0")
    assert all(len(texts) == 1 for texts in pages.values())
    assert len(seen) > 8


def test_replies_are_plain_text(study, person):
    visitor = person().to_the_items()
    while "Bees?" in visitor.page.text:
        visitor.send(forgotten="1", entailment="2", trust="5")
    assert "Reply &lt;b&gt;" in visitor.page.text and "Reply <b>" not in visitor.page.text


def test_the_scales_are_asked_where_the_answer_is_gone(study, person):
    visitor = person().to_the_items()
    visitor.send(comment="first thought")
    assert visitor.page.status_code == 422 and "first thought" in visitor.page.text
    visitor.send(forgotten="1", entailment="4", comment="x")
    assert visitor.page.status_code == 422 and re.search(r'value="4" id="entailment-4" checked', visitor.page.text)
    visitor.send(forgotten="0", entailment="4", trust="2")  # scales that were hidden again
    (row,) = (row for row in study.judgements() if row["position"] == 1)
    assert (row["forgotten"], row["entailment"], row["trust"]) == (0, None, None)


def test_nothing_is_chosen_beforehand(study, person):
    visitor = person()
    for _ in range(3):
        assert " checked" not in visitor.page.text
        visitor.send(agree="yes", age="25 to 34")
    assert visitor.at == "practice" and " checked" not in visitor.page.text


def test_back_shows_the_answer_and_lets_it_be_changed(study, person):
    visitor = person().to_the_items()
    visitor.send(forgotten="1", entailment="2", trust="3", comment="a <thought>")
    visitor.get("item/1")
    for name in ("forgotten-1", "entailment-2", "trust-3"):
        assert re.search(rf'id="{name}" checked', visitor.page.text)
    assert "a &lt;thought&gt;</textarea>" in visitor.page.text
    visitor.send(forgotten="1", entailment="5", trust="3")
    assert visitor.at == "item/2"
    rows = [row for row in study.judgements() if row["position"] == 1]
    assert [row["entailment"] for row in rows] == [5]


def test_a_double_click_a_reload_and_a_second_tab_store_nothing_twice(study, person):
    visitor = person().to_the_items()
    form = visitor.page
    for _ in range(3):
        visitor.page = form
        visitor.send(forgotten="1", entailment="2", trust="3")
    other = visitor.get("item/1")
    visitor.send(forgotten="1", entailment="2", trust="3")
    visitor.page = other
    visitor.send(forgotten="0")
    with study.reading() as db:
        sql = "SELECT revision, forgotten FROM judgements JOIN assignments USING (rater, item) WHERE position = 1"
        assert db.execute(sql).fetchall() == [(1, 1), (2, 0)]


def test_another_device_goes_on_with_the_code(study):
    (code,) = study.invite(1)
    first = Person(study, code).to_the_items()
    first.send(forgotten="0")
    second = Person(study)
    second.get("")
    second.send("", code=f" {code.lower().replace('-', '')} ")
    assert second.at == "item/2"


def test_a_form_of_another_participant_is_not_stored(study, person):
    visitor = person().to_the_items()
    form = visitor.page
    visitor.get(f"j/{study.invite(1)[0]}")
    visitor.page = form
    visitor.send(forgotten="0")
    assert visitor.page.status_code == 409 and "nothing was stored" in visitor.page.text
    assert not [row for row in study.judgements() if row["position"]]


def test_nobody_jumps_ahead_and_nobody_answers_without_consent(study, person):
    visitor = person()
    assert visitor.get("item/3").url.path.endswith("/consent")
    visitor.to_the_items()
    assert visitor.get("item/4").url.path.endswith("/item/1")
    assert visitor.get("thanks").url.path.endswith("/item/1")


def test_withdrawing_erases_and_ends_the_code(study):
    (code,) = study.invite(1)
    visitor = Person(study, code).to_the_items()
    visitor.send(forgotten="0")
    visitor.get("withdraw")
    visitor.send()
    assert visitor.page.status_code == 422 and len(study.judgements()) == 2
    study.close()  # also afterwards
    visitor.get("withdraw")
    visitor.send(erase="yes")
    assert visitor.at == "withdrawn" and study.judgements() == []
    assert "not known" in visitor.get(f"j/{code}").text


@pytest.mark.parametrize("state, said", [("pause", "rests"), ("close", "is over")])
def test_a_study_that_is_not_open_takes_nothing(study, person, state, said):
    visitor = person().to_the_items()
    getattr(study, state)()
    visitor.send(forgotten="0")
    assert said in visitor.page.text and visitor.page.status_code in (410, 503)
    assert not [row for row in study.judgements() if row["position"]]


def test_who_has_no_code_is_asked_for_one(study):
    visitor = Person(study)
    assert "Your code" in visitor.get("next").text
    visitor.send("", code="WRONG")
    assert visitor.page.status_code == 422 and 'role="alert"' in visitor.page.text


def test_hostile_forms_get_a_sentence(study, person):
    visitor = person().to_the_items()
    for fields in (
        {"forgotten": "2"},
        {"forgotten": "1", "entailment": "9", "trust": "x"},
        {"nonce": "n" * 200, "forgotten": "0"},
    ):
        visitor.get("item/1")
        visitor.send(**fields)
        assert 400 <= visitor.page.status_code < 500 and "<h1>" in visitor.page.text
    visitor.get("item/1")
    visitor.send(forgotten="0", focus="-1e400", comment="\0 ok" + "x" * 5000)
    assert visitor.page.status_code == 422 and "shorten" in visitor.page.text
    visitor.get("item/1")
    visitor.send(forgotten="0", focus="nan", comment="\0 ok")
    row = study.judgements()[-1]
    assert row["comment"] == "ok" and row["focus_seconds"] is None
    assert visitor.browser.post("/study/item/1", content=b"a" * 70_000).status_code == 413
    many = "&".join(f"a{n}=1" for n in range(500))
    assert visitor.browser.post("/study/item/1", content=many).status_code == 413


@pytest.mark.parametrize("path", ["item/x", "item/-1", "item/0", f"item/{'9' * 30}", "item/1e3", "look/%00", "item/1/"])
def test_odd_addresses_are_a_page_in_plain_words(study, person, path):
    visitor = person().to_the_items()
    visitor.browser.follow_redirects = False
    for answer in (visitor.send(path, forgotten="0"), visitor.get(path)):
        assert answer.status_code in (404, 405), path
        assert "<h1>" in answer.text and "detail" not in answer.text


def test_nobody_answers_what_they_were_not_shown(study, person):
    visitor = person().to_the_items()
    visitor.send("item/3", forgotten="0")
    assert visitor.at == "item/1"
    assert not [row for row in study.judgements() if row["position"]]


def test_what_the_file_refuses_is_not_told_in_its_words(study, person, monkeypatch):
    """The file's own complaints name tables; participants have no use for them."""
    visitor = person().to_the_items()

    def refuse(*_):
        with study.writing() as db:
            db.execute("UPDATE judgements SET trust = 1")

    monkeypatch.setattr(taking, "answer", refuse)
    visitor.send(forgotten="0")
    assert visitor.page.status_code == 409 and "judgements" not in visitor.page.text
    assert "load" in visitor.page.text


def test_behind_a_proxy_every_address_keeps_to_its_path(study):
    """The server hands on the whole path and says which part of it the proxy took off."""
    app = standalone(lambda: [study])
    browser = TestClient(app, root_path="/lab", base_url="http://inside:8080", follow_redirects=False)
    found = [browser.get(path) for path in ("/lab/", "/lab/study", f"/lab/study/j/{study.invite(1)[0]}")]
    assert [answer.headers["location"] for answer in found] == ["/lab/study/", "/lab/study/", "/lab/study/next"]
    assert "Path=/lab/study" in found[-1].headers["set-cookie"]
    page = browser.get("/lab/study/consent").text
    links = re.findall(r'(?:href|src|action)="(.*?)"', page)
    assert len(links) > 4 and all(link.startswith(("/lab/study/", "data:", "#")) for link in links)


def test_pages_keep_to_themselves(study, person):
    visitor = person()
    headers = visitor.page.headers
    assert "default-src 'none'" in headers["content-security-policy"] and headers["referrer-policy"] == "no-referrer"
    assert "no-store" in headers["cache-control"] and "server" not in headers
    cookie = next(a.headers["set-cookie"] for a in visitor.seen if "set-cookie" in a.headers)
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Path=/study" in cookie
    assert not re.search(r"(src|href)=\"(https?:)?//", "".join(a.text for a in visitor.seen))


def test_two_studies_are_told_apart_by_the_code(tmp_path):
    made = []
    for name in ("one", "two"):
        study = Study.create(tmp_path / f"{name}.sqlite", name, protocol(title=f"Study {name}"))
        study.add_replies(replies(study.protocol), "test")
        study.open()
        made.append(study)
    browser = TestClient(standalone(lambda: made))
    for study in made:
        assert f"Study {study.name}" in browser.get(f"/study/j/{study.invite(1)[0]}").text
        study.disconnect()
