"""The figures of "Editing as Unlearning" (arXiv 2505.19855), to stand as ghost marks beside one's own.

They are another model's, on other questions, and always labelled so. Which of them may stand beside which of ours:

* ROUGE-1 recall, and the score that is made of it. The paper's reciprocal ranks, hit ratios and probabilities were
  measured by PISTOL's program, which lets the model run free where ours gives it the reference token by token; they
  can't be compared, and nothing here hands them out (`NOT_COMPARABLE` is the sentence to show in their place).
* Targets: its vanilla and its self-improved refusals with ours of that kind; no other kind is in the paper. GA, GD and
  KL are taught no refusal, so theirs stand beside any.
* Merged questions: ROME and MEMIT, 80 facts, by how many questions a request holds.
* Never human ratings: the paper has a drawing of these (its figure 6, left) and no numbers.

Where two tables give the same figure, the later one has the more digits.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ..forget.bundled import DATA
from ..forget.contracts import parties_of

FILE = DATA / "published.csv"
PAPER = "Editing as Unlearning"
# Our names, in the order of the paper's tables; IKE isn't in them.
METHODS = {
    "ga": "GA",
    "gd": "GD",
    "kl": "KL",
    "dpo": "DPO",
    "rome": "ROME",
    "memit": "MEMIT",
    "grace": "GRACE",
    "wise": "WISE",
    "alphaedit": "AlphaEdit",
    "ike": "IKE",
}
UNTAUGHT = ("ga", "gd", "kl")  # learn no refusal, so that the kind of target makes no difference
KINDS = ("vanilla", "self-improved")
MAIN = "Llama2-7B-chat"
_MODELS = {"llama-2-7b-chat": MAIN, "mistral-7b-instruct": "Mistral-7B-instruct", "llama-3.1-8b": "Llama3.1-8B"}
DATASETS = {"factual": "world facts", "pistol": "contracts"}
NOT_COMPARABLE = (
    "The paper's probability, reciprocal rank and hit ratio are measured in another way (PISTOL's program lets the "
    "model run free; here the reference is given token by token), so they stand beside no figure of ours."
)


@dataclass(frozen=True)
class Ghost:
    """A published value, with what it is of. facts None: the paper doesn't say how many."""

    value: float
    model: str
    dataset: str
    facts: int | None
    merge: int = 1

    @property
    def source(self) -> str:
        """What stands beside it: whose value this is."""
        count = f"{self.facts} {DATASETS[self.dataset]}" if self.facts else DATASETS[self.dataset]
        return f"{self.model}, {count}" + (f", merged by {self.merge}" if self.merge > 1 else "")


def dataset_of(forget: Sequence[Any]) -> str:
    """Which of the paper's data sets questions (plain dicts) are like: contracts, "pistol", or facts, "factual"."""
    return "pistol" if any(parties_of(question.get("category")) for question in forget) else "factual"


def model_beside(model: str) -> str:
    """The paper's model to stand beside one of ours: the same where it has it, else its main one."""
    return next((theirs for ours, theirs in _MODELS.items() if ours in model.casefold()), MAIN)


def is_same_model(model: str, ghost: Ghost) -> bool:
    """Was the ghost's value measured on this model?"""
    return any(ours in model.casefold() for ours, theirs in _MODELS.items() if theirs == ghost.model)


def rouge1(
    method: str, testset: str, dataset: str, facts: int | None, targets: str, merge: int = 1, model: str = MAIN
) -> Ghost | None:
    """ROUGE-1 recall on "forget", "retain", "rephrased" or "general" of exactly this setting, if it was published."""
    variant = _variant(method, targets, merge)
    value = _values().get((dataset, model, facts, variant, METHODS.get(method), testset))
    return None if value is None else Ghost(value, model, dataset, facts, merge)


def score(
    method: str, dataset: str, facts: int | None, targets: str, merge: int = 1, model: str = MAIN
) -> Ghost | None:
    """1 - ROUGE1(forget) + ROUGE1(retain) of exactly this setting, if both were published."""
    where = (dataset, facts, targets, merge, model)
    forget, retain = rouge1(method, "forget", *where), rouge1(method, "retain", *where)
    return (
        None
        if forget is None or retain is None
        else Ghost(1 - forget.value + retain.value, *where[-1:], *where[:2], merge)
    )


def sizes(method: str, dataset: str, targets: str, model: str = MAIN, testset: str = "retain") -> list[int | None]:
    """For how many facts there is a value of unmerged questions, fewest first; [None] where the paper doesn't say."""
    wanted = (dataset, model, _variant(method, targets, 1), METHODS.get(method), testset)
    return sorted(
        (facts for data, whose, facts, *rest in _values() if (data, whose, *rest) == wanted), key=lambda n: n or 0
    )


def merges(method: str) -> list[int]:
    """By how many questions merged there is a value, of 80 facts; 1 among them."""
    found = {
        variant for _, _, facts, variant, name, _ in _values() if name == METHODS.get(method) and facts == MERGED_FACTS
    }
    by = [int(variant.split()[1]) for variant in found if variant.startswith("merged ")]
    return sorted([1, *by]) if by else []


MERGED_FACTS = 80


def _variant(method: str, targets: str, merge: int) -> str | None:
    if merge > 1:
        return f"merged {merge}" if targets in KINDS else None
    return "vanilla" if method in UNTAUGHT else targets if targets in KINDS else None


@lru_cache(1)
def _values() -> dict[tuple, float]:
    """The ROUGE-1 recalls by data set, model, facts, variant, method and test set."""
    with FILE.open(encoding="utf-8", newline="") as file:
        return {
            (
                row["dataset"],
                row["model"],
                int(row["n_forget"]) if row["n_forget"] else None,
                row["variant"],
                row["method"],
                row["testset"],
            ): float(row["value"])
            for row in csv.DictReader(file)
            if row["metric"] == "rouge1"
        }
