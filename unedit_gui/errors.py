"""The errors that a user reads. Each message is one clear sentence: what was seen, and what to do."""


class UneditError(Exception):
    """Base of all errors whose text is meant for the user; shown as it is, never with a traceback."""


class BadInput(UneditError):
    """Something the user gave can't be used. The command line ends with status 2."""


class Failed(UneditError):
    """Something went wrong that is not the input's fault. The command line ends with status 1."""
