"""Edits leave the program: as a LoRA adapter for PEFT, as a checkpoint for transformers, as a manifest.

A low-rank edit says W' = W + left @ right^T, and a LoRA adapter W' = W + (alpha / r) B A. So B = left, A = right^T and
alpha = r is the same change, exactly (an edit by GA, GD, KL or DPO is LoRA to begin with; its scale goes into B), and
the deltas of stacked edits are one delta whose factors stand side by side. Layers differ in rank, so `rank_pattern` and
`alpha_pattern` name each one's own and the scale is 1 everywhere.

What is written is there whole or not at all, and nothing that exists is written over. Edits that decide reply by
reply (GRACE, WISE, IKE) change no weight: there is nothing that such a file could hold, and they are refused.
"""

import json
import os
import shutil
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors.torch import save_file

from ..errors import BadInput, Failed
from ..workspace import safe_name
from . import card
from .edit import WEIGHTS, Edit

FORMS = ("peft", "merged", "manifest")
SHARD = 2**30  # bytes of a checkpoint's file at most: between two of them a stop is looked at


@dataclass(frozen=True)
class Exported:
    """What was written: the folder, its files with their sizes in bytes, what to beware of, how to load it."""

    form: str
    folder: Path
    files: dict[str, int]
    warning: str
    usage: str

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(self.files.values())


def why_not(edits: Sequence[Edit], form: str) -> str:
    """Why these edits can't leave in this form, and what to do instead; "" if they can."""
    if form == "manifest":
        return ""
    for edit in edits:
        if edit.kind not in WEIGHTS:
            return (
                f"{edit.name} can't be exported as {card.NAMES[form]}: {edit.method_label} decides reply by reply and "
                "changes no weight. Hand on the edit itself (its folder, or the zip file that the page offers), or "
                "make the same questions forgotten with AlphaEdit."
            )
    if not any(True for edit in edits for _ in edit.deltas()):
        return "These edits change no weight at all, so there is nothing to export; make them again."
    return ""


def export(model, edits: Sequence[Edit], form: str, folder: Path, *, workspace, job=None) -> Exported:
    """Write stacked edits, the oldest first, to a new or empty folder.

    Args:
        model: the base model that they were made for; None will do for a manifest.
        form: "peft" (adapter_config.json, adapter_model.safetensors), "merged" (a whole checkpoint with tokenizer
            and chat template) or "manifest" (manifest.json with the edits' manifests alone).

    Raises:
        BadInput: no such form, edits that can't leave in it, a folder that is in use. Failed: the disk is too small.
        Stopped: the job was stopped; nothing is left behind.
    """
    if form not in FORMS:
        raise BadInput(f"There is no form of export called {form!r}; choose one of {', '.join(FORMS)}.")
    if not edits:
        raise BadInput("There is no edit to export; name one, or switch one on.")
    if reason := why_not(edits, form):
        raise BadInput(reason)
    with _written(Path(folder), workspace) as part:
        if form == "manifest":
            text = json.dumps({"edits": [edit.document() for edit in edits]}, indent=1, ensure_ascii=False)
            (part / "manifest.json").write_text(text + "\n", "utf-8")
        else:
            (write_adapter if form == "peft" else write_merged)(model, edits, part, job)
            (part / "README.md").write_text(card.text(model, edits, form), "utf-8")
    files = {path.name: path.stat().st_size for path in sorted(Path(folder).iterdir())}
    warning, usage = ("", "") if form == "manifest" else (card.warning(model), card.usage(model, form))
    return Exported(form, Path(folder), files, warning, usage)


def default_name(edits: Sequence[Edit], form: str) -> str:
    """A name for the folder of an export."""
    return safe_name(f"{edits[-1].name if edits else 'none'}-{form}")


def write_adapter(model, edits: Sequence[Edit], folder: Path, job=None) -> None:
    """The adapter's files, as `peft` writes them itself. Factors stay in float32 and are not rounded."""
    if job is not None:
        job.progress("Writing the adapter")
    tensors, ranks = {}, {}
    for module, left, right in combined(edits):
        ranks[module] = left.shape[1]
        tensors[f"base_model.model.{module}.lora_A.weight"] = right.T.contiguous()
        tensors[f"base_model.model.{module}.lora_B.weight"] = left.contiguous()
    most = max(ranks.values())
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": model.name if model.card.source == "hub" else None,
        "r": most,
        "lora_alpha": most,
        "rank_pattern": ranks,
        "alpha_pattern": ranks,
        "target_modules": sorted(ranks),
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": model.layout.transposed,
        "inference_mode": True,
        "peft_version": _version("peft"),
    }
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})


def write_merged(model, edits: Sequence[Edit], folder: Path, job=None) -> None:
    """A checkpoint with the edits in its weights. The model in memory is only read; sums are taken in float32."""
    tied = set(getattr(model.hf, "all_tied_weights_keys", None) or ())
    weights = {name: tensor for name, tensor in model.hf.state_dict().items() if name not in tied}
    if away := [name for name, tensor in weights.items() if tensor.is_meta]:
        raise Failed(f"{model.name} is partly kept on disk ({away[0]}); load it where it fits into memory, and export.")
    total = sum(tensor.nbytes for tensor in weights.values())
    free = shutil.disk_usage(folder).free
    if total > free:
        raise Failed(f"The checkpoint takes {total / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB are free there.")
    changes = {f"{module}.weight": (left, right) for module, left, right in combined(edits)}
    shards = split_torch_state_dict_into_shards(weights, max_shard_size=SHARD)
    done = 0
    for file, names in shards.filename_to_tensors.items():
        if job is not None:
            job.progress("Writing the checkpoint (MB)", done // 10**6, total // 10**6)
        held = {}
        for name in names:
            tensor = weights[name].detach().cpu()
            if name in changes:
                left, right = changes[name]
                delta = right @ left.T if model.layout.transposed else left @ right.T
                tensor = (tensor.float() + delta).to(tensor.dtype)
            held[name] = tensor.contiguous()
        save_file(held, folder / file, metadata={"format": "pt"})
        done += sum(tensor.nbytes for tensor in held.values())
        if job is not None:
            job.check()
    if shards.is_sharded:
        index = {"metadata": {"total_size": total}, "weight_map": shards.tensor_to_filename}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n", "utf-8")
    model.hf.config.save_pretrained(folder)
    if model.hf.generation_config is not None:
        model.hf.generation_config.save_pretrained(folder)
    model.tokenizer.save_pretrained(folder)


def combined(edits: Sequence[Edit]) -> list[tuple[str, torch.Tensor, torch.Tensor]]:
    """(module, left, right) of a stack: the deltas of each module as one, factors side by side.

    Where that makes more columns than the projection has rows, the same delta is written with as few as it needs.
    """
    lefts, rights = {}, {}
    for edit in edits:
        for module, left, right in edit.deltas():
            lefts.setdefault(module, []).append(left)
            rights.setdefault(module, []).append(right)
    found = []
    for module in sorted(lefts):
        left, right = torch.cat(lefts[module], 1), torch.cat(rights[module], 1)
        if left.shape[1] > min(len(left), len(right)):
            q, rest = torch.linalg.qr((left if len(left) <= len(right) else right).double())
            other = (right if len(left) <= len(right) else left).double() @ rest.T
            left, right = (q, other) if len(left) <= len(right) else (other, q)
            left, right = left.float(), right.float()
        found.append((module, left, right))
    return found


@contextmanager
def _written(folder: Path, workspace):
    """A folder that takes its name when the block ends well; BadInput, also at the end, if that name is in use."""
    folder = Path(os.path.abspath(folder))

    def check() -> None:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise BadInput(f"{folder} exists already and is not an empty folder; choose another one.")

    try:
        check()
        with workspace.atomic_folder(folder) as part:
            yield part
            check()
    except OSError as error:
        raise BadInput(f"The export can't be written to {folder} ({error.strerror}); choose another folder.") from error


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
