"""YAML that somebody wrote or sent: read without aliases.

A few hundred bytes of nested aliases (`b: [*a, *a]`, `c: [*b, *b]` ...) stand for more values than any memory holds.
"""

from typing import Any

import yaml

from .errors import BadInput


def load(text: str, name: str) -> Any:
    """The plain values of a YAML text; `name` is what to call it in a sentence.

    Raises:
        BadInput: it uses aliases. yaml.YAMLError, RecursionError or ValueError: it is no YAML that can be read.
    """
    if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
        raise BadInput(f"{name} uses YAML aliases (*name); write what they stand for.")
    return yaml.safe_load(text)
