import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.data import Dataset, load
from search.data import arrays as description_pieces
from search.data.duplicates import Repeats, find_duplicates, numbered, related_groups
from tests.search.data.tiny import tiny

Make = Callable[..., Dataset]
KINDS = ("image", "text", "table")


def samples(kind: str, tones: Sequence[int]) -> Any:
    """Return a sample for each tone; equal tones give equal samples."""
    if kind == "text":
        return [f"tone {tone}" for tone in tones]
    if kind == "table":
        return np.array([[1, tone, -2] for tone in tones], np.float32)
    return np.array([np.full((4, 3, 1), tone) for tone in tones], np.uint8)


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    def make(
        train: Sequence[int], labels: Sequence[int], test: Sequence[int], tested: Sequence[int]
    ) -> Dataset:
        parts = (samples(request.param, train), labels), (samples(request.param, test), tested)
        return tiny(tmp_path, request.param, *parts)

    return make


def test_different_samples_are_no_duplicates(make: Make) -> None:
    found = find_duplicates(make([1, 2, 3], [0, 0, 1], [4, 5], [0, 1]))
    assert found.train == found.test == Repeats(0, 0, 0, 0)
    assert (found.shared, found.shared_conflicting, len(found.droppable)) == (0, 0, 0)


def test_of_equal_samples_with_one_label_the_first_stays(make: Make) -> None:
    found = find_duplicates(make([7, 1, 7, 2, 7, 1], [0, 1, 0, 0, 0, 1], [9], [0]))
    assert found.train == Repeats(2, 3, 0, 0)
    assert found.droppable.tolist() == [2, 4, 5]
    assert found.droppable.dtype == np.int64


def test_of_equal_samples_with_several_labels_none_stays(make: Make) -> None:
    found = find_duplicates(make([3, 1, 3, 2, 3, 1], [1, 1, 0, 0, 1, 1], [9], [0]))
    assert found.train == Repeats(2, 3, 1, 3)
    assert found.droppable.tolist() == [0, 2, 4, 5]


def test_training_samples_of_the_test_set_do_not_stay(make: Make) -> None:
    found = find_duplicates(make([5, 1, 6, 5], [0, 1, 0, 0], [6, 8, 5], [1, 0, 0]))
    assert (found.shared, found.shared_conflicting) == (3, 1)
    assert found.droppable.tolist() == [0, 2, 3]


@pytest.mark.parametrize("tested", [[0, 0, 0], [1, 1, 1], [0, 1, 0]])
def test_what_is_left_out_does_not_depend_on_test_labels(make: Make, tested: list[int]) -> None:
    found = find_duplicates(make([5, 1, 6, 1], [0, 1, 1, 1], [6, 5, 5], tested))
    assert found.droppable.tolist() == [0, 2, 3]


@pytest.mark.parametrize("label", [0, 1])
def test_a_sample_that_the_test_set_has_with_both_labels_is_contradicted(
    make: Make, label: int
) -> None:
    found = find_duplicates(make([5, 1], [label, 1], [5, 5], [0, 1]))
    assert (found.shared, found.shared_conflicting) == (1, 1)


def test_equal_samples_within_the_test_set_are_counted_too(make: Make) -> None:
    found = find_duplicates(make([1, 2], [0, 1], [5, 5, 6, 6, 6], [0, 1, 1, 1, 1]))
    assert found.test == Repeats(2, 3, 1, 2)
    assert found.train == Repeats(0, 0, 0, 0)


def test_equal_samples_far_apart_are_found(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(description_pieces, "PIECE_BYTES", 24)  # a sample or two at a time
    found = find_duplicates(make([*range(50), 0], [0] * 51, [77, 49], [1, 0]))
    assert found.droppable.tolist() == [49, 50]


def test_the_document_has_all_counts(make: Make) -> None:
    found = find_duplicates(make([1, 1, 2], [0, 1, 1], [2, 3, 3], [0, 0, 0]))
    assert found.to_json() == {
        "train": {
            "groups": 1,
            "surplus": 1,
            "conflicting_groups": 1,
            "conflicting_samples": 2,
        },
        "test": {"groups": 1, "surplus": 1, "conflicting_groups": 0, "conflicting_samples": 0},
        "train_in_test": 1,
        "train_in_test_with_another_label": 1,
        "droppable": 3,
    }


def test_texts_are_equal_to_the_last_character(tmp_path: Path) -> None:
    texts = ["ab", "c", "a", "bc", "A", "a ", "", " ", "ä", "a"]
    found = find_duplicates(tiny(tmp_path, "text", (texts, [0] * 10), (["x"], [0])))
    assert found.droppable.tolist() == [9]


def test_zero_is_equal_to_minus_zero(tmp_path: Path) -> None:
    rows = np.array([[0.0, 1], [-0.0, 1], [0, -1]], np.float32)
    found = find_duplicates(tiny(tmp_path, "table", (rows, [0, 0, 0]), (rows[2:] + 1, [0])))
    assert found.droppable.tolist() == [1]


def real(name: str, home: Path) -> Dataset:
    folder = Path(os.environ.get("SEARCH_DATA_DIR", "nowhere"))
    if not (folder / name).is_dir():
        pytest.skip(f"SEARCH_DATA_DIR names no folder with {name}")
    return load(name, home=home, data_dir=folder, download=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fashion_mnist", "mnist"])
def test_the_published_images_are_all_different(name: str, home: Path) -> None:
    found = find_duplicates(real(name, home))
    assert (found.train.groups, found.shared, len(found.droppable)) == (0, 0, 0)


@pytest.mark.slow
def test_sst2_has_phrases_that_stand_twice_and_five_with_both_labels(home: Path) -> None:
    dataset = real("sst2", home)
    found = find_duplicates(dataset)
    assert len(dataset.train_labels) - found.train.surplus == 66_978
    assert (found.train.conflicting_groups, found.shared) == (5, 0)
    assert len(found.droppable) == 376


def test_missing_values_are_equal_whatever_their_bits() -> None:
    other = np.array([0xFFF8000000000001], np.uint64).view(np.float64)[0]
    rows = np.array([[1.0, np.nan], [1.0, other], [1.0, 0.0], [1.0, -0.0], [2.0, np.nan]])
    assert numbered([rows]).tolist() == [0, 0, 1, 1, 2]


def test_texts_are_together_with_equal_ones_and_those_that_contain_them() -> None:
    found = related_groups(["a b c", "b c", "...", "x", "...", "!"])
    assert found is not None
    assert found.tolist() == [0, 0, 1, 2, 1, 3]
    assert related_groups(["a", "b"]) is None
