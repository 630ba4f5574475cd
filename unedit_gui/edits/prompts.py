"""The one place where a conversation becomes the prompt of an edited model.

Most edits act inside the model and read the same prompt as the original. Edits by demonstration act on the prompt
itself. So whoever asks or scores an edited model takes its prompts from here.
"""

from collections.abc import Sequence

from ..models.chat import History, Prompt
from . import demonstrations
from .edit import DEMONSTRATIONS, Edit


def prompt_for(model, history: History, edits: Sequence[Edit] = ()) -> Prompt:
    """Token ids of a conversation as a model with these edits (oldest first) reads it."""
    shown = []
    for edit in edits:
        if edit.kind == DEMONSTRATIONS:
            history, pairs = demonstrations.put_before(model, history, edit)
            shown.append((edit.id, pairs))
    prompt = model.prompt_ids(list(history))
    prompt.shown = tuple(shown)
    return prompt
