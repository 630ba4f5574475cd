"""Runs: an edit, made and scored, kept with all that is needed to look at it later and to do it again."""

from .record import Run, Settings, read_run, write_run

__all__ = ["Run", "Settings", "read_run", "write_run"]
