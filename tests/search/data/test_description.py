import json
from pathlib import Path

import numpy as np
import pytest

from search.data import arrays as description_pieces
from search.data.arrays import pieces
from search.data.description import (
    Description,
    ImageStatistics,
    TableStatistics,
    TextStatistics,
    describe,
)
from search.data.formats.memory import Given
from search.data.reading import Column
from search.data.sources import bring
from tests.search.data.tiny import tiny

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(10, 250, (60, 5, 4, 3)).astype(np.uint8)
TEXTS = ["Good film!", "good, good fun", "", "bad?", "...", "a " * 51, "a " * 50, "b"]


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(description_pieces, "PIECE_BYTES", 500)


def of_labels(root: Path, train: list[int], test: list[int], names: str) -> Description:
    parts = [(np.zeros((len(labels), 1), np.float32), labels) for labels in (train, test)]
    return describe(tiny(root, "table", *parts, classes=names.split()))


def of_images(root: Path, images: np.ndarray, labels: list[int]) -> ImageStatistics:
    found = describe(tiny(root, "image", (images, labels), (images[:2], [0, 1])))
    assert isinstance(found.statistics, ImageStatistics)
    return found.statistics


def of_rows(root: Path, rows: np.ndarray, columns: tuple[str, ...] = ()) -> TableStatistics:
    parts = (rows, [0, 1] * (len(rows) // 2)), (rows[:2], [0, 1])
    found = describe(tiny(root, "table", *parts, columns=columns))
    assert isinstance(found.statistics, TableStatistics)
    return found.statistics


def test_pieces_are_small_and_cover_everything_in_order() -> None:
    parts = list(pieces(IMAGES))
    assert np.array_equal(np.concatenate([piece for _, piece in parts]), IMAGES)
    assert all(np.array_equal(IMAGES[where], piece) for where, piece in parts)
    assert [where.stop for where, _ in parts][-1] == len(IMAGES)
    assert max(piece.nbytes for _, piece in parts) <= 500
    assert len(parts) > 5


def test_a_sample_larger_than_a_piece_is_a_piece() -> None:
    assert [piece.shape for _, piece in pieces(np.zeros((3, 1000), np.uint8))] == [(1, 1000)] * 3


def test_counts_and_shares_of_each_class(tmp_path: Path) -> None:
    found = of_labels(tmp_path, [0, 1, 1, 1], [1, 0, 0, 0, 0], "no yes")
    assert (found.train, found.test) == (4, 5)
    no, yes = found.classes
    assert (no.label, no.name, no.train, no.test) == (0, "no", 1, 4)
    assert (yes.train_share, yes.test_share) == (0.75, 0.2)


@pytest.mark.parametrize(
    ("counts", "phrase"),
    [
        ([3, 3, 3], "balanced: 3 training samples of each class"),
        ([1000, 999, 1000], "nearly balanced: largest to smallest 1.001 : 1 (a to b)"),
        ([12, 10, 11], "nearly balanced: largest to smallest 1.2 : 1 (a to b)"),
        ([10, 32, 20], "unbalanced: largest to smallest 3.2 : 1 (b to a)"),
        ([0, 5, 5], "unbalanced: no training sample of a"),
    ],
)
def test_the_balance_is_told_in_one_phrase(tmp_path: Path, counts: list[int], phrase: str) -> None:
    labels = np.repeat(range(3), counts).tolist()
    assert of_labels(tmp_path, labels, [0, 1, 2], "a b c").balance == phrase


def test_many_classes_without_samples_are_counted(tmp_path: Path) -> None:
    found = of_labels(tmp_path, [5, 6], [5], "a b c d e f g")
    assert found.balance == "unbalanced: no training sample of a, b, c and 2 more"
    assert found.imbalance is None


def test_statistics_of_images_are_those_of_all_pixels(tmp_path: Path) -> None:
    found = of_images(tmp_path, IMAGES, [0, 1] * 30)
    assert (found.lowest, found.highest) == (IMAGES.min(), IMAGES.max())
    assert (found.mean, found.std) == pytest.approx((IMAGES.mean(), IMAGES.std()))
    assert found.channel_means == pytest.approx(IMAGES.mean(axis=(0, 1, 2)))
    assert found.channel_stds == pytest.approx(IMAGES.std(axis=(0, 1, 2)))
    assert found.constant_pixels == 0


def test_pixels_that_never_change_are_counted(tmp_path: Path) -> None:
    images = IMAGES.copy()
    images[:, 0] = 7
    images[:, 1], images[1, 1] = 8, 9  # changes once, in the beginning
    assert of_images(tmp_path, images, [0, 1] * 30).constant_pixels == pytest.approx(1 / 5)


def test_the_brightest_and_the_darkest_class_are_named(tmp_path: Path) -> None:
    images = np.full((60, 10, 5, 1), 40, np.uint8)
    images[::2] = 200
    images[0] = 140
    found = of_images(tmp_path, images, [1, 0] * 30)
    assert (found.brightest, found.brightest_mean) == ("yes", 198)
    assert (found.darkest, found.darkest_mean) == ("no", 40)


def test_statistics_of_a_table_are_those_of_its_columns(tmp_path: Path) -> None:
    rows = (RANDOM.normal(size=(60, 3)) * [1, 100, 0.01] + [0, 1e6, 5]).astype(np.float32)
    found = of_rows(tmp_path, rows, ("a", "b", "c"))
    assert [column.name for column in found.columns] == ["a", "b", "c"]
    for column, values in zip(found.columns, rows.T.astype(np.float64), strict=True):
        shown = (column.lowest, column.mean, column.std, column.highest)
        expected = (values.min(), values.mean(), values.std(), values.max())
        assert shown == pytest.approx(expected, rel=1e-9)
    assert (found.missing, found.constant_columns) == (0, ())


def test_a_constant_column_is_named_and_has_no_spread(tmp_path: Path) -> None:
    rows = RANDOM.normal(size=(60, 2)).astype(np.float32)
    rows[:, 1] = 0.1
    found = of_rows(tmp_path, rows, ("a", "b"))
    assert found.constant_columns == ("b",)
    assert found.columns[1].std == 0


def test_columns_without_names_are_numbered(tmp_path: Path) -> None:
    found = of_rows(tmp_path, np.zeros((4, 2), np.float32))
    assert [column.name for column in found.columns] == ["column 1", "column 2"]


MIXED = (
    Column("age"),
    Column("city", "category", ("bergen", "oslo", "voss", "gone")),
    Column("alive", "truth", ("no", "yes")),
    Column("seen", "date"),
    Column("same", "category", ("x",)),
    Column("lost"),
)


def mixed(tmp_path: Path) -> tuple[np.ndarray, TableStatistics]:
    rows = np.column_stack(
        [
            RANDOM.normal(40, 12, 60),
            RANDOM.choice(3, 60, p=[0.2, 0.7, 0.1]),
            RANDOM.integers(0, 2, 60),
            1.7e9 + RANDOM.integers(0, 100, 60),
            np.zeros(60),
            np.full(60, np.nan),
        ]
    ).astype(np.float64)
    rows[5:9, 0] = rows[50:, 1] = rows[7, 2] = np.nan
    data = tiny(tmp_path, "table", (rows, [0, 1] * 30), (rows, [0, 1] * 30), columns=MIXED)
    found = describe(data).statistics
    assert isinstance(found, TableStatistics)
    return rows, found


def test_gaps_are_counted_and_no_part_of_a_columns_numbers(tmp_path: Path) -> None:
    rows, found = mixed(tmp_path)
    for number in (0, 2, 3):
        column, values = found.columns[number], rows[:, number][~np.isnan(rows[:, number])]
        shown = (column.lowest, column.mean, column.std, column.highest)
        expected = (values.min(), values.mean(), values.std(), values.max())
        assert shown == pytest.approx(expected, rel=1e-9)
    assert [column.missing for column in found.columns] == [4, 10, 1, 0, 0, 60]
    assert found.missing == 75
    assert found.constant_columns == ("same", "lost")
    assert (found.columns[5].lowest, found.columns[5].mean) == (None, None)


def test_categories_are_counted_by_their_words(tmp_path: Path) -> None:
    rows, found = mixed(tmp_path)
    city, alive = found.columns[1], found.columns[2]
    counts = np.bincount(rows[:50, 1].astype(int)).tolist()
    assert city.frequent == (("oslo", counts[1]), ("bergen", counts[0]), ("voss", counts[2]))
    assert (city.type, city.categories, city.lowest, city.mean) == ("category", 3, None, None)
    assert dict(alive.frequent) == {"yes": np.nansum(rows[:, 2]), "no": 59 - np.nansum(rows[:, 2])}
    document = json.loads(json.dumps(found.to_json()))
    assert document["columns"][1]["frequent"][0] == ["oslo", counts[1]]
    assert "NaN" not in json.dumps(document)


def test_statistics_of_texts_count_words(tmp_path: Path) -> None:
    found = describe(tiny(tmp_path, "text", (TEXTS, [0, 1] * 4), (["x"], [0]))).statistics
    assert isinstance(found, TextStatistics)
    assert (found.shortest, found.longest, found.median) == (0, 51, 2.5)
    assert found.mean == pytest.approx(110 / 8)
    assert found.percentile_95 == pytest.approx(np.percentile([0, 0, 1, 2, 3, 3, 50, 51], 95))
    assert (found.empty, found.long, found.long_share) == (2, 1, 1 / 8)
    assert (found.words, found.distinct_words) == (110, 8)
    assert found.frequent[:3] == (("a", 101), ("good", 3), ("!", 1))


@pytest.mark.parametrize("kind", ["image", "text", "table"])
def test_the_document_can_be_written_as_json(tmp_path: Path, kind: str) -> None:
    samples = {"image": IMAGES[:6], "text": TEXTS[:6], "table": np.ones((6, 2), np.float32)}[kind]
    found = describe(tiny(tmp_path, kind, (samples, [0, 1] * 3), (samples[:1], [0])))
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert (document["kind"], document["train"], document["test"]) == (kind, 6, 1)
    shape, dtype = {
        "image": ([5, 4, 3], "uint8"),
        "text": ([], "str"),
        "table": ([2], "float32"),
    }[kind]
    assert (document["shape"], document["dtype"]) == (shape, dtype)
    assert document["classes"][1]["train_share"] == 0.5
    assert document["duplicates"]["train_in_test"] >= 1
    assert document["statistics"]["missing_values"] == 0
    assert document["notes"] == ["test set: counts and duplicates only"]


def test_what_remains_is_what_is_not_droppable(tmp_path: Path) -> None:
    rows = np.array([[1], [1], [2], [3]], np.float32)
    found = describe(tiny(tmp_path, "table", (rows, [0, 0, 1, 1]), (rows[3:], [1])))
    assert found.remaining == 2


def brought(root: Path, targets: np.ndarray, samples: object = None) -> Description:
    rows = RANDOM.normal(size=(len(targets), 2)) if samples is None else samples
    return describe(bring(Given.of((rows, targets), test=False), home=root))


def test_numbers_are_described_by_quantiles_and_a_histogram(tmp_path: Path) -> None:
    numbers = np.column_stack([np.arange(101) + 0.5, RANDOM.normal(size=101)])
    found = brought(tmp_path, numbers)
    first, second = found.numbers
    assert (found.classes, found.balance, found.imbalance) == ((), "", None)
    assert (first.name, first.mean, first.different) == ("y1", 50.5, 101)
    assert first.quantiles == {0: 0.5, 5: 5.5, 25: 25.5, 50: 50.5, 75: 75.5, 95: 95.5, 100: 100.5}
    assert second.std == pytest.approx(numbers[:, 1].std())
    assert (len(first.counts), sum(first.counts)) == (40, 101)
    document = json.loads(json.dumps(found.to_json()))
    assert document["task"] == "regression"
    assert document["numbers"][0]["quantiles"]["50"] == 50.5


def test_labels_are_counted_by_label_and_by_sample(tmp_path: Path) -> None:
    bits = np.array([[1, 1, 0], [0, 0, 0], [1, 0, 0], [1, 1, 1]])
    found = brought(tmp_path, bits)
    assert [counted.train for counted in found.classes] == [3, 2, 1]
    assert [counted.train_share for counted in found.classes] == [0.75, 0.5, 0.25]
    assert found.labels_per_sample == (1, 1, 1, 1)
    assert found.balance.startswith("unbalanced: largest to smallest 3.0 : 1 (y1 to y3)")


def test_samples_are_shown_together_by_class_label_or_range(tmp_path: Path) -> None:
    numbers = brought(tmp_path, np.array([9.5, 1, 8, 2, 7, 3, 6, 4, 5, 0.5]))
    assert [group.name for group in numbers.groups][:2] == ["y 0.5 to 1", "y 2 to 3"]
    assert numbers.groups[0].rows.tolist() == [1, 9]
    labels = brought(tmp_path, np.array([[1, 1], [0, 0], [0, 1]]))
    assert [group.rows.tolist() for group in labels.groups] == [[0], [0, 2]]
    classes = brought(tmp_path, np.array([2, 0, 2, 1]))
    assert [group.rows.tolist() for group in classes.groups] == [[1], [3], [0, 2]]


def test_the_brightest_range_of_images_is_named(tmp_path: Path) -> None:
    images = (np.arange(20)[:, None, None] * 10 + np.zeros((1, 4, 4))).astype(np.uint8)
    found = brought(tmp_path, np.arange(20) + 0.5, images).statistics
    assert isinstance(found, ImageStatistics)
    assert (found.brightest, found.brightest_mean) == ("y 16.5 to 19.5", 175)
    assert (found.darkest, found.darkest_mean) == ("y 0.5 to 3.5", 15)
