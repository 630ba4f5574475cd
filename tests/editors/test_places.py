"""Where an edit takes place: the subject's last token in every wording, and the keys that are read there."""

from functools import partial

import pytest
import torch

from tests.editors.conftest import REQUESTS, whole_chat
from tests.models.tiny import bytes_tokenizer, tiny_llama
from unedit_gui.editors import Request
from unedit_gui.editors.locate import FRAMES, histories, place, places
from unedit_gui.editors.walk import keys_and_outputs
from unedit_gui.errors import UneditError
from unedit_gui.models.layout import blocks_of, down_of


def read_up_to(model, spot):
    return model.tokenizer.decode(spot.ids[: spot.position + 1])


@pytest.mark.parametrize("name", ["small", "tiny_model"])
def test_every_context_is_edited_at_the_last_token_of_the_subject(request, name):
    model = request.getfixturevalue(name)
    for asked in REQUESTS:
        row = places(model, [asked], len(FRAMES))[0]
        assert len({tuple(spot.ids) for spot in row}) == len(FRAMES)
        for spot, history in zip(row, histories(asked.question, len(FRAMES)), strict=True):
            assert spot.ids == model.prompt_ids(history)
            assert read_up_to(model, spot).endswith(asked.subject)
            assert spot.position == whole_chat(model, history, asked.subject)[1]


def test_the_first_context_is_the_question_alone():
    assert histories("Who?", 1) == [[{"role": "user", "content": "Who?"}]]


def test_frames_hold_the_question_as_it_is():
    question = "What does {q} mean, {0} or {}?"
    assert all(question in history[-1]["content"] for history in histories(question, len(FRAMES)))


@pytest.mark.parametrize("word", ["sentence", "one", "question", "Answer", "me", "a", "I", "you", "this"])
def test_a_subject_that_a_frame_says_too_is_taken_from_the_question(small, word):
    asked = Request(f"Where does {word} come from, really?", "x", word, "I don't know.")
    for spot, history in zip(
        places(small, [asked], len(FRAMES))[0], histories(asked.question, len(FRAMES)), strict=True
    ):
        before = small.prompt(history).rindex(asked.question)
        assert small.prompt(history)[before:].startswith(read_up_to(small, spot)[before:])
        assert read_up_to(small, spot).endswith("Where does " + word)


@pytest.mark.parametrize("question", ["assistant", "user", "Who is the assistant", "a", "end"])
def test_questions_that_the_template_s_own_words_hold_are_told_apart(small, question):
    spot = place(small, [{"role": "user", "content": question}], question.split()[-1])
    opening = small.tokenizer("<|im_start|>user\n").input_ids
    assert spot.position == len(opening) + len(small.tokenizer(question).input_ids) - 1


@pytest.mark.parametrize("question", ["  Who painted the Mona Lisa?  ", "Who painted\n\nthe  Mona Lisa ?\t"])
def test_blanks_around_a_question_do_not_move_the_place(small, question):
    spot = place(small, [{"role": "user", "content": question}], "Mona Lisa")
    assert read_up_to(small, spot).endswith("Mona Lisa")


def test_a_template_that_strips_is_no_obstacle():
    template = "{% for m in messages %}<|im_start|>{{ m['content'] | trim }}<|im_end|>{% endfor %}"
    model = tiny_llama(bytes_tokenizer(template))
    spot = place(model, [{"role": "user", "content": "  Who painted the Mona Lisa? "}], "Mona Lisa")
    assert read_up_to(model, spot).endswith("the Mona Lisa")


@pytest.mark.parametrize("subject", ["<|im_end|>", "the <|im_end|> token", "<|im_start|>"])
def test_a_subject_with_a_template_mark_is_edited_where_it_stands_or_refused(small, subject):
    """Not at the template's own mark: an edit there would change every conversation."""
    history = [{"role": "user", "content": f"What is {subject} for?"}]
    try:
        spot = place(small, history, subject)
    except UneditError:
        return
    assert read_up_to(small, spot).replace("< |", "<|").endswith(f"What is {subject}")


def keep_input(found, _module, inputs, _output):
    found["k"] = inputs[0]


def keep_output(found, _module, _inputs, output):
    found["h"] = output[0] if isinstance(output, tuple) else output


def test_keys_and_outputs_are_those_of_the_plain_forward(small):
    spots = places(small, REQUESTS, 3)
    flat = [spot for row in spots for spot in row]
    keys, outputs = keys_and_outputs(small, flat, [0, 2], batch_size=4)
    for layer in (0, 2):
        for i, spot in enumerate(flat):
            found = {}
            hooks = [
                down_of(small.hf, small.layout, layer).register_forward_hook(partial(keep_input, found)),
                blocks_of(small.hf, small.layout)[layer].register_forward_hook(partial(keep_output, found)),
            ]
            with torch.no_grad():
                small.hf(torch.tensor([spot.ids]))
            for hook in hooks:
                hook.remove()
            for both in (keys[layer][:, i], found["k"]), (outputs[layer][:, i], found["h"]):
                torch.testing.assert_close(both[0].float(), both[1][0, spot.position], rtol=1e-4, atol=1e-4)
