"""Runs: an edit, made and scored, kept with all that is needed to look at it later and to do it again."""

from .config import Config, read_config
from .record import Run, Settings, read_run, write_run
from .store import Failure, Runs

__all__ = ["Config", "Failure", "Run", "Runs", "Settings", "read_config", "read_run", "write_run"]
