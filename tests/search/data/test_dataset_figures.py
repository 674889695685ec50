import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from search.data import Dataset
from search.data import arrays as description_pieces
from search.data.description import describe
from search.data.figures import figures, telling_words, write_pictures
from search.data.figures_arrays import correlation, enlarged, largest_groups, shrunk
from search.data.formats.memory import Given
from search.data.reading import Column
from search.data.sources import bring
from search.errors import SettingsError
from tests.figures import overlapping
from tests.search.data.tiny import tiny
from tracking.plots.style import png

SLOW = pytest.mark.slow
RANDOM = np.random.default_rng(0)
ALL = {
    "image": ["classes.png", "samples.png", "class_means.png", "correlation.png"],
    "text": ["classes.png", "lengths.png", "words.png"],
    "table": ["classes.png", "correlation.png"],
}
Draw = Callable[[Dataset], dict[str, np.ndarray]]


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    def draw(dataset: Dataset) -> dict[str, np.ndarray]:
        """Return the pictures' pixels by file name."""
        return {
            path.name: pixels(path.read_bytes())
            for path in write_pictures(describe(dataset), tmp_path / "out").paths
        }

    return draw


def pixels(png: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(png)) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def count(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((picture == colour).all(axis=2).sum())


def samples(kind: str, labels: np.ndarray) -> Any:
    if kind == "text":
        return [f"word{label} and the {'rest ' * RANDOM.integers(0, 9)}" for label in labels]
    if kind == "table":
        return RANDOM.normal(size=(len(labels), 5)).astype(np.float32)
    return RANDOM.integers(0, 256, (len(labels), 8, 6, 1)).astype(np.uint8)


def dataset_of(root: Path, kind: str, classes: int = 2, **other: Any) -> Dataset:
    labels = np.arange(max(30, 2 * classes)) % classes
    names = other.pop("names", [f"class {number}" for number in range(classes)])
    parts = (samples(kind, labels), labels), (samples(kind, labels), labels)
    return tiny(root, kind, *parts, classes=names, **other)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ALL)
def test_each_kind_has_its_pictures(tmp_path: Path, kind: str) -> None:
    written = write_pictures(describe(dataset_of(tmp_path, kind)), tmp_path / "deep" / "out")
    assert [path.name for path in written.paths] == ALL[kind]
    assert all(path.parent == tmp_path / "deep" / "out" for path in written.paths)
    assert sorted(path.name for path in (tmp_path / "deep" / "out").iterdir()) == sorted(ALL[kind])
    missing = [name for name in ("samples.png", "correlation.png") if name not in ALL[kind]]
    assert all(name in " ".join(written.notes) for name in missing)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(
    "classes", [2, *(pytest.param(number, marks=SLOW) for number in (10, 100, 300))]
)
def test_any_number_of_classes_with_long_names_fits(
    tmp_path: Path, kind: str, classes: int
) -> None:
    names = [f"quite a long name of a class, which is number {n}" for n in range(classes)]
    for name, figure in figures(describe(dataset_of(tmp_path, kind, classes, names=names))):
        assert not overlapping(figure), name
        picture = pixels(png(figure))
        high, wide, _ = picture.shape
        assert 100 < high < 3200, name
        assert 300 < wide < 1700, name
        edges = (picture[:4], picture[-4:], picture[:, :4], picture[:, -4:])
        assert all((edge == 255).all() for edge in edges), name  # nothing is cut off


@pytest.mark.slow
@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("name", ["{}", "W" * 60, "one $x_{{1}}$ two"])
def test_no_text_lies_on_another(tmp_path: Path, kind: str, name: str) -> None:
    names = [name.format(number) for number in range(12)]
    columns = tuple(names[:1] * 5) if kind == "table" else ()
    made = dataset_of(tmp_path, kind, 12, names=names, columns=columns)
    for file, figure in figures(describe(made)):
        assert not overlapping(figure), file


@pytest.mark.parametrize("columns", [2, 13, pytest.param(38, marks=SLOW), 41, 130])
def test_no_text_lies_on_another_however_many_columns(tmp_path: Path, columns: int) -> None:
    rows, labels = RANDOM.normal(size=(20, columns)).astype(np.float32), np.arange(20) % 2
    names = tuple(f"a rather long name of column {number}" for number in range(columns))
    made = tiny(tmp_path, "table", (rows, labels), (rows, labels), columns=names)
    assert not any(overlapping(figure) for _, figure in figures(describe(made)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ALL)
def test_names_the_font_cannot_write_do_no_harm(tmp_path: Path, draw: Draw, kind: str) -> None:
    columns = ("主", "b", "\n", "", "e") if kind == "table" else ()
    made = dataset_of(tmp_path, kind, names=["主题", "a\nb"], columns=columns)
    assert list(draw(made)) == ALL[kind]


@pytest.mark.slow
def test_texts_the_font_cannot_write_do_no_harm(tmp_path: Path, draw: Draw) -> None:
    texts = (["主 题", "电 影"] * 4, [0, 1] * 4)
    assert list(draw(tiny(tmp_path, "text", texts, texts))) == ALL["text"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ALL)
def test_test_samples_are_never_drawn(tmp_path: Path, draw: Draw, kind: str) -> None:
    labels = np.arange(30) % 2
    train, others = samples(kind, labels), samples(kind, labels)
    first = draw(tiny(tmp_path / "a", kind, (train, labels), (train, labels)))
    second = draw(tiny(tmp_path / "b", kind, (train, labels), (others, labels)))
    assert all(np.array_equal(first[name], second[name]) for name in ALL[kind])


def test_bars_show_the_shares_of_the_training_and_of_the_test_set(
    tmp_path: Path, draw: Draw
) -> None:
    rows = np.zeros((10, 1), np.float32)
    made = tiny(tmp_path, "table", (rows, [0] * 8 + [1] * 2), (rows, [0] * 5 + [1] * 5))
    picture = draw(made)["classes.png"]
    for colour, shares in (((213, 94, 0), (0.8, 0.2)), ((0, 138, 100), (0.5, 0.5))):
        lengths = (picture == colour).all(axis=2).sum(axis=1)
        top, bottom = lengths[lengths > 0][[0, -1]]
        # The line of equal shares crosses a bar, two pixels wide.
        assert top / bottom == pytest.approx(shares[0] / shares[1], rel=0.06)


@pytest.mark.slow
def test_samples_are_the_training_images_themselves(tmp_path: Path, draw: Draw) -> None:
    labels = np.arange(20) % 2
    images = np.zeros((20, 2, 2, 3), np.uint8)
    images[labels == 0] = (10, 20, 30)
    images[labels == 1] = (200, 0, 100)
    picture = draw(tiny(tmp_path, "image", (images, labels), (images, labels)))["samples.png"]
    assert count(picture, (10, 20, 30)) == count(picture, (200, 0, 100)) == 10 * 64 * 64
    rows = [np.flatnonzero((picture == tone).all(axis=2).any(axis=1)) for tone in images[:2, 0, 0]]
    assert rows[0].max() < rows[1].min()  # a class a row


@pytest.mark.slow
def test_mean_images_are_means(tmp_path: Path, draw: Draw) -> None:
    labels = np.array([0, 1, 0, 1, 0])
    tones = [(90, 0, 0), (0, 30, 0), (110, 0, 9), (0, 31, 0), (100, 0, 3)]
    images = np.array(tones, np.uint8)[:, None, None].repeat(2, axis=1)
    picture = draw(tiny(tmp_path, "image", (images, labels), (images, labels)))["class_means.png"]
    assert count(picture, (100, 0, 4)) == count(picture, (0, 30, 0)) == 48 * 96


@pytest.mark.slow
def test_classes_without_samples_are_left_out_of_pictures_of_samples(
    tmp_path: Path, draw: Draw
) -> None:
    labels = [0, 2, 2, 2]
    images = np.full((4, 2, 2, 3), (0, 0, 99), np.uint8)
    made = tiny(tmp_path, "image", (images, labels), (images, labels), classes=["a", "b", "c"])
    assert count(draw(made)["samples.png"], (0, 0, 99)) == 4 * 64 * 64
    assert largest_groups(describe(made), 9) == [0, 2]
    assert largest_groups(describe(made), 1) == [2]


def test_correlation_is_numpys(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = RANDOM.normal(size=(300, 4)) @ RANDOM.normal(size=(4, 6)) + [0, 1e7, 3, 0, 0, -5]
    found = correlation(lambda: iter(np.array_split(rows, 7)))
    assert found == pytest.approx(np.corrcoef(rows.T), abs=1e-9)


@pytest.mark.filterwarnings("error")
def test_correlation_of_columns_with_gaps_is_that_of_pandas() -> None:
    import pandas as pd

    rows = RANDOM.normal(size=(60, 5)) * [1, 1e-3, 10, 1, 1] + [0, 1, 1.7e9, 5, 0]
    rows[:, 3] += 0.01 * (rows[:, 2] - 1.7e9) + rows[:, 0]
    rows[RANDOM.random(rows.shape) < 0.3] = np.nan
    rows[:, 4] = np.nan
    found = correlation(lambda: iter(np.array_split(rows, 7)))
    np.testing.assert_allclose(found, pd.DataFrame(rows).corr(), atol=1e-6)


def test_categories_have_no_correlation_and_their_number_is_in_the_title(tmp_path: Path) -> None:
    columns = ["a", Column("b", "category", ("x", "y")), Column("c", "truth", ("no", "yes"))]
    rows, labels = np.array([[1, 0, 1], [2, 1, np.nan], [3, 1, 0], [5, 0, 1.0]]), [0, 1, 0, 1]
    data = tiny(tmp_path / "kept", "table", (rows, labels), (rows, labels), columns=columns)
    figure = dict(figures(describe(data)))["correlation.png"]
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert "tiny: correlation of the columns (1 of categories left out)" in texts
    assert {"a", "c"} <= set(texts)
    assert "b" not in texts


def test_a_table_of_categories_alone_has_no_correlation(tmp_path: Path) -> None:
    columns = [Column("b", "category", ("x", "y"))]
    rows, labels = np.array([[0.0], [1], [1], [0]]), [0, 1, 0, 1]
    data = tiny(tmp_path / "kept", "table", (rows, labels), (rows, labels), columns=columns)
    written = write_pictures(describe(data), tmp_path / "out")
    assert [path.name for path in written.paths] == ["classes.png"]
    assert "No correlation.png: all columns are categories." in written.notes


def test_what_never_changes_has_no_correlation() -> None:
    rows = np.column_stack([np.arange(30.0), np.full(30, 0.1), -np.arange(30.0)])
    found = correlation(lambda: iter([rows[:10], rows[10:]]))
    assert np.isnan(found[1]).all()
    assert np.isnan(found[:, 1]).all()
    assert found[0, [0, 2]] == pytest.approx([1, -1])


def test_a_table_of_opposite_columns_is_red_and_blue(tmp_path: Path, draw: Draw) -> None:
    values = np.arange(30, dtype=np.float32)
    rows = np.column_stack([values, -values, np.ones(30, np.float32)])
    labels = np.arange(30) % 2
    picture = draw(tiny(tmp_path, "table", (rows, labels), (rows, labels)))["correlation.png"]
    red, blue, grey = (count(picture, c) for c in ((103, 0, 31), (5, 48, 97), (225, 225, 225)))
    assert 1000 < red == pytest.approx(blue, rel=0.3)  # "1.00" and "-1.00" are written on them
    assert grey > 2 * red


@pytest.mark.slow
def test_pixels_that_vary_together_are_red(tmp_path: Path, draw: Draw) -> None:
    labels = np.arange(40) % 2
    tones = RANDOM.integers(0, 256, (40, 1, 2, 1)).astype(np.uint8)
    images = tones.repeat(4, axis=1).repeat(2, axis=2)  # the two halves are unlike
    picture = draw(tiny(tmp_path, "image", (images, labels), (images, labels)))["correlation.png"]
    matrix = picture[80:630, 70:620]
    assert count(matrix, (103, 0, 31)) == pytest.approx(matrix[..., 0].size / 2, rel=0.05)


@pytest.mark.parametrize(
    ("shape", "side", "expected"),
    [
        ((28, 28), 14, (14, 14)),
        ((28, 28), 28, (28, 28)),
        ((9, 30), 7, (1, 6)),
        ((1, 50), 5, (1, 5)),
    ],
)
def test_shrinking_keeps_the_proportions(
    shape: tuple[int, int], side: int, expected: tuple[int, int]
) -> None:
    assert shrunk(np.zeros((3, *shape, 3), np.uint8), side).shape == (3, *expected, 3)


def test_shrinking_averages_blocks() -> None:
    images = RANDOM.integers(0, 256, (5, 6, 4, 2)).astype(np.uint8)
    expected = images.reshape(5, 3, 2, 2, 2, 2).mean(axis=(2, 4))
    assert shrunk(images, 3) == pytest.approx(expected, rel=1e-6)


def test_large_images_are_drawn_small_and_small_ones_large() -> None:
    assert enlarged(np.zeros((300, 150, 3), np.uint8), 96).shape == (96, 48, 3)
    assert enlarged(np.zeros((28, 14, 1), np.uint8), 64).shape == (56, 28, 1)
    assert enlarged(np.zeros((1, 5000, 1), np.uint8), 96).shape == (1, 96, 1)


def test_telling_words_are_those_of_one_class() -> None:
    first = Counter({"good": 50, "film": 100, "once": 1})
    second = Counter({"bad": 40, "film": 100, "good": 5})
    everything = first + second
    (best, *rest) = telling_words(first, everything, 9)
    assert best.word == "good"
    assert best.odds > 3
    assert "film" not in {word.word for word in rest}
    assert [word.word for word in telling_words(second, everything, 1)] == ["bad"]


def test_a_word_seen_once_tells_less_than_one_seen_often() -> None:
    first = Counter({"often": 30, "once": 1, "x": 500})
    often, once = telling_words(first, first + Counter({"x": 500}), 2)
    assert (often.word, once.word) == ("often", "once")
    assert often.score > 2 * once.score


def test_without_words_of_another_class_none_tells() -> None:
    assert telling_words(Counter("ab"), Counter("ab"), 5) == []
    assert telling_words(Counter(), Counter("ab"), 5) == []


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 1), (60, 1), (1, 60), (2, 3), (300, 7)])
def test_images_of_any_proportions_fit(tmp_path: Path, draw: Draw, shape: tuple[int, int]) -> None:
    labels = np.arange(6) % 2
    images = RANDOM.integers(0, 256, (6, *shape, 1)).astype(np.uint8)
    made = tiny(tmp_path, "image", (images, labels), (images, labels))
    for name, picture in draw(made).items():
        edges = (picture[:4], picture[-4:], picture[:, :4], picture[:, -4:])
        assert all((edge == 255).all() for edge in edges), name


@pytest.mark.slow
@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("name", ["csv:/data/" + "long " * 30 + ".csv", "csv:/data/主题\n.csv"])
def test_any_name_of_a_dataset_fits(tmp_path: Path, draw: Draw, kind: str, name: str) -> None:
    for file, picture in draw(dataset_of(tmp_path, kind, name=name)).items():
        assert (picture[:, -4:] == 255).all(), file


@pytest.mark.slow
def test_lengths_change_with_the_texts(tmp_path: Path, draw: Draw) -> None:
    labels = [0, 1] * 10
    pictures = [
        draw(tiny(tmp_path / str(n), "text", (["a b"] * 19 + ["a " * n], labels), (["a"], [0])))
        for n in (1, 40, 4000)
    ]
    assert len({picture["lengths.png"].tobytes() for picture in pictures}) == 3


@pytest.mark.slow
def test_pictures_are_the_same_however_small_the_pieces(
    tmp_path: Path, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = dataset_of(tmp_path, "image")
    whole = draw(made)
    monkeypatch.setattr(description_pieces, "PIECE_BYTES", 100)
    assert all(np.array_equal(draw(made)[name], whole[name]) for name in ALL["image"])


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for folder in (tmp_path / "file", tmp_path / "file" / "out"):
        with pytest.raises(SettingsError, match=r"`--out` must be a folder.*Choose another"):
            write_pictures(describe(dataset_of(tmp_path, "table")), folder)


def test_a_picture_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out" / "classes.png").mkdir(parents=True)
    with pytest.raises(SettingsError, match=r"`--out`.*directory"):
        write_pictures(describe(dataset_of(tmp_path, "table")), tmp_path / "out")


OF_TASKS = {
    "image": ["samples.png", "class_means.png", "correlation.png"],
    "text": ["lengths.png", "words.png"],
    "table": ["correlation.png"],
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(OF_TASKS))
@pytest.mark.parametrize("task", ["regression", "multi-label"])
def test_numbers_and_labels_are_drawn_for_every_kind(
    tmp_path: Path, draw: Draw, kind: str, task: str
) -> None:
    some = samples(kind, np.arange(40))
    targets = RANDOM.normal(size=(40, 2))
    first = ["targets.png"]
    if task == "multi-label":
        targets, first = (targets > 0).astype(int), ["classes.png", "labels_per_sample.png"]
    drawn = draw(bring(Given.of((some, targets)), home=tmp_path))
    assert list(drawn) == first + OF_TASKS[kind]
    for name, picture in drawn.items():
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 2, name


@pytest.mark.slow
def test_words_of_figures_of_numbers_and_labels_do_not_overlap(tmp_path: Path) -> None:
    texts = samples("text", np.arange(40))
    for targets in (RANDOM.normal(size=(40, 3)) * 1e5, RANDOM.integers(0, 2, (40, 6))):
        dataset = bring(Given.of((texts, targets)), home=tmp_path)
        for name, figure in figures(describe(dataset)):
            assert not overlapping(figure), name
