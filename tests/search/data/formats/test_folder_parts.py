"""Folders of pictures: depths, the folders of parts, and pictures that cannot be read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from search.data import Dataset, Reading, load
from search.data.dataset import Manifest
from search.data.ranges import BYTES, FRACTIONS, WHOLE, PixelRange
from search.errors import DataError, SettingsError

Save = Callable[..., Path]
SKIP = Reading(skip_unreadable=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "pictures"


@pytest.fixture
def save(root: Path) -> Save:
    """Save an array, or one value in 4 x 6 pixels, as a picture."""

    def save(name: str, values: Any = 0, dtype: str = "u1") -> Path:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.broadcast_to(np.asarray(values, dtype), (4, 6)).copy()
        Image.fromarray(pixels).save(path)
        return path

    return save


def read(root: Path, home: Path, reading: Reading | None = None) -> tuple[Dataset, list[str]]:
    told: list[str] = []
    found = load(f"folder:{root}", home=home, reading=reading, notify=told.append)
    return found, told[1:]


def fault(root: Path, home: Path) -> str:
    with pytest.raises(DataError) as caught:
        load(f"folder:{root}", home=home)
    return str(caught.value)


def tones(images: Any) -> list[int]:
    return np.asarray(images)[:, 0, 0, 0].tolist()


@pytest.mark.parametrize(
    ("dtype", "suffix", "train", "expected", "depth"),
    [
        ("u2", "png", (0, 40, 70, 35), (0, 70), WHOLE),
        ("u2", "tif", (0, 1000, 4000, 7), (0, 4095), WHOLE),
        ("i4", "tif", (-1000, 0, 3000, 1000), (-1000, 3000), WHOLE),
        ("f4", "tif", (0.0, 0.5, 1.0, 0.25), (0, 1), FRACTIONS),
        ("f4", "tif", (0.3, 0.51, 1.02, 0.75), (0, 1.02), FRACTIONS),
        ("f4", "tif", (-1.0, 0.0, 1.0, 0.5), (-1, 1), FRACTIONS),
        ("u1", "png", (0, 1, 1, 0), (0, 1), BYTES),
    ],
)
def test_one_range_of_the_training_part_holds_for_all_pictures_and_is_told(
    root: Path,
    save: Save,
    home: Path,
    dtype: str,
    suffix: str,
    train: Any,
    expected: Any,
    depth: str,
) -> None:
    for number, value in enumerate(train):
        save(f"train/{'cat' if number < 2 else 'dog'}/{number}.{suffix}", value, dtype)
    save(f"test/cat/0.{suffix}", expected[0], dtype)
    save(f"test/dog/0.{suffix}", train[1], dtype)
    dataset, told = read(root, home)
    low, high = (float(np.asarray(edge, dtype)) for edge in expected)  # float32's 1.02
    assert dataset.pixel_range == PixelRange(low, high, depth)
    assert tones(dataset.train_images) == [
        round(255 * (value - low) / (high - low)) for value in train
    ]
    assert tones(dataset.open_test()[0]) == [0, round(255 * (train[1] - low) / (high - low))]
    (notice,) = told
    assert "becomes white" in notice or f"{high:g} white (255)" in notice
    assert Manifest.read(dataset.folder).pixel_range == dataset.pixel_range
    assert Dataset.open(dataset.folder) == load(f"folder:{root}", home=home)


def test_bytes_are_pixels_and_nothing_is_told(root: Path, save: Save, home: Path) -> None:
    for number, value in enumerate((0, 2, 1, 0)):
        save(f"train/{'cat' if number < 2 else 'dog'}/{number}.png", value)
        save(f"test/{'cat' if number < 2 else 'dog'}/{number}.png", 1)
    dataset, told = read(root, home)
    assert (tones(dataset.train_images), dataset.pixel_range, told) == ([0, 2, 1, 0], None, [])


def test_values_beyond_the_training_parts_range_are_counted(
    root: Path, save: Save, home: Path
) -> None:
    for number, value in enumerate((0, 40, 70, 35)):
        save(f"train/{'cat' if number < 2 else 'dog'}/{number}.png", value, "u2")
    save("test/cat/0.png", [[0, 70, 71, 0, 0, 0]] * 4, "u2")
    save("test/dog/0.png", 900, "u2")
    dataset, told = read(root, home)
    assert "test part: 28 of 48 values are not within the training part's 0 to 70" in told[1]
    assert dataset.open_test()[0].max() == 255


@pytest.mark.slow
def test_the_test_part_that_is_held_out_has_no_say_in_the_range(
    root: Path, save: Save, home: Path
) -> None:
    for number in range(10):
        save(f"cat/{number}.png", 20 + number, "u2")
        save(f"dog/{number}.png", 60 + number, "u2")

    def read_with(bright: str) -> tuple[Dataset, list[str]]:
        before = np.asarray(Image.open(root / bright))
        save(bright, 900, "u2")
        found = read(root, home, Reading(allow_duplicates=True))
        save(bright, before, "u2")
        return found

    plain, _ = read(root, home)
    assert plain.pixel_range is not None
    darkest = plain.open_test()[0].min(axis=(1, 2, 3))[0]
    held = f"cat/{round(float(plain.pixel_range.values(darkest)) - 20)}.png"
    changed, told = read_with(held)
    assert changed.pixel_range == plain.pixel_range
    assert any("test part: 24 of 96 values" in notice for notice in told)
    others = [f"cat/{number}.png" for number in range(10) if f"cat/{number}.png" != held]
    ranges = [read_with(other)[0].pixel_range for other in others]
    assert ranges.count(PixelRange(0, 1023, WHOLE)) == 8  # the other cat that is held out is not


def test_pictures_of_several_depths_are_refused_with_their_names(
    root: Path, save: Save, home: Path
) -> None:
    for number in range(5):
        save(f"cat/{number}.png", 70 + number)
        save(f"dog/{number}.png", 70 + number, "u2")
    message = fault(root, home)
    assert "pictures must be of one depth" in message
    assert "5 8 bits, as" in message
    assert "5 whole numbers, as" in message
    assert "cat/" in message
    assert "dog/" in message


def test_a_test_picture_of_another_depth_is_refused(root: Path, save: Save, home: Path) -> None:
    for number in range(2):
        save(f"train/cat/{number}.png", 70, "u2")
        save(f"train/dog/{number}.png", 700, "u2")
    odd = save("test/dog/0.png", 70)
    assert f"{odd} holds 8 bits, unlike the training pictures (whole numbers)" in fault(root, home)


def test_missing_values_in_a_picture_are_refused_and_can_be_skipped(
    root: Path, save: Save, home: Path
) -> None:
    for number in range(5):
        save(f"cat/{number}.tif", 0.1 + number / 50, "f4")
        save(f"dog/{number}.tif", 0.8 + number / 50, "f4")
    odd = save("dog/5.tif", [[np.nan] + [0.8] * 5] * 4, "f4")
    message = fault(root, home)
    assert str(odd) in message
    assert "missing (NaN)" in message
    assert len(read(root, home, SKIP)[0].train_labels) == 8


def test_sixteen_bits_a_colour_are_told_and_refused_where_too_few_are_used(
    root: Path, home: Path
) -> None:
    import zlib
    from struct import pack

    def chunk(kind: bytes, data: bytes) -> bytes:
        return pack(">I", len(data)) + kind + data + pack(">I", zlib.crc32(kind + data))

    def deep(path: Path, value: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = (b"\0" + pack(">3H", value, value, value) * 6) * 4
        path.write_bytes(
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", pack(">IIBBBBB", 6, 4, 16, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(lines))
            + chunk(b"IEND", b"")
        )

    for number in range(5):
        deep(root / f"cat/{number}.png", 256 * number)
        deep(root / f"dog/{number}.png", 4095 - 256 * number)
    assert "use 15 at most: they have fewer bits. Save them as PNGs of 8 bits" in fault(root, home)
    for number in range(5):
        deep(root / f"dog/{number}.png", 65535 - 256 * number)
    notice = read(root, home)[1][-1]
    assert "8 pictures have 16 bits a colour, of which the upper 8 are read: they reach" in notice


@pytest.mark.parametrize(
    ("train", "validation", "test"),
    [
        ("train", "val", "test"),
        ("Training", "Validation", "Testing"),
        ("TRAIN", "valid", "Test"),
        ("training", "validation", None),
    ],
)
def test_folders_of_parts_are_known_by_their_usual_names(
    root: Path, save: Save, home: Path, train: str, validation: str, test: str | None
) -> None:
    for number in range(10):
        save(f"{train}/cat/{number}.png", number)
        save(f"{train}/dog/{number}.png", 100 + number)
    for number in range(2):
        save(f"{validation}/cat/{number}.png", 50 + number)
        save(f"{validation}/dog/{number}.png", 150 + number)
        if test:
            save(f"{test}/dog/{number}.png", 200 + number)
    dataset, told = read(root, home)
    given = dataset.train_extra("folds")
    assert given is not None
    assert tones(dataset.train_images[given == 1]) == [50, 51, 150, 151]
    assert sorted(set(given.tolist())) == [-1, 1]
    others = tones(dataset.train_images[given == -1])
    tested = tones(dataset.open_test()[0])
    if test:
        assert others == [*range(10), *range(100, 110)]
        assert tested == [200, 201]
    else:
        assert (len(others), len(tested)) == (16, 4)
        assert sorted(others + tested) == [*range(10), *range(100, 110)]
    assert dataset.train_labels.tolist() == [int(t >= 100) for t in tones(dataset.train_images)]
    assert any("the 4 pictures of the validation part validate" in notice for notice in told)


def test_two_folders_for_one_part_are_refused(root: Path, save: Save, home: Path) -> None:
    for name in ("train", "Training"):
        save(f"{name}/cat/0.png")
        save(f"{name}/dog/0.png")
    assert "Training and train are both for the train part" in fault(root, home)


def test_classes_may_be_called_like_parts(root: Path, save: Save, home: Path) -> None:
    for number in range(5):
        save(f"train/{number}.png", number)
        save(f"test/{number}.png", 100 + number)
        save(f"valid/{number}.png", 200 + number)
    assert read(root, home)[0].classes == ("test", "train", "valid")


def test_a_validation_class_without_training_pictures_is_refused(
    root: Path, save: Save, home: Path
) -> None:
    for name in ("train/cat", "train/dog", "val/cow", "test/cat"):
        save(f"{name}/0.png")
    assert "every class of the validation part must be one of the training part's" in fault(
        root, home
    )


@pytest.fixture
def damaged(root: Path, save: Save) -> list[Path]:
    """Two of twenty pictures cannot be read: one from its first byte on, one within its pixels."""
    for number in range(10):
        save(f"cat/{number}.png", number)
        save(f"dog/{number}.png", 100 + number)
    noise = np.random.default_rng(0).integers(0, 256, (40, 60), np.uint8)
    Image.fromarray(noise).save(root / "dog" / "3.png")
    first, second = root / "cat" / "7.png", root / "dog" / "3.png"
    first.write_bytes(b"no picture")
    second.write_bytes(second.read_bytes()[:1500])
    return [first, second]


def test_unreadable_pictures_are_refused_with_the_way_out(
    root: Path, home: Path, damaged: list[Path]
) -> None:
    message = fault(root, home)
    assert str(damaged[0]) in message
    assert "`--skip-unreadable` leaves out pictures that cannot be read" in message


def test_unreadable_pictures_are_skipped_counted_and_named(
    root: Path, home: Path, damaged: list[Path]
) -> None:
    dataset, told = read(root, home, SKIP)
    images = np.concatenate([dataset.train_images, dataset.open_test()[0]])
    good = {*range(10), *range(100, 110)} - {7, 103}
    assert set(tones(images)) == good
    named = dataset.folder / "skipped.txt"
    assert told[-1] == (
        f"{root}: files that cannot be read and are left out: 2; {named} names them."
    )
    lines = named.read_text().splitlines()
    assert [line.partition(": ")[0] for line in lines] == [str(path) for path in damaged]
    for path in damaged:
        path.unlink()
    without, _ = read(root, home)
    assert without.digest == dataset.digest


def test_a_class_without_readable_pictures_is_refused(
    root: Path, home: Path, damaged: list[Path]
) -> None:
    for path in (root / "cat").iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(DataError, match="class cat has none for training"):
        read(root, home, SKIP)


def test_skipping_is_for_folders(tmp_path: Path, home: Path) -> None:
    with pytest.raises(SettingsError, match="`--skip-unreadable` is for data from folder:"):
        load(f"npz:{tmp_path}/x.npz", home=home, reading=SKIP)


def test_what_programs_leave_beside_pictures_is_no_class(
    root: Path, home: Path, save: Save
) -> None:
    for name in ("cat", "dog"):
        for value in range(10):
            save(f"{name}/{value}.png", value * 10 + (name == "cat"))
    save("__MACOSX/cat.png", 1)
    (root / "cat" / "._1.png").write_bytes(b"\0")
    found, told = read(root, home)
    assert found.classes == ("cat", "dog")
    assert any("hidden files and folders are not used: 2" in text for text in told)


def test_classes_that_are_deeper_than_they_should_be_are_named(
    root: Path, home: Path, save: Save
) -> None:
    save("photos/cat/1.png")
    save("photos/dog/1.png")
    assert "It holds folders (cat, dog): if these are classes, name it." in fault(root, home)
    save("others/1.png")
    assert "(cat, dog), which are not searched: put their pictures into" in fault(root, home)
