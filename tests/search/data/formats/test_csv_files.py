import gzip
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from search.data import Dataset, Reading, catalog, load
from search.errors import DataError, SettingsError

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file from a header and lines, each a text or numbers."""

    def write(header: str, *lines: object, name: str = "train.csv", end: str = "\n") -> Path:
        path = tmp_path / name
        rows = [line if isinstance(line, str) else ",".join(map(str, line)) for line in lines]
        path.write_bytes("".join(row + end for row in (header, *rows)).encode())
        return path

    return write


Read = Callable[..., Dataset]


@pytest.fixture
def read(home: Path) -> Read:
    def read(*paths: Path) -> Dataset:
        return load("csv:" + ",".join(map(str, paths)), home=home)

    return read


def pixel_header(count: int, first: int = 1) -> str:
    return ",".join(["label", *(f"pixel{first + i}" for i in range(count))])


def pixel_rows(count: int, pixels: int) -> list[list[int]]:
    """Rows in three classes, each with its own values."""
    return [[i % 3, *((7 * i + j) % 256 for j in range(pixels))] for i in range(count)]


def all_samples(dataset: Dataset) -> dict[bytes, int]:
    """The label of every sample of both parts."""
    test, test_labels = dataset.open_test()
    samples = [*dataset.train_samples, *test]
    labels = [*dataset.train_labels, *test_labels]
    return {
        np.asarray(one).tobytes(): int(label) for one, label in zip(samples, labels, strict=True)
    }


@pytest.mark.parametrize("first", [0, 1])
def test_pixel_columns_are_grey_images(write: Write, read: Read, first: int) -> None:
    rows = pixel_rows(30, 784)
    train = write(pixel_header(784, first), *rows)
    test = write(pixel_header(784, first), *rows[:6], name="test.csv")
    dataset = read(train, test)
    assert (dataset.kind, dataset.columns) == ("image", ())
    assert dataset.classes == ("0", "1", "2")
    assert dataset.train_images.dtype == np.uint8
    assert dataset.train_images.shape == (30, 28, 28, 1)
    assert dataset.train_images[4].ravel().tolist() == rows[4][1:]
    assert dataset.train_labels.tolist() == [row[0] for row in rows]
    images, labels = dataset.open_test()
    assert images.shape == (6, 28, 28, 1)
    assert labels.tolist() == [0, 1, 2, 0, 1, 2]


def test_three_times_a_square_of_pixels_are_colour_images(write: Write, read: Read) -> None:
    rows = pixel_rows(15, 12)
    dataset = read(write(pixel_header(12), *rows))
    assert dataset.train_images.shape == (12, 2, 2, 3)
    (index,) = np.flatnonzero(dataset.train_images[:, 0, 0, 0] == rows[1][1])
    assert dataset.train_images[index, 0, 1].tolist() == rows[1][4:7]


@pytest.mark.parametrize(
    "header",
    [pixel_header(5), "label,pixel1,pixel3,pixel2,pixel4", "label,pixel2,pixel3,pixel4,pixel5"],
)
def test_pixel_columns_that_are_no_image_are_a_table_and_that_is_told(
    write: Write, home: Path, header: str
) -> None:
    count = header.count("pixel")
    path = write(header, *pixel_rows(15, count))
    told: list[str] = []
    dataset = load(f"csv:{path}", home=home, notify=told.append)
    assert dataset.kind == "table"
    assert f"its {count} pixel columns are no images" in " ".join(told)


def test_other_columns_are_a_table_with_their_names(write: Write, read: Read) -> None:
    lines = ["0.5,0,-1e3", "1.5,1,2", "2.5,0,.25", "3.5,1,7"]
    train = write("width, Label ,height", *lines)
    test = write("width,label,height", "9,1,8", name="test.csv")
    dataset = read(train, test)
    assert (dataset.kind, dataset.column_names) == ("table", ("width", "height"))
    assert dataset.train_samples.dtype == np.float64
    assert dataset.train_samples.tolist() == [[0.5, -1000], [1.5, 2], [2.5, 0.25], [3.5, 7]]
    assert dataset.train_labels.tolist() == [0, 1, 0, 1]
    assert dataset.open_test()[0].tolist() == [[9, 8]]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("packed", [False, True])
def test_every_spelling_gives_the_same_arrays(
    write: Write, read: Read, delimiter: str, end: str, mark: str, packed: bool
) -> None:
    lines = [["0", '"1"', "2.0"], ["1", " 3", "4"], ["", "", ""], ["0", "5", "6"], ["1", "7", "8"]]
    rows = [delimiter.join(line) if any(line) else "" for line in lines]
    header = delimiter.join(["label", f'"a{delimiter} b"', "c"])
    path = write(mark + header, *rows, end=end)
    if packed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    dataset = read(path)
    assert dataset.column_names == (f"a{delimiter} b", "c")
    assert sorted(key[:8] for key in all_samples(dataset)) == sorted(
        np.float64(value).tobytes() for value in (1, 3, 5, 7)
    )


def test_a_last_line_without_its_end_counts(write: Write, read: Read) -> None:
    path = write("label,a", *[[i % 2, i] for i in range(10)])
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    assert len(all_samples(read(path))) == 10


def test_whole_numbers_may_be_written_with_a_point(write: Write, read: Read) -> None:
    rows = [[f"{i % 2}.0", f"{i}.0", "255.0", "0", "1e2"] for i in range(10)]
    test = write(pixel_header(4), "1,1,2,3,4", name="test.csv")
    dataset = read(write(pixel_header(4), *rows), test)
    assert dataset.train_images[7].ravel().tolist() == [7, 255, 0, 100]
    assert dataset.train_labels[7] == 1


def test_images_may_have_more_classes_than_a_pixel_has_values(
    write: Write, read: Read, home: Path
) -> None:
    rows = [[i % 300, "1.0", i % 256, i // 256, 4] for i in range(600)]
    path = write(pixel_header(4), *rows)
    with pytest.raises(DataError, match="`--task regression` or `--task classification`"):
        read(path)
    dataset = load(f"csv:{path}", home=home, reading=Reading(task="classification"))
    assert len(dataset.classes) == 300


def test_a_fifth_of_each_class_is_set_aside_where_there_is_no_test_part(
    write: Write, home: Path
) -> None:
    rows = pixel_rows(60, 4)
    path = write(pixel_header(4), *rows)
    told: list[str] = []
    dataset = load(f"csv:{path}", home=home, notify=told.append)
    _, labels = dataset.open_test()
    assert np.bincount(dataset.train_labels).tolist() == [16, 16, 16]
    assert np.bincount(labels).tolist() == [4, 4, 4]
    assert all_samples(dataset) == {bytes(row[1:]): row[0] for row in rows}
    assert told[-1] == (
        f"{path} has no test part: a stratified fifth (12 of 60 samples) is held out for the test."
    )
    assert sorted(file.name for file in dataset.folder.iterdir()) == [
        "meta.json",
        "test_images.npy",
        "test_labels.npy",
        "train_images.npy",
        "train_labels.npy",
    ]


@pytest.mark.slow
def test_rows_in_many_blocks_arrive_whole_and_in_order(
    write: Write, read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [[i % 3, i * i, i / 7] for i in range(500)]
    train, test = write("label,a,b", *rows), write("label,a,b", *rows[:3], name="test.csv")
    monkeypatch.setattr("search.data.formats.csv.BLOCK_BYTES", 37)
    monkeypatch.setattr("search.data.arrays.PIECE_BYTES", 24)
    dataset = read(train, test)
    assert dataset.train_labels.tolist() == [row[0] for row in rows]
    assert np.array_equal(dataset.train_samples, np.array(rows)[:, 1:])
    held_out = read(train)
    assert len(held_out.train_labels) == 400
    assert all_samples(held_out) == all_samples(dataset)


def test_unchanged_files_are_not_read_again_and_changed_ones_are(write: Write, home: Path) -> None:
    path = write("label,a", *[[i % 2, i] for i in range(10)])
    first = load(f"csv:{path}", home=home)
    told: list[str] = []
    assert load(f"csv:{path}", home=home, notify=told.append) == first
    assert tuple(told) == first.notices
    told.clear()
    write("label,a", *[[i % 2, i + 1] for i in range(10)])
    second = load(f"csv:{path}", home=home, notify=told.append)
    assert told[0] == f"Getting csv:{path} ({path})."
    assert second.digest != first.digest


def test_the_labels_of_a_known_dataset_bring_its_class_names(
    write: Write, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = [i % 10 for i in range(50)]
    digest = hashlib.sha256(bytes(labels)).hexdigest()
    known = replace(catalog.entry_of("fashion_mnist"), labels_sha256=digest)
    monkeypatch.setattr(catalog, "_ENTRIES", (known,))
    path = write(pixel_header(4), *[[label, 1, 2, 3, i] for i, label in enumerate(labels)])
    assert read(path).classes[9] == "Ankle boot"


@pytest.mark.parametrize("rest", ["a.csv,b.csv,c.csv", "a.csv,a.csv"])
def test_csv_takes_one_file_or_two_different_ones(home: Path, rest: str) -> None:
    with pytest.raises(SettingsError, match="TRAIN or by TRAIN,TEST, two different files"):
        load(f"csv:{rest}", home=home)


def test_bars_may_separate_values_and_may_be_in_words(write: Write, read: Read) -> None:
    lines = [f"{n}.5|{n % 3}|{'ab'[n % 2]}" for n in range(20)]
    bars = read(write("x|y|label", *lines, name="bars.csv"))
    commas = read(write("x,y,label", *(line.replace("|", ",") for line in lines)))
    assert bars.column_names == commas.column_names == ("x", "y")
    assert np.array_equal(bars.train_samples, commas.train_samples)
    joined = [f"{n}.5,red|{'ab'[n % 2]}" for n in range(20)]
    assert read(write("x,label", *joined, name="words.csv")).classes == ("red|a", "red|b")


def test_a_quote_after_a_blank_within_a_quoted_text_is_a_part_of_it(
    write: Write, read: Read
) -> None:
    lines = [f'"he said, ""{n % 3}"" ",{n}.5,{n % 2}' for n in range(20)]
    dataset = read(write("a,b,label", *lines))
    assert dataset.columns[0].categories == ('he said, "0"', 'he said, "1"', 'he said, "2"')
