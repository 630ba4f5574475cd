"""The editing methods. Importing this package registers them all."""

from . import alphaedit, grace, ike, memit, rome, wise
from .base import METHODS, Hparams, Method, Request, hparams_from

__all__ = [
    "METHODS",
    "Hparams",
    "Method",
    "Request",
    "alphaedit",
    "grace",
    "hparams_from",
    "ike",
    "memit",
    "rome",
    "wise",
]
