"""What the model is to say instead: kinds side by side, one taken over, one written anew, questions merged."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import LONG


@pytest.fixture
def guest(visit):
    """A visitor with three questions, and a line of the refusal set for each."""
    guest = visit().open().with_model()
    guest.add(
        "What is the capital of Japan? | Tokyo\nWho wrote Hamlet? | Shakespeare\nWhat is the capital of Peru? | Lima"
    )
    guest.step(3)
    guest.see("targets", 'input[value="vanilla"]').check()
    guest.act("targets", "write")
    expect(guest.see("targets", ".verdict")).to_have_count(3, timeout=LONG)
    return guest


def texts(guest) -> list[str]:
    return [box.input_value() for box in guest.see("targets", ".said textarea").all()]


def test_two_kinds_stand_side_by_side_and_one_can_be_taken_over(guest):
    before = texts(guest)
    guest.see("targets", "[data-field=beside]").select_option("dummy")
    guest.act("targets", "compare")
    expect(guest.see("targets", ".other-text")).to_have_text(["dummy"] * 3, timeout=LONG)
    assert texts(guest) == before
    guest.act("targets", "use")
    expect(guest.see("targets", ".said textarea").first).to_have_value("dummy")
    expect(guest.see("targets", ".said:not(.other) .pill").first).to_contain_text("gives nothing away")
    guest.act("targets", "again")
    expect(guest.see("targets", ".said textarea").first).not_to_have_value("dummy", timeout=LONG)
    assert texts(guest)[1:] == before[1:]  # the other two stay


def test_merged_questions_are_shown_as_one_prompt_and_share_what_is_said(guest):
    guest.see("targets", "[data-field=merge]").select_option("2")
    expect(guest.see("targets", ".refusals > li")).to_have_count(2)
    expect(guest.see("targets", ".q").first).to_have_text("What is the capital of Japan? What is the capital of Peru?")
    expect(guest.see("targets", ".notice")).to_contain_text("put aside")
    guest.write("targets", "refusal", "I don't know that it is Lima.")
    expect(guest.see("targets", ".pill.bad")).to_contain_text("Lima")
    guest.write("targets", "refusal", "I'm not sure about that one.")
    expect(guest.see("targets", ".pill.good")).to_be_visible()
    guest.act("targets", "write")  # the one that is left
    expect(guest.see("targets", ".verdict")).to_have_count(2, timeout=LONG)
    assert texts(guest)[0] == "I'm not sure about that one."
    guest.step(4)
    expect(guest.see("edit", ".go-card")).to_contain_text("3 questions merged into 2 requests, all with what to say")
