"""An edit is a value: what was asked, how it was solved, and the numbers that came out.

`manifest` is plain JSON and `tensors` the payload. The id is a hash of both, so an edit that was changed on
disk is noticed. What may differ without making it another edit (name, time, versions) stands in `about`,
outside the id. The `kind` says what the payload is:

* low-rank (ROME, MEMIT, AlphaEdit): for each edited projection W (d_out, d_in), "<module>.left" (d_out, r) and
  "<module>.right" (d_in, r) with delta W = left @ right.T;
* lora (GA, GD, KL, DPO), codebook (GRACE), side-memory (WISE), demonstrations (IKE): see the file of that name.
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from ..errors import BadInput
from ..models.layout import projections
from . import codebook, demonstrations, lora, side_memory
from .fields import are

FORMAT = 1
LOW_RANK, CODEBOOK, SIDE_MEMORY, DEMONSTRATIONS = "low-rank", "codebook", "side-memory", "demonstrations"
LORA = "lora"
WEIGHTS = (LOW_RANK, LORA)  # kinds that are changes of weights, at work at every token
_KINDS = {LORA: lora, CODEBOOK: codebook, SIDE_MEMORY: side_memory, DEMONSTRATIONS: demonstrations}
_MANIFEST, _PAYLOAD = "manifest.json", "payload.safetensors"
BELOW = "on"  # the folder, inside an edit's, of the edits that it was made on top of
LONGEST_NAME = 60  # letters; the page has room for so many, and shows longer ones from elsewhere
_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, eq=False)
class Edit:
    """One edit of one base model. Two edits are equal if their ids are."""

    manifest: dict
    tensors: dict[str, torch.Tensor] = field(repr=False)
    about: dict = field(default_factory=dict)
    id: str = ""

    @staticmethod
    def make(manifest: dict, tensors: dict[str, torch.Tensor], about: dict) -> "Edit":
        """Build an edit and give it its id. Tensors are copied to the CPU, numbers to float32; bits stay bits."""
        tensors = {
            name: t.detach().to("cpu", torch.uint8 if t.dtype == torch.uint8 else torch.float32, copy=True).contiguous()
            for name, t in sorted(tensors.items())
        }
        manifest = json.loads(json.dumps({"format": FORMAT, **manifest}))
        return Edit(manifest, tensors, about, _hash(manifest, tensors))

    def __eq__(self, other) -> bool:
        return isinstance(other, Edit) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    @property
    def name(self) -> str:
        return self.about.get("name") or f"{self.method_label} · {self._count()}"

    @property
    def method(self) -> str:
        return self.manifest["method"]

    @property
    def method_label(self) -> str:
        return self.about.get("method_label", self.method)

    @property
    def requests(self) -> list[dict]:
        """What was edited: a dict per request with question, answer, subject, target_new."""
        return self.manifest["requests"]

    @property
    def groups(self) -> list[list[dict]]:
        """The requests that were merged, those of a group together; [] where each was edited by itself."""
        found: dict[int, list[dict]] = {}
        for request in self.requests:
            if isinstance(request.get("group"), int):
                found.setdefault(request["group"], []).append(request)
        return list(found.values())

    @property
    def base(self) -> str:
        """Fingerprint of the base model."""
        return self.manifest["base"]

    @property
    def payload(self) -> str:
        """A hash of the numbers alone: the same for the same change, whatever model and edit are called."""
        return _hash({}, self.tensors)

    @property
    def kind(self) -> str:
        return self.manifest["kind"]

    @property
    def created(self) -> str:
        """ISO time, UTC."""
        return self.about.get("created", "")

    @property
    def layers(self) -> list[int]:
        return self.manifest.get("layers", [])

    def named(self, name: str) -> "Edit":
        """The same edit under another name."""
        return replace(self, about={**self.about, "name": name})

    def document(self) -> dict:
        """All but the payload, as it is written to manifest.json."""
        return {"id": self.id, **self.manifest, "about": self.about}

    def deltas(self) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
        """(module path, left (d_out, r), right (d_in, r)) of each edited projection."""
        if self.kind == LORA:
            yield from lora.deltas(self)
        for key in self.tensors:
            if key.endswith(".left"):
                module = key.removesuffix(".left")
                yield module, self.tensors[key], self.tensors[module + ".right"]

    def rank(self) -> int:
        """The largest rank of a delta; 0 where the payload is not low-rank."""
        return max((left.shape[1] for _, left, _ in self.deltas()), default=0)

    def summary(self) -> str:
        """What changed, in a line: method, facts, layers, then what its kind has to say, share of weights, seconds."""
        parts = [f"{self.method_label}: {self._count()}"]
        if self.layers:
            parts.append(f"layer{'s' if len(self.layers) != 1 else ''} {_ranges(self.layers)}")
        if self.kind == LOW_RANK:
            parts.append(f"rank {self.rank()}")
        elif self.kind in _KINDS:
            parts += _KINDS[self.kind].describe(self)
        if "share" in self.about:
            what = "a copy of" if self.kind == SIDE_MEMORY else "touches"
            parts.append(f"{what} {self.about['share']:.1%} of the weights")
        if "seconds" in self.about:
            parts.append(f"{self.about['seconds']:.0f} s")
        return ", ".join(parts)

    def caution(self) -> str:
        """A sentence on what to beware of with this edit, as far as making it told; "" where nothing is known."""
        cautious = {SIDE_MEMORY: side_memory, LORA: lora}
        return cautious[self.kind].caution(self) if self.kind in cautious else ""

    def curve(self) -> list[dict[str, float]]:
        """How its training went, where it was trained: points with `step` and perhaps `loss` and `held`."""
        return lora.curve(self) if self.kind == LORA else []

    def _count(self) -> str:
        count = f"{len(self.requests)} fact{'s' if len(self.requests) != 1 else ''}"
        if not self.groups:
            return count
        alone = sum(not isinstance(request.get("group"), int) for request in self.requests)
        return f"{count} merged into {len(self.groups) + alone}"


def save(edit: Edit, folder: Path, on: Sequence[Edit] = ()) -> Path:
    """Write an edit as a folder (manifest.json, payload.safetensors), with copies of the edits that it is `on`, whole
    or not at all.

    Raises:
        BadInput: the folder exists and is not an empty one.
    """
    folder = Path(os.path.abspath(folder))
    part = folder.with_name(f".{folder.name}.{edit.id}.part")
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise BadInput(f"{folder} exists already and is not an empty folder; choose another one.")
        shutil.rmtree(part, ignore_errors=True)
        for one, place in ((edit, part), *((earlier, part / BELOW / earlier.id) for earlier in on)):
            place.mkdir(parents=True)
            (place / _PAYLOAD).write_bytes(save_tensors(one.tensors))
            (place / _MANIFEST).write_text(_document(one), "utf-8")
        if folder.exists():  # may be the one that somebody stands in: fill it, the manifest last
            for name in (*([BELOW] if on else []), _PAYLOAD, _MANIFEST):
                (part / name).rename(folder / name)
        else:
            part.rename(folder)
    except OSError as error:
        raise BadInput(f"The edit can't be written to {folder} ({error.strerror}); choose another folder.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def load_edit(folder: Path, model=None) -> Edit:
    """Read an edit back and check it.

    Raises:
        BadInput: it isn't an edit, is truncated or was changed, was made for another base model or doesn't fit it.
    """
    folder = Path(folder)
    if not (folder / _MANIFEST).is_file():
        raise BadInput(f"{folder} holds no edit ({_MANIFEST} is missing); give a folder that `edit --out` wrote.")
    try:
        document = json.loads((folder / _MANIFEST).read_text("utf-8"))
        json.dumps(document, ensure_ascii=False).encode()  # half characters (surrogates) could never be written again
        claimed, about = document.pop("id"), document.pop("about", {})
        if document.get("format") != FORMAT:
            raise BadInput(f"{folder} has format {document.get('format')!r}; this version reads format {FORMAT}.")
        base, _ = document["base"], (document["kind"], document["method"], document["requests"])
        if wrong := _malformed(document):
            raise BadInput(f"The manifest of {folder} has no usable {wrong!r}; the file is damaged or not an edit's.")
    except KeyError as error:
        raise BadInput(f"The manifest of {folder} has no {error}; the file is damaged or not an edit's.") from error
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput(f"The manifest of {folder} can't be read; the file is damaged or not an edit's.") from error
    try:
        tensors = dict(sorted(load_tensors((folder / _PAYLOAD).read_bytes()).items()))
    except Exception as error:  # safetensors has an error class of its own per kind of damage
        raise BadInput(f"The payload of {folder} is truncated or damaged; copy the edit again.") from error
    if _hash(document, tensors) != claimed:
        raise BadInput(f"{folder} was changed after it was made (its id doesn't match); make or copy the edit again.")
    edit = Edit(document, tensors, _readable(about), claimed)
    if model is not None and base != model.fingerprint:
        raise BadInput(
            f"{edit.name} was made for another base model ({document.get('model', '?')}, fingerprint {base}), "
            f"not for {model.public_name} ({model.fingerprint}); load that model first."
        )
    if model is not None:
        _check_fit(edit, model)
    try:
        edit.summary()
    except Exception as error:  # a manifest that lacks what its kind has
        raise BadInput(f"The manifest of {folder} lacks what an edit of its kind has; make it again.") from error
    return edit


def _malformed(document: dict) -> str:
    """The name of a field that no edit could have; "" where all can be read. An upload may hold anything."""

    def facts(values) -> bool:
        texts = ("question", "answer", "subject", "target_new")
        return are(values, dict) and all(
            all(isinstance(fact.get(text), str) for text in texts) and are(list(fact.get("rephrases", ())), str)
            for fact in values
        )

    good = {
        **{name: lambda value: isinstance(value, str) for name in ("base", "kind", "method", "model")},
        "requests": facts,
        "on": lambda value: are(value, str) and all(_ID.fullmatch(id) for id in value),
        "layers": lambda value: are(value, int),
        "hparams": lambda value: isinstance(value, dict),
        **{name: lambda value: are(value, str) for name in ("protect", "neighbours", "retain")},
    }
    return next((name for name, check in good.items() if name in document and not check(document[name])), "")


def _readable(about) -> dict:
    """What stands outside the id, without values that nobody could show: anybody may have written there."""
    text, number = (str, type(None)), (int, float)
    kinds = {"name": text, "method_label": str, "created": str, "seconds": number, "share": number}
    found = {k: v for k, v in about.items() if isinstance(v, kinds.get(k, object))} if isinstance(about, dict) else {}
    named = {k: "".join(c if c.isprintable() else " " for c in v) for k, v in found.items() if isinstance(v, str)}
    return {**found, **named}


def _check_fit(edit: Edit, model) -> None:
    """Refuse a payload that can't be run on this model: an id is a checksum, not a signature."""
    if edit.kind != LOW_RANK and edit.kind not in _KINDS:
        raise BadInput(f"{edit.name} is of the kind {edit.kind!r}, which this version can't run.")
    odd = [name for name, t in edit.tensors.items() if t.dtype != torch.float32 and not name.endswith(".support")]
    misfit = _misfit if edit.kind == LOW_RANK else _KINDS[edit.kind].misfit
    if wrong := odd[0] if odd else misfit(edit, model):
        raise BadInput(f"{edit.name} doesn't fit the model ({wrong}); make the edit again.")


def _misfit(edit: Edit, model) -> str:
    """The name of a delta that can't be added to this model's projections; "" where all can."""
    known = set(projections(model.hf, model.layout))
    for name, tensor in edit.tensors.items():
        module, _, side = name.rpartition(".")
        if module not in known or side not in ("left", "right") or not torch.isfinite(tensor).all():
            return name
        shape = model.hf.get_submodule(module).weight.shape
        d_out, d_in = shape[::-1] if model.layout.transposed else shape
        left, right = (edit.tensors.get(f"{module}.{s}", torch.empty(0)) for s in ("left", "right"))
        if left.ndim != 2 or left.shape != (d_out, left.shape[1]) or right.shape != (d_in, left.shape[1]):
            return name
    return ""


def checked_name(name: str) -> str:
    """A name that somebody typed for an edit, in one line; BadInput where it is empty or too long."""
    name = " ".join(name.split())
    if not name:
        raise BadInput("An edit needs a name; type one.")
    if len(name) > LONGEST_NAME:
        raise BadInput(f"The name of an edit has at most {LONGEST_NAME} letters; this one has {len(name)}. Shorten it.")
    return name


def rename(folder: Path, name: str) -> None:
    """Give a saved edit another name; its id stays."""
    edit = load_edit(folder).named(name)
    part = Path(folder) / (_MANIFEST + ".part")
    part.write_text(_document(edit), "utf-8")
    part.replace(Path(folder) / _MANIFEST)


def _document(edit: Edit) -> str:
    return json.dumps(edit.document(), indent=1, ensure_ascii=False)


def _hash(manifest: dict, tensors: dict[str, torch.Tensor]) -> str:
    digest = hashlib.sha256(json.dumps(manifest, sort_keys=True, ensure_ascii=False).encode())
    for name, tensor in tensors.items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def _ranges(layers: list[int]) -> str:
    if len(layers) > 1 and layers == list(range(layers[0], layers[0] + len(layers))):
        return f"{layers[0]}-{layers[-1]}"
    return ", ".join(map(str, layers))
