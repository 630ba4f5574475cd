"""What an edit decided for one reply, so that a reader can see why the reply is as it is."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Trace:
    """One edit's part in one reply.

    `acted`: whether the edit had a hand in it. `text` is short ("side memory (0.83 against 0.61)"), `hint` says what
    that means, `demonstrations` are (question, reply) in the order in which the model read them.
    """

    method: str
    edit: str
    acted: bool
    text: str
    hint: str = ""
    demonstrations: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Seat:
    """A row of a batch. Where the batch reads the row's whole prompt: the columns of the last user turn's own tokens
    (first, behind the last) and the column behind the prompt; None while it goes on with the reply."""

    row: int
    asked: tuple[int, int] | None = None
    end: int | None = None
