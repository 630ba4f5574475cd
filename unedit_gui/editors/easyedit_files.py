"""EasyEdit's YAML hyperparameter files (hparams/ROME/llama-7b.yaml ...), read as they are.

What means the same here is taken as it stands: layers, steps, clamp, KL factor, L2 and so on. Some numbers are counted
in another unit here (a rate in lengths of the vector that it moves, a threshold in mean eigenvalues), and copying them
would be wrong: EasyEdit's threshold 0.02 leaves no direction free in that unit, its lambda 15000 changes nothing. These
are scaled instead (ours): EasyEdit's own value for 7-8B models stands for the default of the loaded model, and a file
that has half of it gives half of the default. Everything else is listed with the reason; nothing is dropped in silence.
"""

import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .. import plain_yaml
from ..errors import BadInput
from .base import METHODS, hparams_from

LARGEST = 100_000  # bytes
_METHODS = {
    "ROME": "rome",
    "R-ROME": "rome",
    "MEMIT": "memit",
    "AlphaEdit": "alphaedit",
    "GRACE": "grace",
    "WISE": "wise",
    "IKE": "ike",
}
_SAME = {
    "layers": "layers",
    "v_num_grad_steps": "steps",
    "n_iter": "steps",
    "clamp_norm_factor": "clamp",
    "kl_factor": "kl_factor",
    "L2": "l2",
    "mask_ratio": "mask_ratio",
    "act_ratio": "act_ratio",
    "densities": "density",
    "k": "k",
}
# key: (setting, EasyEdit's own value, the unit here). With a method's name where that makes a difference.
_SCALED = {
    "v_lr": ("lr", 0.5, "lengths of the original vector"),
    "alphaedit v_lr": ("lr", 0.1, "lengths of the original vector"),
    "memit mom2_update_weight": ("lam", 15000.0, "the second moments of this program's text"),
    "nullspace_threshold": ("threshold", 2e-2, "mean eigenvalues"),
    "grace edit_lr": ("lr", 1.0, "lengths of the original vector"),
    "wise edit_lr": ("lr", 1.0, "mean sizes of an entry of W"),
    "eps": ("eps", 1.0, "typical distances between unrelated questions"),
}
_MARGINS = (("alpha", 5.0), ("beta", 20.0), ("gamma", 10.0))  # WISE's act_margin
_ELSEWHERE = "the model, its device and its folders are chosen elsewhere"
_FOUND = "read off the model's layout"
_WHY = {
    **dict.fromkeys(("model_name", "device", "model_parallel", "stats_dir", "results_dir", "P_loc"), _ELSEWHERE),
    **dict.fromkeys(("fp16", "save_path", "load_path", "sentence_model_name", "tokenizer_name"), _ELSEWHERE),
    **dict.fromkeys(("rewrite_module_tmp", "layer_module_tmp", "mlp_module_tmp", "attn_module_tmp"), _FOUND),
    **dict.fromkeys(("ln_f_module", "lm_head_module", "v_loss_layer"), _FOUND),
    "alg_name": "it names the method",
    "fact_token": "an edit sits at the last token of the subject",
    "layer_selection": "all layers named are changed",
    "context_template_length_params": "wordings around the question are made by rules; see the setting contexts",
    "mom2_dataset": "second moments are taken over questions and replies in the chat template",
    "mom2_n_samples": "second moments are taken over questions and replies in the chat template",
    "mom2_dtype": "moments are summed in full precision",
    "v_weight_decay": "another formula: the decay here is on the squared length, in lengths of the original vector",
    "mom2_adjustment": "keys are always weighed by the second moments",
    "mom2_update_weight": "AlphaEdit projects and has no such weight",
    "norm_constraint": "no counterpart; the rate falls along a cosine instead",
    "objective_optimization": "the refusal alone is learned",
    "merge_alg": "shards are merged by TIES",
    "weights": "shards weigh the same",
    "retrieve": "there is one side memory, with its shards merged",
    "replay": "all facts of an edit are learned together",
    "dist_fn": "distances are Euclidean",
    "replacement": "the last token of the prompt is replaced",
    "eps_expand": "radii grow over equal refusals and split between others",
    "max_length": "prompts are never cut",
    "batch_size": "all requests are solved together",
}
_NONE = "no counterpart here"
_PLACES = (_ELSEWHERE, _FOUND, _WHY["alg_name"])


@dataclass(frozen=True)
class Row:
    """One line of a file: its key and value; the setting and the value that came of it (None: none), and a remark."""

    key: str
    value: Any
    setting: str | None
    used: Any
    remark: str


@dataclass(frozen=True)
class Translated:
    """A file for one model: our method, its settings, and what became of each line. `given`: the file's own values."""

    method: str
    settings: dict[str, Any]
    rows: tuple[Row, ...]
    given: dict[str, Any]

    @property
    def left_out(self) -> tuple[Row, ...]:
        """The lines that changed nothing, but for those that say what model and where."""
        return tuple(row for row in self.rows if row.setting is None and row.remark not in _PLACES)


def load(path: Path) -> bytes:
    """A file's bytes, no more than `read` takes.

    Raises:
        BadInput: there is no such file.
    """
    try:
        with path.open("rb") as stream:
            return stream.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        raise BadInput(f"There is no readable file at {path}; check the path.") from error


def read(content: bytes, name: str) -> tuple[str, dict[str, Any]]:
    """(our method, the file's values) of a YAML file's bytes; `name` is what to call it in a sentence.

    Raises:
        BadInput: it is too large, no YAML or one with aliases, no mapping, names no method, or one that isn't here.
    """
    if len(content) > LARGEST:
        raise BadInput(f"{name} has {len(content):,} bytes; a hyperparameter file has a few thousand at most.")
    try:
        values = plain_yaml.load(content.decode("utf-8"), name)
    except (UnicodeDecodeError, yaml.YAMLError, ValueError, RecursionError) as error:
        raise BadInput(f"{name} is no YAML that can be read; give one of EasyEdit's hparams files.") from error
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise BadInput(f"{name} holds no settings (key: value); give one of EasyEdit's hparams files.")
    values = {key: _number(value) for key, value in values.items()}
    if odd := [key for key, value in values.items() if not _is_finite(value)]:
        raise BadInput(f"{name}: {odd[0][:40]!r} is too large, or no number; give one that can be computed with.")
    algorithm = values.get("alg_name") or values.get("alg")
    if algorithm is None:
        raise BadInput(f"{name} has no alg_name; give one of EasyEdit's hparams files.")
    if not isinstance(algorithm, str) or algorithm not in _METHODS:
        raise BadInput(f"{name} is for {str(algorithm)[:40]!r}; those for {', '.join(_METHODS)} can be read.")
    return _METHODS[algorithm], values


def translate(content: bytes, name: str, model) -> Translated:
    """A file's settings for a loaded model; without one its method and its own values alone.

    Raises:
        BadInput: as `read`, or a value that the method here can't take (a layer that the model doesn't have).
    """
    method, given = read(content, name)
    if model is None:
        return Translated(method, {}, (), given)
    defaults = METHODS[method].defaults(model)
    settings: dict[str, Any] = {}
    rows = []
    for key, value in given.items():
        for row in _lines(method, key, value, defaults, given):
            if row.setting is not None:
                settings[row.setting] = row.used
            rows.append(row)
    try:
        hparams_from(method, model, settings)
    except BadInput as error:
        raise BadInput(f"{name}: {error}") from error
    return Translated(method, settings, tuple(rows), given)


def _lines(method: str, key: str, value: Any, defaults, given: Mapping[str, Any]) -> list[Row]:
    if key == "inner_params":
        layers = [int(n) for text in _list(value) for n in re.findall(r"[.\[](\d+)\b", str(text))]
        return [Row(key, value, "layers", layers, "")] if layers else [Row(key, value, None, None, _NONE)]
    if key == "act_margin" and isinstance(value, list) and len(value) == len(_MARGINS) and all(map(_is_number, value)):
        return [
            _scaled(key, one, name, own, "mean lengths of W x", defaults)
            for one, (name, own) in zip(value, _MARGINS, strict=True)
        ]
    if key == "merge_freq" and method == "wise":
        each = given.get("save_freq")
        if _is_number(value) and _is_number(each) and each > 0 and 1 <= value / each < math.inf:
            return [Row(key, value, "shards", int(value / each), "merge_freq / save_freq shards are merged")]
    if key == "save_freq":
        return [Row(key, value, None, None, "see merge_freq")]
    found = _SCALED.get(f"{method} {key}") or _SCALED.get(key)
    if found and _is_number(value) and hasattr(defaults, found[0]):
        return [_scaled(key, value, *found, defaults)]
    if key in _SAME and hasattr(defaults, _SAME[key]):
        return [Row(key, value, _SAME[key], value, "")]
    return [Row(key, value, None, None, _WHY.get(key, _NONE))]


def _scaled(key: str, value: float, setting: str, own: float, unit: str, defaults) -> Row:
    default = getattr(defaults, setting)
    used = float(f"{value / own * default:.6g}")
    return Row(key, value, setting, used, f"counted in {unit} here; EasyEdit's {own:g} stands for {default:g}")


def _number(value: Any) -> Any:
    """YAML 1.1 takes 5e-1 and 1e-3 for texts."""
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+", value.strip()):
        return float(value)
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_finite(value: Any) -> bool:
    """Whether no number in a value is infinite, none at all, or a whole one beyond every float."""
    if isinstance(value, list | dict):
        return all(map(_is_finite, value.values() if isinstance(value, dict) else value))
    return not _is_number(value) or abs(value) <= sys.float_info.max


def _list(value: Any) -> list:
    return value if isinstance(value, list) else [value]
