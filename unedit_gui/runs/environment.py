"""Where a run took place: what its figures' last digits may depend on."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__

if TYPE_CHECKING:
    from ..models.loading import LoadedModel


def environment(model: LoadedModel) -> dict[str, Any]:
    """Versions, threads, device, dtype and processor, as `Run.environment` has them."""
    import torch

    packages = {name: version(name) for name in ("torch", "transformers")}
    return {
        "versions": {"unedit": __version__, **packages, "python": platform.python_version()},
        "threads": torch.get_num_threads(),
        "device": model.device.type,
        "dtype": model.dtype_name,
        "processor": _processor(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()
