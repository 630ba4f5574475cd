"""The errors that a user reads. Each message is one clear sentence: what was seen, and what to do."""

import errno

# In torch's errors: on the CPU (on Linux and macOS, on Windows), and on GPUs that have no error of their own for it.
_EXHAUSTED = ("can't allocate memory", "not enough memory", "out of memory")


class UneditError(Exception):
    """Base of all errors whose text is meant for the user; shown as it is, never with a traceback."""


class BadInput(UneditError):
    """Something the user gave can't be used. The command line ends with status 2."""


class Failed(UneditError):
    """Something went wrong that is not the input's fault. The command line ends with status 1."""


def is_out_of_memory(error: BaseException | None) -> bool:
    """Whether the memory was not enough: Python's, a GPU's, or what torch on the CPU says in a plain RuntimeError."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _EXHAUSTED)
