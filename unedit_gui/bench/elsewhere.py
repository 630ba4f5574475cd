"""Work in a fresh process, in which nothing that ran before has left its memory."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from ..workbench import Workbench


@dataclass(frozen=True)
class Elsewhere:
    """A model by name in the user's workspace `home`, on a device in a dtype, and the home of the trials."""

    home: str
    name: str
    how: dict[str, str]
    threads: int
    trials: str

    def run(self, function: Callable[..., Any], *given: Any) -> Any:
        """`function(bench, trial, *given)`: workbenches of the user's home and of the trials', both with the model."""
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            return pool.submit(self._call, function, given).result()

    def _call(self, function: Callable[..., Any], given: tuple) -> Any:
        import torch

        torch.set_num_threads(self.threads)
        bench, trial = Workbench(self.home), Workbench(self.trials)
        trial.model = bench.load(self.name, **self.how)
        return function(bench, trial, *given)
