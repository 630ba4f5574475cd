"""The paper's figures from runs: their marks, against numbers worked out by hand."""

import csv
import dataclasses
import io
from xml.etree import ElementTree

import pytest

from tests.reports.made import HOSTILE, made
from unedit_gui.reports import published
from unedit_gui.reports.conditions import model_name
from unedit_gui.reports.drawing import draw
from unedit_gui.reports.figures import all_figures, radar, score_by_merge, score_by_method, score_by_size
from unedit_gui.reports.tables import big_table, figures_csv, latex, markdown, table_csv

CONTRACT = ({"question": "Who signs?", "answer": "Ann", "category": "Sale: Abco and Cedo"},)


def values(figure, own=True):
    return {(m.series, m.x): round(m.value, 4) for m in figure.marks if m.published is not own and not m.original}


def test_a_mark_is_the_mean_of_the_runs_that_differ_in_their_draw_alone():
    runs = [made(seed=0, forget=0.1), made(seed=1, forget=0.4), made("grace", forget=0.0)]
    figure = score_by_method(runs, ghosts=False)
    rome, grace = figure.own
    assert (round(rome.value, 4), round(rome.low, 4), round(rome.high, 4), rome.n) == (1.55, 1.4, 1.7, 2)
    assert (round(grace.value, 4), grace.n) == (1.8, 1)
    assert "n = 1 to 2 runs; whiskers" in " ".join(figure.notes)


def test_other_settings_are_another_condition_and_named_by_what_differs():
    runs = [made(), made(hparams={"lr": 0.4}), made(targets="dummy"), made(model="tiny")]
    assert score_by_method(runs, ghosts=False).series == [
        "ROME, dummy, lr 0.2, SmolLM2-135M-Instruct",
        "ROME, vanilla, lr 0.2, SmolLM2-135M-Instruct",
        "ROME, vanilla, lr 0.4, SmolLM2-135M-Instruct",
        "ROME, vanilla, tiny",
    ]


def test_protected_facts_make_another_condition_and_are_named():
    guarded = made(protect=({"question": "Stays?", "answer": "Yes"},) * 3, forget=0.4)
    figure = score_by_method([made(), made(seed=1), guarded, made("grace")], ghosts=False)
    assert {(m.series, m.n) for m in figure.own} == {("ROME, 0 protected", 2), ("ROME, 3 protected", 1), ("GRACE", 1)}


def test_other_numbers_of_retained_facts_make_another_condition():
    table = big_table([made(), made(retain=None, seed=1)], ghosts=False)
    assert [(row.name, row.runs) for row in table.rows[1:]] == [("ROME, 0 retained", 1), ("ROME, 1 retained", 1)]


def test_weights_that_changed_under_one_name_are_never_averaged():
    figure = score_by_method([made(fingerprint="aaaa1111"), made(fingerprint="bbbb2222", forget=0.4)], ghosts=False)
    assert figure.series == ["ROME, SmolLM2-135M-Instruct (aaaa)", "ROME, SmolLM2-135M-Instruct (bbbb)"]
    assert [mark.n for mark in figure.own] == [1, 1]


def test_dtypes_are_never_averaged_also_where_only_the_surroundings_tell_them():
    old = made(forget=0.2, seed=1, environment={"dtype": "bfloat16"})
    new = dataclasses.replace(old, settings=dataclasses.replace(old.settings, seed=2, dtype="bfloat16"))
    figure = score_by_method([made(environment={"dtype": "float32"}), made(seed=3), old, new], ghosts=False)
    assert {(mark.series, mark.n) for mark in figure.own} == {
        ("ROME, SmolLM2-135M-Instruct (float32)", 2), ("ROME, SmolLM2-135M-Instruct (bfloat16)", 2),
    }  # fmt: skip


def test_one_model_under_two_paths_is_one_condition_and_a_run_of_both_counts_once():
    runs = [made(model=path, seed=seed) for path in ("/home/me/tiny", "../tiny", "tiny") for seed in (0, 1)]
    figure = score_by_method([*runs, made("grace", model="/home/me/other/tiny", fingerprint="bbbb2222")], ghosts=False)
    assert {(mark.series, mark.n) for mark in figure.own} == {("ROME, tiny (ffff)", 2), ("GRACE, tiny (bbbb)", 1)}


def test_the_score_by_method_is_of_the_commonest_size_and_says_so():
    runs = [made(), made("memit"), made(facts=40)]
    figure = score_by_method(runs, ghosts=False)
    assert figure.series == ["ROME", "MEMIT"]
    assert "Runs that forget 10 facts; there are others with 40." in figure.notes


def test_the_radar_turns_what_should_fall_and_has_the_original_beside_it():
    figure = radar([made(forget=0.25, retain=0.75, rephrased=0.5)], ghosts=False)
    assert values(figure) == {
        ("ROME", "Reliability"): 0.75,
        ("ROME", "Locality"): 0.75,
        ("ROME", "Generalization"): 0.5,
    }
    assert [(m.x, m.value) for m in figure.marks if m.original] == [
        ("Reliability", 0.0), ("Locality", 1.0), ("Generalization", 0.0),
    ]  # fmt: skip


def test_what_was_not_measured_is_named():
    figure = radar([made(rephrased=None), made("grace")], ghosts=False)
    assert "Not measured: generalization of ROME." in figure.notes
    assert (
        "No score: ROME (no facts that should stay were asked)."
        in score_by_method([made(retain=None), made("kl")]).notes
    )


def test_size_and_merging_are_numbers_on_the_axis():
    runs = [made(), made(facts=40, forget=0.3), made(merge=5, forget=0.0), made("grace")]
    figure = score_by_size(runs, ghosts=False)
    assert values(figure) == {("ROME", 10): 1.7, ("ROME", 40): 1.5}
    assert "Left out: 1 with runs of one number of facts alone." in figure.notes
    assert "All runs forget 10 facts" in " ".join(score_by_size(runs[:1] + runs[3:], ghosts=False).notes)
    assert values(score_by_merge(runs, ghosts=False)) == {("ROME", 1): 1.7, ("ROME", 5): 1.8}


@pytest.mark.parametrize(
    "runs, said",
    [([], "There are no runs yet"), ([made(retain=None, rephrased=None)], "takes forget questions as well")],
)
def test_an_empty_figure_says_what_is_missing(runs, said):
    figure = score_by_method(runs)
    assert said in figure.missing and not figure.marks
    assert said in "".join(ElementTree.fromstring(draw(figure, "svg")).itertext())


def test_without_merged_runs_the_figure_of_merging_says_so():
    assert "No run merges" in score_by_merge([made()]).missing
    assert "Every run merges" in score_by_size([made(merge=2)]).missing


# -------------------------------------------------------------------- ghosts


def test_the_published_scores_are_those_of_the_paper():
    """Score at 80 facts by questions per request, ROME and MEMIT, as REFERENCE has them."""
    for method, scores in {
        "rome": (1.005, 0.995, 1.400, 1.622, 1.539, 1.179), "memit": (0.997, 1.000, 1.632, 1.646, 1.481, 1.240),
    }.items():  # fmt: skip
        assert published.merges(method) == [1, 2, 4, 5, 8, 10]
        found = [published.score(method, "factual", 80, "vanilla", k).value for k in published.merges(method)]
        assert found == pytest.approx(scores, abs=0.002)


def test_a_ghost_stands_at_its_own_number_of_facts_and_names_model_and_questions():
    figure = score_by_size([made("alphaedit", facts=40)])
    theirs = [m for m in figure.marks if m.published]
    assert [m.x for m in theirs] == [20, 40, 60, 80, 100]
    assert theirs[1].value == pytest.approx(1.606) and theirs[1].ghost.source == "Llama2-7B-chat, 40 world facts"
    assert not theirs[1].same_model and "for another model and other questions" in figure.notes[-1]


def test_the_nearest_number_of_facts_is_taken_and_the_models_own_values_where_there_are():
    ours = made("alphaedit", facts=10, targets="self-improved")
    assert [m.ghost.facts for m in score_by_method([ours]).marks if m.published] == [20]
    cached = "/home/me/.cache/huggingface/hub/models--mistralai--Mistral-7B-Instruct-v0.3/snapshots/abcd"
    assert model_name(cached) == "mistralai/Mistral-7B-Instruct-v0.3"
    theirs = made("dpo", facts=40, model=cached)
    (ghost,) = (m for m in score_by_method([theirs]).marks if m.published)
    assert (
        ghost.same_model
        and ghost.ghost.model == "Mistral-7B-instruct"
        and ghost.value == pytest.approx(1.40, abs=0.011)
    )


@pytest.mark.parametrize(
    "run",
    [
        made("ike"),  # not in the paper
        made("rome", targets="dummy"),  # its targets are refusals
        made("dpo", targets="self-improved"),  # editors alone were taught these
    ],
)
def test_no_ghost_where_the_paper_has_nothing_like_it(run):
    assert not [mark for figure in all_figures([run]) for mark in figure.marks if mark.published]
    assert "The paper has no value for these settings." in score_by_method([run]).notes


def test_contracts_stand_beside_contracts():
    (ghost,) = (m for m in score_by_method([made("dpo", asked=CONTRACT)]).marks if m.published)
    assert ghost.ghost.dataset == "pistol" and "contracts" in ghost.ghost.source


def test_methods_that_learn_no_refusal_have_their_ghost_with_any_target():
    assert [m for m in score_by_method([made("gd", targets="self-improved")]).marks if m.published]


def test_only_rouge_and_the_score_of_the_paper_are_ever_shown():
    table = big_table([made("alphaedit", facts=40)])
    (paper,) = (row for row in table.rows if row.source)
    assert {metric for (_, metric), value in paper.cells.items() if value is not None} == {"rouge1"}
    assert paper.score.mean == pytest.approx(1.606) and published.NOT_COMPARABLE in table.notes
    assert not any(row.source for row in big_table([made("alphaedit")], ghosts=False).rows)


def test_ghosts_can_be_left_out():
    assert not [m for figure in all_figures([made(), made(merge=5)], ghosts=False) for m in figure.marks if m.published]


# -------------------------------------------------------------------- formats


def test_the_table_has_the_four_metrics_of_three_groups_and_the_original():
    table = big_table([made(seed=0, forget=0.2), made(seed=1, forget=0.4)], ghosts=False)
    original, rome = table.rows
    assert original.runs == 2
    assert original.cells["forget", "rouge1"].mean == 1.0 and original.score.mean == 1.0
    cell = rome.cells["forget", "mrr"]
    assert (cell.mean, cell.low, cell.high, cell.n) == (pytest.approx(0.075), 0.05, 0.1, 2)
    assert len(rome.cells) == 12 and rome.runs == 2
    lines = list(csv.DictReader(io.StringIO(table_csv(table))))
    assert {"row": "ROME", "source": "own", "group": "", "metric": "score", "n": "2"}.items() <= lines[-1].items()
    assert float(lines[-1]["mean"]) == pytest.approx(1.5)
    assert "& 1.50 {\\scriptsize [1.40, 1.60]} & 2 \\\\" in latex(table)
    assert markdown(table).splitlines()[-1].endswith("| 1.50 | 2 |")


def test_the_original_counts_once_for_the_same_questions_however_many_edits_were_made():
    runs = [made(method) for method in ("rome", "memit", "grace")] + [made("kl", seed=1, facts=5)]
    scores = {**runs[-1].scores, "before": {"forget": {"rouge1": 0.2}}}
    original = big_table([*runs[:3], dataclasses.replace(runs[3], scores=scores)], ghosts=False).rows[0]
    cell = original.cells["forget", "rouge1"]
    assert (cell.mean, cell.low, cell.high, cell.n) == (pytest.approx(0.6), 0.2, 1.0, 2) and original.runs == 2


def test_each_model_has_an_original_of_its_own():
    runs = [made(fingerprint="aaaa1111"), made(fingerprint="bbbb2222"), made(model="tiny")]
    names = [row.name for row in big_table(runs, ghosts=False).rows if row.name.startswith("Original")]
    assert names == [
        "Original, SmolLM2-135M-Instruct (aaaa)",
        "Original, SmolLM2-135M-Instruct (bbbb)",
        "Original, tiny",
    ]


def test_every_value_that_is_drawn_is_a_line_of_the_csv():
    figures = all_figures([made(), made("alphaedit", facts=40), made(merge=5)])
    lines = list(csv.DictReader(io.StringIO(figures_csv(figures))))
    assert len(lines) == sum(len(figure.marks) for figure in figures)
    assert {line["source"] for line in lines} >= {"own", "Llama2-7B-chat, 40 world facts"}


def test_hostile_names_are_text_in_every_format():
    runs = [made(method=HOSTILE), made(method="=cmd()"), made(method="\u200b=cmd()")]
    table = big_table(runs)
    source = latex(table)
    assert (
        "\\input" not in source
        and "\\textbackslash{}input\\{a\\}" in source
        and "\\$x\\textasciicircum{}2\\$" in source
    )
    assert "<img" not in markdown(table).replace("\\<", "")
    assert "'=cmd()" in table_csv(table) and "'\u200b=cmd()" in table_csv(table)
    for figure in all_figures(runs):
        said = "".join(ElementTree.fromstring(draw(figure, "svg")).itertext())
        assert figure.missing or HOSTILE[:12] in said.replace("\n", " ")


@pytest.mark.parametrize("make", [score_by_method, radar, score_by_size, score_by_merge])
def test_pictures_load_nothing_and_are_the_same_again(make):
    figure = make([made(seed=0), made(seed=1, forget=0.3), made(merge=5), made("wise", targets="self-improved")])
    picture = draw(figure, "svg")
    assert picture == draw(figure, "svg") and picture != draw(figure, "svg", dark=True)
    root = ElementTree.fromstring(picture)
    links = [value for element in root.iter() for name, value in element.attrib.items() if name.endswith("href")]
    assert all(link.startswith("#") for link in links) and b"@import" not in picture and b"url(http" not in picture
    assert draw(figure, "png", dark=True).startswith(b"\x89PNG")
