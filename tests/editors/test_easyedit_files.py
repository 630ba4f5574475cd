"""EasyEdit's hyperparameter files are read as they are, and nothing in them is dropped in silence.

The files here hold the keys that EasyEdit's own have (hparams/ROME/llama-7b.yaml and so on), with its values.
"""

import os
from pathlib import Path

import pytest

from tests.editors.conftest import REQUESTS
from unedit_gui.editors import METHODS, hparams_from
from unedit_gui.editors.easyedit_files import read, translate
from unedit_gui.errors import BadInput
from unedit_gui.jobs import Job

SHARED = """
model_name: "./somewhere/llama-2-7b"
stats_dir: "./data/stats"
device: 0
layers: [1, 2]
clamp_norm_factor: 4
layer_selection: "all"
fact_token: "subject_last"
v_num_grad_steps: 25
v_lr: 5e-1
v_loss_layer: 31
v_weight_decay: 1e-3
kl_factor: 0.0625
mom2_adjustment: true
mom2_update_weight: 15000
rewrite_module_tmp: "model.layers.{}.mlp.down_proj"
mom2_dataset: "wikipedia"
"""
MEMIT = 'alg_name: "MEMIT"' + SHARED
ALPHAEDIT = 'alg_name: "AlphaEdit"' + SHARED.replace("5e-1", "1e-1") + "nullspace_threshold: 2e-2\nL2: 10\n"
ROME = 'alg_name: "ROME"' + SHARED.replace("[1, 2]", "[1]")
GRACE = """
alg_name: "GRACE"
inner_params:
- model.layers[2].mlp.down_proj.weight
edit_lr: 1.0
n_iter: 50
eps: 0.5
dist_fn: euc # euc, mmd, cos
val_reg: None
"""
WISE = """
alg_name: "WISE"
mask_ratio: 0.2
edit_lr: 1.0
n_iter: 70
act_margin: [5.0, 10.0, 10.0] # alpha, beta, gamma
act_ratio: 0.88
save_freq: 500
merge_freq: 1500
merge_alg: 'ties'
inner_params:
- model.layers[2].mlp.down_proj.weight
densities: 0.53
"""
IKE = 'alg_name: "IKE"\nsentence_model_name: "x"\nk: 12\n'
FILES = {"memit": MEMIT, "alphaedit": ALPHAEDIT, "rome": ROME, "grace": GRACE, "wise": WISE, "ike": IKE}


def translated(text, model):
    return translate(text.encode(), "it.yaml", model)


@pytest.mark.parametrize("method", FILES)
def test_a_file_names_its_method_and_gives_settings_that_it_takes(small, method):
    found = translated(FILES[method], small)
    assert found.method == method and found.settings
    hparams = hparams_from(method, small, found.settings)
    assert {name: getattr(hparams, name) for name in found.settings if name != "layers"} == {
        name: value for name, value in found.settings.items() if name != "layers"
    }


@pytest.mark.parametrize("method", FILES)
def test_every_line_is_taken_or_listed_with_a_reason(small, method):
    found = translated(FILES[method], small)
    assert {row.key for row in found.rows} == set(found.given)
    assert all(row.remark for row in found.rows if row.setting is None)
    assert {row.setting for row in found.rows if row.setting} == set(found.settings)


def test_what_means_the_same_is_taken_as_it_stands(small):
    assert (
        translated(ALPHAEDIT, small).settings.items()
        >= {"steps": 25, "clamp": 4, "kl_factor": 0.0625, "l2": 10}.items()
    )
    assert translated(MEMIT, small).settings["layers"] == [1, 2]
    assert translated(GRACE, small).settings["layers"] == translated(WISE, small).settings["layers"] == [2]
    wise = translated(WISE, small).settings
    assert (wise["shards"], wise["mask_ratio"], wise["act_ratio"], wise["density"]) == (3, 0.2, 0.88, 0.53)
    assert translated(IKE, small).settings == {"k": 12}


def test_what_is_counted_in_another_unit_is_scaled_by_easyedits_own_value(small):
    defaults = {name: METHODS[name].defaults(small) for name in METHODS}
    assert translated(MEMIT, small).settings["lam"] == defaults["memit"].lam
    assert translated(MEMIT.replace("15000", "1500"), small).settings["lam"] == defaults["memit"].lam / 10
    assert translated(ALPHAEDIT, small).settings["threshold"] == defaults["alphaedit"].threshold
    assert translated(ALPHAEDIT, small).settings["lr"] == defaults["alphaedit"].lr  # its own is 0.1, the others' 0.5
    assert translated(GRACE, small).settings["eps"] == defaults["grace"].eps / 2
    wise = translated(WISE, small).settings
    assert (wise["alpha"], wise["beta"]) == (defaults["wise"].alpha, defaults["wise"].beta / 2)
    (row,) = (row for row in translated(MEMIT, small).rows if row.setting == "lam")
    assert "15000" in row.remark and f"{defaults['memit'].lam:g}" in row.remark


def test_a_weight_that_alphaedit_does_not_have_is_listed(small):
    left = {row.key: row.remark for row in translated(ALPHAEDIT, small).left_out}
    assert "no such weight" in left["mom2_update_weight"] and "formula" in left["v_weight_decay"]
    assert "device" not in left and "rewrite_module_tmp" not in left  # these say where, not how


def test_an_edit_is_made_with_a_files_settings(small, workspace):
    found = translated(ROME.replace("v_num_grad_steps: 25", "v_num_grad_steps: 2"), small)
    hparams = hparams_from("rome", small, {**found.settings, "contexts": 1, "neighbours": 0})
    edit = METHODS["rome"].edit(
        small, REQUESTS[:1], hparams, Job("edit"), workspace=workspace, protect=(), on=(), seed=0, name=None
    )
    assert edit.layers == [1] and edit.manifest["hparams"]["steps"] == 2


@pytest.mark.parametrize(
    "content, said",
    [
        (b"", "holds no settings"),
        (b"- a\n- b\n", "holds no settings"),
        (b"alg_name: [", "no YAML"),
        (b"\xff\xfe\x00", "no YAML"),
        (b"layers: [1]\n", "has no alg_name"),
        (b"alg_name: FT\n", "is for 'FT'; those for ROME"),
        (b"alg_name: {a: b}\n", "those for ROME"),
        (b"a: !!python/object/apply:os.system ['true']\n", "no YAML"),
        (b"x: 1\n" * 30_000, "bytes; a hyperparameter file"),
        (b"alg_name: ROME\nlayers: [77]\n", "77 is not one of 0 to"),
        (b"alg_name: ROME\nlayers: all\n", "'all' is not layer numbers"),
        (b"alg_name: MEMIT\nv_num_grad_steps: many\n", "'many' is not a whole number"),
        (b"alg_name: WISE\nmerge_freq: .inf\nsave_freq: 1\n", "'merge_freq' is too large"),
        (b"alg_name: WISE\nmerge_freq: 1e999\nsave_freq: 1\n", "'merge_freq' is too large"),
        (b"alg_name: WISE\nmerge_freq: 1e300\nsave_freq: 1\n", "shards"),
        (b"alg_name: WISE\nact_margin: [1, .nan, 2]\n", "'act_margin' is too large, or no number"),
        (b"alg_name: MEMIT\nv_lr: " + b"9" * 400 + b"\n", "'v_lr' is too large"),
        (b"alg_name: MEMIT\nv_num_grad_steps: -" + b"9" * 400 + b"\n", "'v_num_grad_steps' is too large"),
        (b"alg_name: AlphaEdit\nnullspace_threshold: 1e308\n", "threshold"),
        (b"alg_name: ROME\nlayers: " + b"[" * 3000 + b"\n", "no YAML"),
    ],
)
def test_what_cannot_be_read_is_told_in_a_sentence(small, content, said):
    with pytest.raises(BadInput, match=said) as told:
        translate(content, "it.yaml", small)
    assert "it.yaml" in str(told.value) and "\n" not in str(told.value)


def test_a_quotient_beyond_all_numbers_is_not_taken(small):
    found = translate(b"alg_name: WISE\nmerge_freq: 1e300\nsave_freq: 1e-300\n", "it.yaml", small)
    assert "shards" not in found.settings


@pytest.mark.skipif(not os.environ.get("EASYEDIT_PATH"), reason="EASYEDIT_PATH names no source")
def test_the_files_of_the_source_are_read():
    folder = Path(os.environ["EASYEDIT_PATH"]) / "hparams"
    for method in ("ROME", "MEMIT", "AlphaEdit", "GRACE", "WISE", "IKE"):
        for file in (folder / method).glob("*.yaml"):
            assert read(file.read_bytes(), file.name)[0] == method.lower()
