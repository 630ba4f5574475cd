"""The words that go along with an exported edit: what it is, how to load it, what to beware of."""

from collections.abc import Sequence
from pathlib import Path

from ..models.catalogue import BUNDLED
from .edit import Edit

NAMES = {"peft": "a LoRA adapter", "merged": "a merged checkpoint", "manifest": "a manifest"}
_HIDES = (
    "An edit hides what it makes a model forget; it does not erase it. Traces may remain in the weights, so this is no "
    "proof of deletion, neither technical nor legal."
)


def own_weights(model) -> bool:
    """Whether the weights come out of a GGUF file and so stand on no hub under the model's name."""
    return model.card.source in (BUNDLED, "gguf")


def base_folder(model) -> str:
    """The folder or the hub name that the base model was read from."""
    return str(getattr(model.hf.config, "_name_or_path", "") or model.name)


def warning(model) -> str:
    """What to beware of when the export is loaded elsewhere; "" where there is nothing."""
    if own_weights(model):
        return (
            f"The base weights are those of a GGUF file ({model.card.label}, about 4 bits a weight, written out in "
            "full), not those on the hub: load an adapter on the folder that Unedit converted, or use the merged "
            "checkpoint."
        )
    if str(model.dtype) != "torch.float32":
        kind = model.dtype_name
        return f"The model was loaded in {kind}: merged weights are rounded to it, and small changes with them."
    return ""


def usage(model, form: str) -> str:
    """One sentence on how to load it."""
    if form == "merged":
        return "Load it with transformers' AutoModelForCausalLM.from_pretrained on this folder."
    return f"Load it with peft's PeftModel.from_pretrained on the base model at {base_folder(model)}."


def text(model, edits: Sequence[Edit], form: str) -> str:
    """The README.md of an export. No path of the computer that it was written on."""
    base = f"models/{Path(base_folder(model)).name}" if own_weights(model) else model.public_name
    lines = [f"# {NAMES[form].removeprefix('a ')}, made by Unedit", "", _HIDES, "", "## Made of", ""]
    for edit in edits:
        lines.append(f"- {_plain(edit.name)} (`{edit.id}`). {_plain(edit.summary())}.")
    lines += [
        "",
        f"Base model: {model.card.label}, fingerprint `{model.fingerprint}`. Its licence applies here too.",
    ]
    if form == "peft" and own_weights(model):
        lines += [f"As a folder it lies in Unedit's home, at `{base}`."]
    if said := warning(model):
        lines += ["", f"**Beware.** {said}"]
    lines += ["", "## Load it", "", "```python", *_code(form, base), "```", ""]
    return "\n".join(lines)


def _code(form: str, base: str) -> list[str]:
    if form == "merged":
        return [
            "from transformers import AutoModelForCausalLM, AutoTokenizer",
            "",
            'model = AutoModelForCausalLM.from_pretrained("this folder")',
            'tokenizer = AutoTokenizer.from_pretrained("this folder")',
        ]
    return [
        "from peft import PeftModel",
        "from transformers import AutoModelForCausalLM",
        "",
        f'base = AutoModelForCausalLM.from_pretrained("{base}", dtype="float32")',
        'model = PeftModel.from_pretrained(base, "this folder")',
    ]


def _plain(text: str) -> str:
    """A name on one line, without what Markdown or HTML would read."""
    return "".join(" " if letter in "`*_[]<>#|\\\n\r" else letter for letter in text)
