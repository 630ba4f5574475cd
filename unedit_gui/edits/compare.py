"""Two edits beside each other: what of their manifests agrees, what differs, and how alike their changes are.

The last is the cosine of the two deltas, taken as one long vector: 1 the same direction, 0 nothing in common. From the
factors, without the dense matrices:

    <Delta_1, Delta_2> = sum over modules of trace((left_1^T left_2) (right_2^T right_1))
"""

from dataclasses import dataclass
from typing import Any

from .edit import Edit

_PLAIN = ("method", "kind", "model", "base", "seed", "layers", "on", "protect")


@dataclass(frozen=True)
class Comparison:
    """Two edits compared.

    rows: (what, value of the first, value of the second, whether they agree), fields that only one has included;
    `hparams.` and the name stand before a setting. requests: (question, target of the first, target of the second),
    "" where one doesn't have it. norms: Frobenius norm of each delta; cosine: see above. None where an edit changes
    no weight.
    """

    names: tuple[str, str]
    ids: tuple[str, str]
    rows: tuple[tuple[str, Any, Any, bool], ...]
    requests: tuple[tuple[str, str, str], ...]
    norms: tuple[float | None, float | None]
    cosine: float | None

    @property
    def differing(self) -> tuple[tuple[str, Any, Any, bool], ...]:
        """The rows that don't agree."""
        return tuple(row for row in self.rows if not row[3])

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "names": list(self.names),
            "ids": list(self.ids),
            "fields": [{"field": what, "first": a, "second": b, "same": same} for what, a, b, same in self.rows],
            "requests": [{"question": question, "first": a, "second": b} for question, a, b in self.requests],
            "norms": list(self.norms),
            "cosine": self.cosine,
        }


def compare(first: Edit, second: Edit) -> Comparison:
    """Compare two edits; neither needs its model."""
    left, right = _fields(first), _fields(second)
    rows = []
    for what in dict.fromkeys((*left, *right)):
        a, b = left.get(what), right.get(what)
        rows.append((what, a, b, what in left and what in right and a == b))
    targets = [{r["question"]: r["target_new"] for r in edit.requests} for edit in (first, second)]
    questions = dict.fromkeys((*targets[0], *targets[1]))
    inner = {(i, j): _inner(a, b) for i, a in enumerate((first, second)) for j, b in enumerate((first, second))}
    norms = tuple(inner[i, i] ** 0.5 if inner[i, i] else None for i in (0, 1))
    cosine = inner[0, 1] / (norms[0] * norms[1]) if all(norms) else None
    return Comparison(
        (first.name, second.name),
        (first.id, second.id),
        tuple(rows),
        tuple((question, targets[0].get(question, ""), targets[1].get(question, "")) for question in questions),
        norms,
        cosine,
    )


def _fields(edit: Edit) -> dict[str, Any]:
    found = {name: edit.manifest.get(name) for name in _PLAIN if name in edit.manifest}
    found["rank"] = edit.rank() or None
    found["facts"] = len(edit.requests)
    settings = edit.manifest.get("hparams", {}).items()
    found.update({f"hparams.{name}": value for name, value in settings if name not in found or value != found[name]})
    return found


def _inner(first: Edit, second: Edit) -> float:
    """<Delta_1, Delta_2> in float64, over the modules that both change and that are of one shape in both."""
    other = {module: (left.double(), right.double()) for module, left, right in second.deltas()}
    total = 0.0
    for module, *factors in first.deltas():
        if module in other and [f.shape[0] for f in factors] == [f.shape[0] for f in other[module]]:
            lefts, rights = (own.double().T @ its for own, its in zip(factors, other[module], strict=True))
            total += float((lefts * rights).sum())
    return total
