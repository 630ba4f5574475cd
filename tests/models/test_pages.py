"""Weights that are mapped from a file leave the memory, and nothing else does."""

import sys

import pytest
import torch

from unedit_gui.models.pages import from_files, let_go, pages_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells what memory is a file's")
NUMBERS = 2**20  # 4 MB


@pytest.fixture
def stored(tmp_path):
    """A file of numbers, mapped as safetensors maps a model's."""
    path = tmp_path / "numbers"
    path.write_bytes(torch.arange(NUMBERS, dtype=torch.float32).numpy().tobytes())
    return torch.from_file(str(path), shared=False, size=NUMBERS, dtype=torch.float32)


def in_memory(tensor):
    """Bytes of its mapping that are in memory."""
    at, inside = tensor.data_ptr(), False
    for line in open("/proc/self/smaps", encoding="utf-8"):
        if "-" in line.split()[0]:
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            inside = start <= at < end
        elif inside and line.startswith("Rss:"):
            return int(line.split()[1]) * 1024
    return 0


def test_pages_of_a_file_go_and_come_back_with_the_same_numbers(stored):
    total = float(stored.double().sum())
    assert in_memory(stored) >= 4 * NUMBERS
    let_go(pages_of([stored], from_files()))
    assert in_memory(stored) < 0.1 * 4 * NUMBERS
    assert float(stored.double().sum()) == total


def test_a_part_goes_without_its_neighbours(stored):
    stored.sum()
    let_go(pages_of([stored[1000 : NUMBERS // 2 + 1000]], from_files()))
    assert 0.4 < in_memory(stored) / (4 * NUMBERS) < 0.6


def test_what_was_written_to_since_it_was_read_stays(stored):
    stored[5] = -1.0
    stored.sum()
    let_go(pages_of([stored], from_files()))
    assert in_memory(stored) >= 4 * NUMBERS
    assert stored[5] == -1.0


def test_numbers_of_no_file_stay():
    ours = torch.ones(NUMBERS)
    let_go(pages_of([ours], from_files()))
    assert ours.sum() == NUMBERS


def test_a_system_that_does_not_tell_has_none(stored, monkeypatch, tmp_path):
    monkeypatch.setattr("unedit_gui.models.pages._MAPS", tmp_path / "no such file")
    assert from_files() == []
    let_go(pages_of([stored], []))
    assert stored[5] == 5.0
