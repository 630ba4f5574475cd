"""The curve of a training as SVG: what is drawn, what isn't, and that nothing in it is read as HTML."""

import math

from unedit_gui.ui.curve import HEIGHT, WIDTH, charts
from unedit_gui.ui.draw import draw


def points(*losses, **more):
    return [{"step": i, "loss": loss, **{k: v[i] for k, v in more.items()}} for i, loss in enumerate(losses)]


def test_a_curve_runs_from_edge_to_edge_and_says_where_it_began_and_ended():
    (loss,) = charts(points(2.0, 1.0, 0.0))
    places = [tuple(map(float, place.split(","))) for place in loss["points"].split()]
    assert [x for x, _ in places] == [0.0, WIDTH / 2, WIDTH]
    assert 0 < places[0][1] < places[1][1] < places[2][1] < HEIGHT  # down on the page is less
    assert (loss["first"], loss["last"], loss["low"], loss["high"], loss["steps"]) == (2.0, 0.0, 0.0, 2.0, 2)


def test_other_replies_have_a_chart_of_their_own_with_its_limit():
    _, held = charts(points(1.0, 1.0, held=[0.5, 0.7], limit=[1.0, 1.0]))
    assert held["limit"] is not None and not held["over"] and held["high"] == 1.0
    assert charts(points(1.0, 1.0, held=[0.5, 1.2], limit=[1.0, 1.0]))[1]["over"]


def test_too_little_is_not_drawn():
    assert charts([]) == charts(points(1.0)) == charts([{"step": 0, "held": 1.0}]) == []


def test_a_level_curve_is_drawn_all_the_same():
    assert "nan" not in charts(points(1.0, 1.0))[0]["points"]


def test_what_is_no_number_is_left_out():
    odd = [{"step": "<b>", "loss": 1.0}, {"step": 1, "loss": math.nan}, {"step": 2, "loss": "<script>"}, {"loss": 1}]
    assert charts(odd) == []
    (loss,) = charts([*odd, *points(2.0, 1.0)])
    assert "<" not in loss["points"] and loss["steps"] == 1


def test_the_view_is_empty_without_a_training_and_tells_it_in_words_with_one():
    assert "no-strip" in draw("curve", charts=[])
    html = draw("curve", charts=charts(points(2.0, 0.5)))
    assert "<svg" in html and "Loss: from 2.00 to 0.50 in 1 steps" in html
