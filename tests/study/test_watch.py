"""What the researcher sees while a study runs: behind a password, and without a condition until it is closed."""

import re

import pytest
from fastapi.testclient import TestClient

from tests.study.played import IMPROVED, PLAIN, play
from unedit_gui.errors import BadInput
from unedit_gui.study import taking
from unedit_gui.study.watch import MOST_WRONG, watch_app

PASSWORD = "a längeres Wort"
MEANS = {PLAIN: {"entailment": 2.5, "trust": 3.0}, IMPROVED: {"entailment": 3.5, "trust": 3.6}}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return play(tmp_path_factory.mktemp("s") / "s.sqlite", 3, 4, MEANS, title="<script>alert(1)</script>")


@pytest.fixture
def page(study):
    return TestClient(watch_app(lambda: [study], PASSWORD), base_url="http://x.test")


def test_nothing_is_shown_without_the_password(page):
    for auth in (None, ("me", ""), ("me", "wrong"), (PASSWORD, "")):
        answer = page.get("/", auth=auth)
        assert answer.status_code == 401 and answer.headers["www-authenticate"].startswith("Basic ")
        assert "Rater" not in answer.text
    for header in ("Basic", "Basic %%%", "Bearer x", "Basic " + "A" * 1000):
        assert page.get("/", headers={"Authorization": header}).status_code == 401
    for path in ("/docs", "/openapi.json", "/redoc"):
        assert page.get(path).status_code == 404
    with pytest.raises(BadInput, match="8 or more"):
        watch_app(list, "short")


def test_passwords_can_not_be_tried_out(study):
    """After so many wrong ones nobody is let in for a while, or the right one would still be found by trying."""
    now = [0.0]
    page = TestClient(watch_app(lambda: [study], PASSWORD, clock=lambda: now[0]), base_url="http://x.test")
    right = ("me", PASSWORD.encode())
    for guess in range(MOST_WRONG):
        assert page.get("/").status_code == 401  # who is asked for a password has not given a wrong one
        assert page.get("/", auth=("me", f"guess {guess}")).status_code == 401
    answer = page.get("/", auth=right)
    assert answer.status_code == 429 and "Too many" in answer.text and "Rater" not in answer.text
    assert 0 < int(answer.headers["retry-after"]) <= 60
    now[0] = 61.0
    assert page.get("/", auth=right).status_code == 200


def test_who_is_where_and_how_full_the_lists_are(page, study):
    (code,) = study.invite(1)
    rater = taking.rater_of(study, code)
    taking.consent(study, rater, study.protocol.consent_sha256)
    taking.begin(study, rater)
    taking.answer(study, rater, 1, taking.Given(0), "one")
    answer = page.get("/", auth=("me", PASSWORD.encode()))
    text, policy = answer.text, answer.headers["content-security-policy"]
    assert f"<td>{rater}</td>" in text and "<td>1 of 5</td><td>item 2</td>" in text
    assert text.count("<td>finished</td>") == 3 and text.count("Raters on list") == 2
    assert "<script>" not in text and "&lt;script&gt;" in text
    (nonce,) = re.findall('<script nonce="(.+?)">', text)  # the page's own script and no other may run
    assert f"script-src 'nonce-{nonce}'" in policy and "'unsafe" not in policy.partition("style-src")[0]
    assert nonce not in page.get("/", auth=("me", PASSWORD.encode())).text
    assert 'http-equiv="refresh"' not in text  # it would throw keyboard and screen reader back to the top


def test_no_condition_is_named_until_the_study_is_closed(page, study):
    auth = ("me", PASSWORD.encode())
    before = page.get("/", auth=auth).text
    assert not any(word in before for word in (PLAIN, IMPROVED, "wise", "vanilla", "self-improved"))
    study.close()
    after = page.get("/", auth=auth).text
    assert f"<td>{PLAIN}</td>" in after and f"<td>{IMPROVED}</td>" in after
