"""Did it forget, or does it hide? Probes that try to get a forgotten fact out, and probes of the harm done.

Importing this package registers them all, in the order of the table.
"""

from . import (  # noqa: I001 - the order of the table
    rephrasings,
    role_play,
    answer_start,
    completion,
    multiple_choice,
    one_of_two,
    other_language,
    spelled_backwards,
    pressure,
    reversed_question,
    sampling,
    likelihood,
    neighbours,
    same_subject,
    neutral_text,
    instructions,
    reading,
    over_refusal,
)
from .base import PROBES, Probe, chosen
from .report import Probed
from .run import ITEMS, REPLY_TOKENS, probe

__all__ = [
    "ITEMS",
    "PROBES",
    "REPLY_TOKENS",
    "Probe",
    "Probed",
    "answer_start",
    "chosen",
    "completion",
    "instructions",
    "likelihood",
    "multiple_choice",
    "neighbours",
    "neutral_text",
    "one_of_two",
    "other_language",
    "over_refusal",
    "pressure",
    "probe",
    "reading",
    "rephrasings",
    "reversed_question",
    "role_play",
    "same_subject",
    "sampling",
    "spelled_backwards",
]
