"""What a benchmark prints: figures with their limits, and the most memory that a piece of work took."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

LOOK = 0.02  # seconds between two looks at the memory in use


@dataclass(frozen=True)
class Row:
    """One figure. ratio: of the limit, below 1 where it is met; None without a limit. peak: most bytes in use while it
    was measured, the model's included; cpu: CPU seconds of all threads meanwhile. note: what it was compared with, or
    why it was left out (then value is None)."""

    name: str
    value: float | None
    limit: float | None = None
    ratio: float | None = None
    peak: int | None = None
    cpu: float | None = None
    note: str = ""


class Took(NamedTuple):
    """What a piece of work took: seconds, CPU seconds of all threads, most bytes in use, and what it returned."""

    seconds: float
    cpu: float
    peak: int
    result: Any


class Rows:
    """The figures of one run, in the order in which they were measured; `tell` hears each at once."""

    def __init__(self, on_gpu: bool = False, tell: Callable[[Row], None] | None = None) -> None:
        self.found: list[Row] = []
        self.on_gpu, self._tell = on_gpu, tell

    def add(
        self,
        name: str,
        value: float | None,
        limit: float | None = None,
        *,
        least: bool = False,
        took: Took | None = None,
        note: str = "",
    ) -> None:
        """Note a figure that is to stay below `limit`; `least`: that is to reach it. took: the work behind it."""
        ratio = None
        if value is not None and limit is not None:
            ratio = round(limit / max(value, 1e-9) if least else value / limit, 3)
        peak, cpu = (took.peak, round(took.cpu, 2)) if took else (None, None)
        row = Row(name, None if value is None else round(value, 3), limit, ratio, peak, cpu, note)
        self.found.append(row)
        if self._tell:
            self._tell(row)

    def timed(self, work: Callable[[], Any]) -> Took:
        """Do the work, and measure what it takes."""
        with _Peak(self.on_gpu) as peak:
            started, used = time.perf_counter(), time.process_time()
            result = work()
            seconds, cpu = time.perf_counter() - started, time.process_time() - used
        return Took(seconds, cpu, peak.most, result)

    def to_json(self) -> list[dict[str, Any]]:
        return [asdict(row) for row in self.found]


class _Peak:
    """The most bytes in use while a block runs: the GPU's own count, else this process's resident memory, which Linux
    keeps the most of itself and others are asked for again and again."""

    def __init__(self, on_gpu: bool) -> None:
        self._on_gpu, self.most = on_gpu, 0

    def __enter__(self) -> _Peak:
        if self._on_gpu:
            import torch

            torch.cuda.reset_peak_memory_stats()
            return self
        self._kept = _forget_the_most()
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()
        return self

    def _look(self) -> None:
        import psutil

        process = psutil.Process()
        while True:
            self.most = max(self.most, process.memory_info().rss)
            if self._kept or self._over.wait(LOOK):
                return

    def __exit__(self, *_error: object) -> None:
        if self._on_gpu:
            import torch

            self.most = torch.cuda.max_memory_allocated()
            return
        self._over.set()
        self._watch.join()
        if self._kept:
            said = next(line for line in _STATUS.read_text("ascii").splitlines() if line.startswith("VmHWM:"))
            self.most = max(self.most, int(said.split()[1]) * 1024)


_STATUS = Path("/proc/self/status")


def _forget_the_most() -> bool:
    """Whether the system began anew with the most memory that this process has had."""
    try:
        Path("/proc/self/clear_refs").write_text("5", "ascii")
        return "VmHWM:" in _STATUS.read_text("ascii")
    except OSError:
        return False
