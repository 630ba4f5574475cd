"""What `edit` does with --hparams and --engine."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from ..errors import BadInput
from ..workbench import Workbench


def method_of(options: argparse.Namespace, bench: Workbench) -> str:
    """The method that --method or the file of --hparams names. Told before the model is loaded."""
    method = options.method
    if options.hparams:
        named = bench.read_hparams(options.hparams).method
        if method not in (None, named):
            raise BadInput(f"--method {method}: the file {options.hparams} is for {named}; leave one of them out.")
        method = named
    if method is None:
        raise BadInput("--method is missing; name one, or give --hparams FILE with one in it.")
    if method not in bench.methods():
        raise BadInput(f"--method {method}: choose one of {', '.join(bench.methods())}.")
    bench.check_engine(options.engine, method)
    return method


def with_file(
    options: argparse.Namespace, bench: Workbench, overrides: dict[str, str]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The settings of --hparams with those of --set on top, and what became of each line of the file.

    EasyEdit's own program takes its file as it is; Unedit's editors take what it says in their terms.
    """
    if not options.hparams:
        return overrides, []
    file = bench.read_hparams(options.hparams)
    if options.engine == "easyedit":
        return {**file.given, **overrides}, []
    return {**file.settings, **overrides}, [asdict(row) for row in file.rows]
