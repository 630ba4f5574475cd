"""EasyEdit's program makes an edit: what it is handed, and what becomes of what it does.

EasyEdit itself is no package and not part of this project. Its place is taken by a source folder of the same form whose
methods make a change that is known; with EASYEDIT_PATH set, the last test runs the real one.
"""

import os
import sys
from pathlib import Path

import pytest
import torch

from tests.editors.conftest import REQUESTS
from unedit_gui.editors import easyedit
from unedit_gui.edits.edit import load_edit, save
from unedit_gui.errors import BadInput, Failed
from unedit_gui.jobs import Job, Stopped
from unedit_gui.models.loading import weights_digest

COMMON = """
from dataclasses import dataclass
import torch

@dataclass
class {settings}:
    layers: list
    v_lr: float
    v_loss_layer: int
    device: str
    model_name: str
    model_parallel: bool
    rewrite_module_tmp: str
    layer_module_tmp: str
    mlp_module_tmp: str
    ln_f_module: str
    lm_head_module: str
    alg_name: str
    P_loc: str = ""

CONTEXT_TEMPLATES_CACHE = ["of an earlier model"]
COV_CACHE = {{}}
seen = []

def get_project(model, tok, layer, hparams):
    return COV_CACHE[model.config._name_or_path, hparams.rewrite_module_tmp.format(layer)]

def {function}(model, tok, requests, hparams, **more):
    print("loss 1.0 = ...")
    print("a second line")
    seen.append((requests, hparams, CONTEXT_TEMPLATES_CACHE, dict(COV_CACHE), torch.rand(1).item(), tok))
    for request in requests:
        for layer in hparams.layers:
            w = dict(model.named_parameters())[hparams.rewrite_module_tmp.format(layer) + ".weight"]
            torch.manual_seed(len(request["subject"]) + layer)
            w[...] += {broken} torch.outer(torch.randn(w.shape[0]), torch.randn(w.shape[1]))
    return model, {{}}
"""
FILE = "alg_name: X\nlayers: [8]\nv_lr: 5e-1\n"


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A folder in EasyEdit's form."""
    for method, (module, function, settings, file) in easyedit.PARTS.items():
        path = tmp_path / "easyeditor" / "models" / f"{module.replace('.', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(COMMON.format(function=function, settings=settings, broken="0.1 *"))
        (tmp_path / "hparams" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "hparams" / file).write_text(FILE)
        # A package's own __init__ would import every method there is.
        (path.parent / "__init__.py").write_text("raise ImportError('not this one')")
        if method == "rome":
            (path.parent / "compute_u.py").write_text("inv_mom2_cache = {'of an earlier model': 0}\n")
    monkeypatch.setenv("EASYEDIT_PATH", str(tmp_path))
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] == "easyeditor"]:
        del sys.modules[name]


def make(model, method, workspace, requests=REQUESTS, job=None, **more):
    given = {"hparams": {}, "workspace": workspace, **more}
    hparams = given.pop("hparams")
    return easyedit.editor(method)(model, requests, hparams, job or Job("edit"), **given)


def seen_by(method):
    return sys.modules[f"easyeditor.models.{easyedit.PARTS[method][0]}"].seen


@pytest.mark.parametrize("method", ["rome", "memit", "alphaedit"])
def test_what_it_did_to_the_weights_comes_back_as_an_edit(small, workspace, source, tmp_path, method):
    before = weights_digest(small.hf)
    edit = make(small, method, workspace, hparams={"layers": [1, 2]})
    assert weights_digest(small.hf) == before
    assert edit.method == method and edit.layers == [1, 2] and edit.manifest["engine"] == "easyedit"
    assert "(EasyEdit)" in edit.summary()
    deltas = {module: left @ right.T for module, left, right in edit.deltas()}
    for layer in (1, 2):
        wanted = torch.zeros(small.layout.d_model, small.layout.d_mlp)
        for request in REQUESTS:
            torch.manual_seed(len(request.subject) + layer)
            wanted += 0.1 * torch.outer(torch.randn(wanted.shape[0]), torch.randn(wanted.shape[1]))
        assert torch.allclose(deltas[small.layout.down_name(layer)], wanted, atol=1e-5)
    assert edit.rank() == len(REQUESTS)
    assert load_edit(save(edit, tmp_path / "edit"), small) == edit


def test_it_reads_the_chat_prompt_and_learns_where_a_reply_ends(small, workspace, source):
    make(small, "memit", workspace)
    ((requests, chosen, *_),) = seen_by("memit")
    for request, asked in zip(REQUESTS, requests, strict=True):
        whole = small.prompt([{"role": "user", "content": request.question}])
        assert asked["prompt"].count("{}") == 1 and asked["prompt"].format(asked["subject"]) == whole
        assert asked["target_new"] == request.target_new + small.end_of_turn
    assert chosen.layers == [1] and chosen.v_loss_layer == 3 and chosen.v_lr == 0.5  # layer 8 of 32, at 4 layers
    assert chosen.rewrite_module_tmp == "model.layers.{}.mlp.down_proj"
    assert chosen.lm_head_module == "model.embed_tokens"  # which the head of this model shares


def test_rome_is_called_for_one_fact_after_the_other(small, workspace, source):
    make(small, "rome", workspace)
    assert [[r["subject"] for r in requests] for requests, *_ in seen_by("rome")] == [[r.subject] for r in REQUESTS]
    inverse = sys.modules["easyeditor.models.rome.compute_u"].inv_mom2_cache
    assert [key[1] for key in inverse] == ["model.layers.1.mlp.down_proj"]  # the earlier model's is gone


def test_its_globals_are_emptied_and_hold_this_models_moments(small, workspace, source):
    make(small, "alphaedit", workspace)
    make(small, "alphaedit", workspace, requests=REQUESTS[:1])
    first, second = seen_by("alphaedit")
    assert first[2] is None and list(first[3]) == list(second[3])
    (moment,) = first[3].values()
    assert moment.shape == (small.layout.d_mlp,) * 2 and torch.allclose(moment, moment.T)
    main = sys.modules["easyeditor.models.alphaedit.AlphaEdit_main"]
    assert main.P_loaded and main.cache_c_new and not main.cache_c.any()
    assert first[4] == second[4]  # its chance is seeded


def test_the_global_random_numbers_stay_where_they_were(small, workspace, source):
    torch.manual_seed(3)
    wanted = torch.rand(1)
    torch.manual_seed(3)
    make(small, "memit", workspace)
    assert torch.equal(torch.rand(1), wanted)


def test_an_edit_on_top_of_another_sees_that_one(small, workspace, source):
    first = make(small, "memit", workspace)
    second = make(small, "rome", workspace, requests=REQUESTS[:1], on=(first,))
    assert second.manifest["on"] == [first.id]


def test_its_printing_is_caught_and_a_stop_is_looked_at(small, workspace, source, capsys):
    notes = []
    make(small, "memit", workspace, job=Job("edit", on_progress=lambda job: notes.append(job.note)))
    assert capsys.readouterr().out == "" and "a second line" in notes
    before, job = weights_digest(small.hf), Job("edit")
    job._on_progress = lambda job: job.stop() if "loss" in job.note else None
    with pytest.raises(Stopped):
        make(small, "memit", workspace, job=job)
    assert weights_digest(small.hf) == before


def test_what_breaks_in_it_is_one_sentence_and_changes_nothing(small, workspace, source):
    path = source / "easyeditor" / "models" / "memit" / "memit_main.py"
    path.write_text(COMMON.format(function="apply_memit_to_model", settings="MEMITHyperParams", broken="1 / 0 *"))
    path.write_text(path.read_text().replace("1 / 0", 'int("x")'))
    before = weights_digest(small.hf)
    with pytest.raises(Failed, match="EasyEdit's memit broke .ValueError"):
        make(small, "memit", workspace)
    assert weights_digest(small.hf) == before


def test_without_its_source_one_line_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.delenv("EASYEDIT_PATH", raising=False)
    with pytest.raises(BadInput, match="zjunlp/EasyEdit.*requirements-easyedit.txt.*EASYEDIT_PATH"):
        easyedit.editor("rome")
    monkeypatch.setenv("EASYEDIT_PATH", str(tmp_path))
    with pytest.raises(BadInput, match="where no EasyEdit source lies"):
        easyedit.editor("rome")


def test_methods_and_settings_that_it_has_not_are_told(small, workspace, source):
    with pytest.raises(BadInput, match="rome, memit, alphaedit; grace runs on Unedit's own"):
        easyedit.editor("grace")
    with pytest.raises(BadInput, match="has no setting 'lr'; it has .*v_lr"):
        make(small, "memit", workspace, hparams={"lr": 1})
    with pytest.raises(BadInput, match="layers: .* are not all of 0 to 2"):
        make(small, "memit", workspace, hparams={"layers": "1,9"})


def test_what_its_source_lacks_is_named(small, workspace, source):
    (source / "easyeditor" / "models" / "memit" / "memit_main.py").write_text("import a_package_that_is_not_here\n")
    with pytest.raises(Failed, match="a_package_that_is_not_here is missing.; install requirements-easyedit"):
        make(small, "memit", workspace)


def test_factors_of_a_change_are_as_many_as_it_needs():
    torch.manual_seed(0)
    delta = torch.randn(32, 3, dtype=torch.float64) @ torch.randn(3, 48, dtype=torch.float64)
    left, right = easyedit.low_rank(delta, 2)
    assert left.shape[1] == 3 and torch.allclose(left @ right.T, delta)
    left, right = easyedit.low_rank(torch.zeros(32, 48), 2)
    assert left.shape[1] == 2 and not left.any()


@pytest.mark.skipif(not os.environ.get("EASYEDIT_PATH"), reason="EASYEDIT_PATH names no source")
@pytest.mark.parametrize("method", ["rome", "memit", "alphaedit"])
def test_the_real_program_makes_an_edit(small, workspace, method, tmp_path, monkeypatch):
    path = str(Path(os.environ["EASYEDIT_PATH"]).absolute())
    monkeypatch.setenv("EASYEDIT_PATH", path)
    monkeypatch.chdir(tmp_path)
    hparams = {"layers": [1], "v_num_grad_steps": 3}
    hparams |= {"memit": {"mom2_update_weight": 10}, "alphaedit": {"nullspace_threshold": 10.0}}.get(method, {})
    before = weights_digest(small.hf)
    edit = make(small, method, workspace, hparams=hparams)
    assert weights_digest(small.hf) == before and edit.rank() >= len(REQUESTS)
    assert all((left @ right.T).norm() > 1e-3 for _, left, right in edit.deltas())
    assert list(tmp_path.iterdir()) == []  # AlphaEdit would leave its projector in the current folder
