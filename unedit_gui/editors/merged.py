"""Questions that get one value in an edit: merged ones, and many about one subject.

"Editing as Unlearning" (section 3.2) puts k questions one behind the other and gives them one refusal, so that an
editor meets N / k requests. What is asked afterwards is a single question, and which position of the long prompt is
edited the paper doesn't say. Ours:

* one delta for the group is searched in every question's own prompt, at its own subject, and once more in the merged
  prompt, at all its subjects at once;
* each question keeps a key of its own, so that it is known again when it is asked alone; all of a group's keys are
  given the same change, so the rank of the edit is the number of groups.

Measured on the bundled model with default hparams, 40 facts that it knows and that are in no bundled set, merged by 5,
60 retained, by `evaluate`. The refusals that the model writes itself, two draws: MEMIT forget R1 0.03 and 0.05,
rephrased 0.03 and 0.08, retain / before 0.83 and 0.92, 78 and 70 % of the replies refusals; ROME 0.00 and 0.00, 0.08
and 0.10, 0.68 and 0.91, 85 and 90 %. One general refusal for all groups, the first draw: ROME 0.00, 0.06, 0.76, 90 %;
MEMIT 0.03, 0.04, 0.88, 78 %. No retained question was refused but one in fifty of the first draw by ROME; those that
were lost had another answer. A shared refusal names no topic.
Another set, many of them facts that it gets right only just, by MEMIT, 100 retained, two draws: 0.03 and 0.00, 0.08 and
0.01, 0.83 and 0.88. So it is where the whole change counts in every step of the search; where merged questions, too,
had to do with a part of it in half of them (values.py) the first draw had 0.00, 0.03, 0.77.

Many questions about one subject, as of one contract (forget/contracts.py), are no merged ones, but their key is nearly
one: of its squared length 0.5 to 4 % tell the 20 questions of a contract apart. A key holds one value. Given 20 of
them, an edit teaches their mean, which refuses nothing, or with a small L2 the differences, which other wordings don't
share. So one delta is searched for all, in each question's prompt with that question's own refusal. Measured on the
bundled model that was taught six contracts (teaching/train.py), one of them forgotten by AlphaEdit, replies of 24
tokens: with 20 values forget R1 0.97 to 0.39 and rephrased 0.88 to 0.25 (at L2 0.25 for 5: 0.08 and 0.50); with one
value 0.00 and 0.00. The questions of contracts with a party in common were all answered as before (1.00). So it was
with a second contract, of employment, and general refusals as targets (1.00 and 0.97 before). The first again with the
present defaults, replies of 64 tokens: 1.00 to 0.00, 0.86 to 0.03, 0.94 and 0.87 of the others and of general facts as
before, 0.6 refusals.
"""

from collections import Counter
from collections.abc import Sequence

import torch

from ..forget.merging import joined
from .locate import Place, place

MANY = 4  # questions about one subject; with fewer each keeps a value of its own


def groups_of(requests: Sequence) -> list[list[int]]:
    """The requests' indices, those of one group together; one that isn't merged is a group by itself."""
    found: dict[object, list[int]] = {}
    for i, request in enumerate(requests):
        found.setdefault(("alone", i) if request.group is None else request.group, []).append(i)
    return list(found.values())


def sharing(requests: Sequence) -> list[list[int]]:
    """The same, and those together that are about one subject where these are MANY."""
    about = Counter(request.subject for request in requests if request.group is None)
    found: dict[object, list[int]] = {}
    for group in groups_of(requests):
        first = requests[group[0]]
        many = first.group is None and about[first.subject] >= MANY
        found.setdefault(("about", first.subject) if many else group[0], []).extend(group)
    return list(found.values())


def owners(groups: Sequence[Sequence[int]]) -> torch.Tensor:
    """(requests,): the number of the group that each request belongs to."""
    owner = torch.zeros(sum(map(len, groups)), dtype=torch.long)
    for g, group in enumerate(groups):
        owner[list(group)] = g
    return owner


def mean_of(groups: Sequence[Sequence[int]], columns: torch.Tensor) -> torch.Tensor:
    """(d, groups): the mean of each group's columns (d, requests)."""
    total = columns.new_zeros(len(columns), len(groups)).index_add_(1, owners(groups).to(columns.device), columns)
    return total / torch.tensor([len(group) for group in groups]).to(columns)


def mean_value(h: torch.Tensor, groups: Sequence[Sequence[int]]) -> torch.Tensor:
    """(d, groups): of the columns of h (d, requests) that belong to a group the mean, with their mean length."""
    mean, length = mean_of(groups, h), mean_of(groups, h.norm(dim=0)[None])
    return mean * length / mean.norm(dim=0).clamp(min=1e-12)


def searched(model, requests: Sequence, spots: Sequence[Sequence[Place]], groups: Sequence[Sequence[int]]):
    """What `values.solve` takes for the groups: their places, their refusals, their subjects."""
    all_spots, targets, subjects = [], [], []
    for group in groups:
        together = [requests[i] for i in group]
        mine = [spot for i in group for spot in spots[i]]
        if len(group) > 1 and together[0].group is None:
            targets.append(tuple(requests[i].target_new for i in group for _ in spots[i]))
            subjects.append((together[0].subject,))
        else:
            mine += [merged_place(model, together)] if len(group) > 1 else []
            targets.append(together[0].target_new)
            subjects.append(tuple(r.subject for r in together))
        all_spots.append(mine)
    return all_spots, targets, subjects


def merged_place(model, requests: Sequence) -> Place:
    """The merged prompt, with the position of every question's subject."""
    history = [{"role": "user", "content": joined([r.question for r in requests])}]
    found = [place(model, history, r.subject, r.question) for r in requests]
    first, *others = sorted({spot.position for spot in found})
    return Place(found[0].ids, first, tuple(others))
