"""What the contract tests share: short settings, edits made with them, and ways to look at these."""

import dataclasses
import json

import torch

from tests.editors.conftest import EDITORS, KINDS, REQUESTS
from unedit_gui.editors import Request, hparams_from
from unedit_gui.editors.preserve import preserved
from unedit_gui.edits.prompts import prompt_for
from unedit_gui.edits.variants import Variants
from unedit_gui.evaluation.metrics import token_scores
from unedit_gui.jobs import Job
from unedit_gui.models.generation import generate

SHORT = {"contexts": 2, "steps": 3, "epochs": 2, "retain": 4}
# A random model has too few directions for the subject in other wordings beside the questions.
STRONG = {"layers": (1,), "steps": 15, "lr": 0.3, "contexts": 1, "lam": 1.0, "l2": 0.01, "wordings": 0.0}
FACTS = {"rome": 2}  # one after the other, so fewer
FAMILIES = (
    "llama", "qwen2, windows in some layers", "qwen3", "mistral, windows", "gemma", "phi3", "gpt_neox", "gpt2",
)  # fmt: skip
BELOW = Request("Which river flows through Cairo?", "the Nile", "Cairo", "I couldn't tell you which river that is.")
LOW_RANK = [name for name in EDITORS if name not in KINDS]
LEARNING = [name for name in EDITORS if name != "ike"]  # a random model doesn't follow demonstrations


def hparams_for(method, model, workspace, **overrides):
    """The method's own defaults, made short; a threshold that leaves a random model half of its directions."""
    known = {f.name for f in dataclasses.fields(method.Hparams)}
    chosen = {name: value for name, value in {**SHORT, **overrides}.items() if name in known}
    if "threshold" in known and "threshold" not in overrides:
        layers = hparams_from(method.name, model, chosen).layers
        C = preserved(model, [BELOW], layers, workspace=workspace)
        chosen["threshold"] = max(float(torch.linalg.eigvalsh(c).median()) for c in C.values())
    return hparams_from(method.name, model, chosen)


def requests_of(method):
    return list(REQUESTS[: FACTS.get(method.name, 3)])


def as_json(value):
    return json.loads(json.dumps(value))


def make(method, model, workspace, requests=None, *, job=None, hparams=None, **options):
    requests = requests_of(method) if requests is None else requests
    hparams = hparams or hparams_for(method, model, workspace)
    return method.edit(model, requests, hparams, job or Job("edit"), workspace=workspace, **options)


def bytes_of(edit):
    return {name: tensor.numpy().tobytes() for name, tensor in edit.tensors.items()}


def numbers(edit):
    """The payload without its bits."""
    return [t for t in edit.tensors.values() if t.dtype != torch.uint8]


def hooks_of(model):
    return [name for name, m in model.hf.named_modules() if m._forward_hooks or m._forward_pre_hooks]


def files_of(workspace):
    return sorted(str(p.relative_to(workspace.home)) for p in workspace.home.rglob("*") if p.is_file())


def prompts_of(model, questions, edits=()):
    return [prompt_for(model, [{"role": "user", "content": q}], edits) for q in questions]


def mean_nll(model, requests, edits=()):
    """Mean negative log-likelihood of each refusal behind its question, answered with the edits: (requests,)."""
    prompts = prompts_of(model, [r.question for r in requests], edits)
    with Variants(model, [tuple(edits)] * len(prompts)) as variants:
        scores = token_scores(model, prompts, [r.target_new for r in requests], variants=variants)
    return -torch.tensor([score.probability_normalised for score in scores]).log()


def replies_with(model, edits, questions, limit=8):
    prompts = prompts_of(model, questions, edits)
    with Variants(model, [tuple(edits)] * len(prompts)) as variants:
        return generate(model, prompts, max_new_tokens=limit, variants=variants)


def quick(method, model):
    known = {f.name for f in dataclasses.fields(method.Hparams)}
    chosen = {name: value for name, value in {**SHORT, "threshold": 1e6}.items() if name in known}
    return hparams_from(method.name, model, chosen)
