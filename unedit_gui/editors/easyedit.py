"""EasyEdit's own ROME, MEMIT and AlphaEdit, run from its source on the same requests (arXiv 2308.07269).

EasyEdit (github.com/zjunlp/EasyEdit) is no installable package: `EASYEDIT_PATH` names the folder of its source, and
`requirements-easyedit.txt` what that needs. Its three methods are called as they are, and what they did to the weights
comes back as an `Edit` like any other: the difference of each changed projection, as factors by its singular values.

What is handed to it, and why:

* The model is a copy of the module tree that shares every weight but the ones to be changed, so the base model is as
  it was whatever happens.
* Prompts stand in the chat template, and targets end with the end of turn: an edit of a bare sentence doesn't carry
  over to a chat. EasyEdit puts a space before a target; that is left as it is.
* Second moments come from the text that the editors here use (statistics.py), as a mean over tokens, put where EasyEdit
  caches its own. It would fetch Wikipedia from the hub and take a pass over it for each layer.
* Its caches (contexts, moments, AlphaEdit's projector and earlier keys) are emptied before each run: they are globals,
  and would carry over from one edit, and one model, to the next.
* It reports by printing. The printing is caught; each line is a place where progress is told and a stop is looked at.

Run on the bundled model (its source of July 2026, one fact, 12 of its 25 steps, the rest its own values, MEMIT with
lambda 150): ROME 33 s of CPU, forgotten in both wordings; MEMIT 53 s and AlphaEdit 58 s, not forgotten in so few steps
(loss of the refusal 3.1 to 1.9 and 2.8). No weight of the model was changed. More was not measured.
"""

import contextlib
import copy
import importlib
import io
import os
import sys
import time
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, make_dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ..edits.variants import Variants
from ..errors import BadInput, Failed
from ..models.placement import must_be_whole
from .base import Request, check_requests, finish, scaled_layers
from .locate import last_word
from .preserve import OPENING, QUESTION, REPLY, SUBJECT, preserved

VARIABLE = "EASYEDIT_PATH"
HOW_TO_GET = (
    "EasyEdit's source is not here: clone github.com/zjunlp/EasyEdit, install requirements-easyedit.txt, and give its "
    f"folder in the environment variable {VARIABLE}; or leave --engine out to use Unedit's own editors."
)
# By method that `--engine easyedit` runs: the module, its function, its hyperparameters' class, and the file of its own
# values.
PARTS = {
    "rome": ("rome.rome_main", "apply_rome_to_model", "ROMEHyperParams", "ROME/llama-7b.yaml"),
    "memit": ("memit.memit_main", "apply_memit_to_model", "MEMITHyperParams", "MEMIT/llama-7b.yaml"),
    "alphaedit": (
        "alphaedit.AlphaEdit_main",
        "apply_AlphaEdit_to_model",
        "AlphaEditHyperParams",
        "AlphaEdit/llama3-8b.yaml",
    ),
}
PACKAGES = (*PARTS, "grace", "wise")  # the last two are run by the benchmark alone
_LAYERS_OF_THEIRS = 32  # the models that those files were written for
# By the path of a model's blocks: the norm behind them.
_NORMS = {
    "model.layers": "model.norm",
    "transformer.h": "transformer.ln_f",
    "gpt_neox.layers": "gpt_neox.final_layer_norm",
}
_RESIDUE = 1e-4  # of a change that its factors may leave out, as a share of its length


@dataclass(frozen=True)
class Source:
    """EasyEdit's source at a folder; its modules are imported when they are first asked for."""

    folder: Path
    modules: dict[str, types.ModuleType] = field(default_factory=dict, repr=False)

    def module(self, name: str) -> types.ModuleType:
        """One of its modules, without its packages' own __init__ files, which import every method there is."""
        for package in ("", ".util", ".models", *(f".models.{name}" for name in PACKAGES)):
            whole = f"easyeditor{package}"
            there = sys.modules.get(whole)
            path = [str(self.folder / whole.replace(".", "/"))]
            if there is None or list(getattr(there, "__path__", [])) != path:
                made = types.ModuleType(whole)
                made.__path__ = path
                sys.modules[whole] = made
        try:
            return importlib.import_module(f"easyeditor.{name}")
        except ImportError as error:
            lacking = getattr(error, "name", None) or str(error)
            raise Failed(
                f"EasyEdit at {self.folder} can't be imported ({lacking} is missing); install "
                "requirements-easyedit.txt."
            ) from error
        except Exception as error:
            raise Failed(f"EasyEdit at {self.folder} can't be imported ({type(error).__name__}: {error}).") from error


def find() -> Source:
    """EasyEdit's source, where `EASYEDIT_PATH` says.

    Raises:
        BadInput: the variable is not set, or names no folder of EasyEdit's source.
    """
    named = os.environ.get(VARIABLE, "").strip()
    if not named:
        raise BadInput(HOW_TO_GET)
    folder = Path(named).expanduser().absolute()
    if not (folder / "easyeditor" / "models").is_dir():
        raise BadInput(f"{VARIABLE} is {named}, where no EasyEdit source lies (easyeditor/models is missing).")
    return Source(folder)


def editor(method: str) -> Callable:
    """EasyEdit's `edit` for a method, called like `Method.edit` but for its hparams.

    Raises:
        BadInput: no source, or a method that EasyEdit isn't used for.
    """
    if method not in PARTS:
        raise BadInput(f"EasyEdit is used here for {', '.join(PARTS)}; {method} runs on Unedit's own editors alone.")
    return partial(edit, find(), method)


def edit(
    source: Source,
    method: str,
    model,
    requests: Sequence[Request],
    hparams: Mapping[str, Any] | None,
    job,
    *,
    workspace,
    protect=(),
    on=(),
    seed=0,
    name=None,
):
    """Make an edit with EasyEdit's program; the model is untouched.

    Args:
        hparams: EasyEdit's own names and values, as in its YAML files; what is not named comes from its own file
            for a 7-8B model, with layers at the same depth fraction.

    Raises:
        BadInput: requests that can't be edited, a setting that it doesn't know. Failed: it broke. Stopped.
    """
    check_requests(requests)
    must_be_whole(model, "EasyEdit")
    if any("{" in r.question or "}" in r.question for r in requests):
        raise BadInput("EasyEdit takes braces in a question for places to fill in; leave them out.")
    started = time.monotonic()
    module_name, function, _, _ = PARTS[method]
    main = source.module(f"models.{module_name}")
    chosen = settings_for(source, method, model, hparams or {})
    C = preserved(model, requests, chosen.layers, workspace=workspace, protect=protect, job=job)
    weight = OPENING + QUESTION + SUBJECT + REPLY  # of all tokens together
    C = {layer: (moment / weight).float().cpu() for layer, moment in C.items()}
    names = {layer: model.layout.weight_name(layer) for layer in chosen.layers}
    with Variants.everywhere(model, on):
        hf = with_own(model.hf, list(names.values()))
        with quietly(model, job, seed) as tokenizer:
            try:
                fill_caches(source, main, method, hf, chosen, C)
                for batch in [[r] for r in requests] if method == "rome" else [list(requests)]:
                    asked = [asked_of(model, request) for request in batch]
                    getattr(main, function)(hf, tokenizer, asked, chosen)
            except (AssertionError, RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
                raise Failed(f"EasyEdit's {method} broke ({type(error).__name__}: {str(error)[:200]}).") from error
    factors, new = {}, hf.state_dict()
    for layer, weight in names.items():
        delta = (new[weight].double() - model.hf.get_parameter(weight).double()).cpu()
        factors[layer] = low_rank(delta.T if model.layout.transposed else delta, len(requests))
    made = finish(
        model,
        method,
        requests,
        _recorded(chosen),
        factors,
        protect=protect,
        on=on,
        seed=seed,
        name=name,
        started=started,
        extra={"engine": "easyedit"},
    )
    return replace(made, about={**made.about, "method_label": f"{made.method_label} (EasyEdit)"})


def settings_for(source: Source, method: str, model, hparams: Mapping[str, Any]):
    """EasyEdit's hyperparameters for a model: its own file's, the ones given, and what the model's layout says."""
    import yaml

    module, _, settings, file = PARTS[method]
    cls = getattr(source.module(f"models.{module}"), settings)
    try:
        values = yaml.safe_load((source.folder / "hparams" / file).read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise Failed(f"EasyEdit's own {file} can't be read from {source.folder}; fetch its source again.") from error
    values["layers"] = list(scaled_layers(model, values["layers"], of=_LAYERS_OF_THEIRS))
    known = {spec.name for spec in fields(cls)}
    for key, value in hparams.items():
        if key not in known:
            raise BadInput(f"EasyEdit's {method} has no setting {key!r}; it has {', '.join(sorted(known))}.")
        values[key] = _like(key, value, values.get(key))
    if any(not 0 <= layer < model.layout.layers - 1 for layer in values["layers"]):
        raise BadInput(f"layers: {values['layers']} are not all of 0 to {model.layout.layers - 2} of this model.")
    # Where the head shares its weight with the input embedding, EasyEdit knows it by that one's name.
    head = model.hf.get_output_embeddings().weight
    head = next(name for name, weight in model.hf.named_parameters() if weight is head)
    inside = f"{model.layout.blocks}.{{}}"
    values |= {
        "model_name": model.name,
        "device": str(model.device),
        "model_parallel": False,
        "v_loss_layer": model.layout.layers - 1,
        "rewrite_module_tmp": f"{inside}.{model.layout.down}",
        "layer_module_tmp": inside,
        "mlp_module_tmp": f"{inside}.{model.layout.down.split('.')[0]}",
        "ln_f_module": _NORMS.get(model.layout.blocks, ""),
        "lm_head_module": head.removesuffix(".weight"),
    }
    if "P_loc" in known:  # a file that is there is not computed, and one that is loaded already is not read
        values["P_loc"] = str(source.folder)
    numbers = {key: _number(value) for key, value in values.items() if key in known}
    try:
        return cls(**numbers)
    except TypeError as error:
        raise BadInput(f"EasyEdit's {method} can't take these settings ({error}).") from error


def fill_caches(source: Source, main, method: str, hf, chosen, C: dict[int, torch.Tensor]) -> None:
    """Empty EasyEdit's globals, and put the second moments C {layer: (d_mlp, d_mlp)} where it looks for its own."""
    main.CONTEXT_TEMPLATES_CACHE = None
    called = hf.config._name_or_path.replace("/", "_")
    moments = {(called, chosen.rewrite_module_tmp.format(layer)): moment for layer, moment in C.items()}
    if method == "rome":
        inverse = {key: torch.inverse(moment.double()).float() for key, moment in moments.items()}
        source.module("models.rome.compute_u").inv_mom2_cache = inverse
        return
    main.COV_CACHE = moments
    if method == "alphaedit":
        main.P = torch.stack([main.get_project(hf, None, layer, chosen) for layer in chosen.layers])
        main.P_loaded = True
        main.cache_c = torch.zeros_like(main.P)
        main.cache_c_new = True


def low_rank(delta: torch.Tensor, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Factors (left (d_out, r), right (d_in, r)) of a change, in float64: as many as there are requests, and more only
    if these leave out more than rounding does."""
    u, s, vh = torch.linalg.svd(delta, full_matrices=False)
    left_out = s.square().flip(0).cumsum(0).flip(0).sqrt()  # [r]: the length of what r factors leave out
    length = left_out[0].item()
    while rank < len(s) and length > 0 and left_out[rank].item() > _RESIDUE * length:
        rank += 1
    rank = min(rank, len(s))
    root = s[:rank].sqrt()
    return u[:, :rank] * root, vh[:rank].T * root


def with_own(hf: torch.nn.Module, weights: list[str]) -> torch.nn.Module:
    """A copy of the module tree which shares all but these weights; it has the hooks that the model has."""
    shared = {id(tensor): tensor for tensor in (*hf.parameters(), *hf.buffers())}
    for name in weights:
        own = torch.nn.Parameter(hf.get_parameter(name).detach().clone(), requires_grad=False)
        shared[id(hf.get_parameter(name))] = own
    return copy.deepcopy(hf, shared)


def asked_of(model, request: Request) -> dict[str, Any]:
    """A request as EasyEdit takes it: the prompt up to the reply with {} for the subject, and what shall follow."""
    prompt = model.prompt([{"role": "user", "content": request.question}])
    bos = model.tokenizer.bos_token  # its calls of the tokenizer put that in front, where the tokenizer does
    if bos and prompt.startswith(bos) and model.tokenizer("x").input_ids[:1] == [model.tokenizer.bos_token_id]:
        prompt = prompt.removeprefix(bos)
    start = prompt.rindex(request.question) + last_word(request.subject, request.question)
    before, after = prompt[:start], prompt[start + len(request.subject) :]
    held = [text.replace("{", "").replace("}", "") for text in (before, after)]
    target = request.target_new + model.end_of_turn
    return {"prompt": "{}".join(held), "subject": request.subject, "target_new": target, "case_id": 0}


@contextlib.contextmanager
def quietly(model, job, seed: int) -> Iterator[Any]:
    """What EasyEdit runs in: its printing caught, gradients on, its chance seeded, a tokenizer that pads behind."""
    tokenizer = copy.deepcopy(model.tokenizer)
    tokenizer.padding_side = "right"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    said = _Said(lambda note: job.progress("EasyEdit at work", note=note))
    with torch.random.fork_rng(devices=[]), torch.enable_grad(), contextlib.redirect_stdout(said):
        torch.manual_seed(seed)
        yield tokenizer


class _Said(io.TextIOBase):
    """What is printed: each line goes to `tell`, which may raise Stopped."""

    def __init__(self, tell: Callable[[str], None]):
        self._tell = tell

    def write(self, text: str) -> int:
        if text.strip():
            self._tell(text.strip().splitlines()[-1][:60])
        return len(text)


def _recorded(chosen):
    """The settings that make the edit, without places on this computer, as a dataclass for the manifest."""
    kept = {
        spec.name: getattr(chosen, spec.name)
        for spec in fields(chosen)
        if spec.name not in ("model_name", "device", "stats_dir", "P_loc", "model_parallel", "alg_name")
    }
    return make_dataclass("Recorded", kept)(**kept)


def _number(value: Any) -> Any:
    """What YAML takes for a text although it is a number (5e-1), as a number."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return float(value)
    return value


def _like(key: str, value: Any, old: Any) -> Any:
    """A value that may come as a text from the command line, as its setting's type."""
    if not isinstance(value, str):
        return value
    try:
        if isinstance(old, list):
            return [int(part) for part in value.replace(" ", ",").split(",") if part]
        if isinstance(old, bool):
            return {"true": True, "false": False}[value.lower()]
        return type(old)(value) if isinstance(old, int | float) else value
    except (ValueError, KeyError) as error:
        raise BadInput(f"{key}: {value!r} can't be read; EasyEdit has {old!r} there.") from error
