"""What a manifest's fields may hold: anybody may have written them, and JSON knows Infinity and endless numbers."""

_MOST = 2**31


def is_whole(value, least: int = 0) -> bool:
    """A whole number of ordinary size, not a truth value and not 16.0."""
    return type(value) is int and least <= value < _MOST


def is_number(value) -> bool:
    """A number of ordinary size, whole or not: not a truth value, not infinite, not NaN."""
    return type(value) in (int, float) and -_MOST < value < _MOST


def are(values, kind: type) -> bool:
    """A list of values of one type."""
    return isinstance(values, list) and all(type(value) is kind for value in values)
