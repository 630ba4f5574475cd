"""What many prompts begin with; that it changes no number is tested where it is used (generation, metrics)."""

import pytest

from unedit_gui.models.openings import in_common


@pytest.mark.parametrize(
    "rows, most, shared",
    [([[1, 2, 3], [1, 2, 4]], 9, 2), ([[1, 2, 3], [1, 2, 3]], 2, 2), ([[1, 2], [1, 2, 3]], 9, 2), ([[5], [6]], 9, 0)],
)
def test_rows_have_in_common_what_they_begin_with(rows, most, shared):
    assert in_common(rows, most) == in_common(rows[::-1], most) == shared
