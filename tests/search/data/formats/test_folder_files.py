import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from search.data import Dataset, Reading, load
from search.errors import DataError

Save = Callable[..., Path]
WHITE = (255, 255, 255)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "pictures"


@pytest.fixture
def save(root: Path) -> Save:
    """Save a picture, by default grey of a tone, below the root."""

    def save(name: str, tone: int = 0, *, size: Any = (6, 4), mode: str = "L", **more: Any) -> Path:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = more.pop("picture", None) or Image.new("L", size, tone).convert(mode)
        picture.save(path, **more)
        return path

    return save


@pytest.fixture
def two_classes(root: Path, save: Save) -> Path:
    """Ten pictures of 6 x 4 in each of two classes; the tone tells which one it is."""
    for i in range(10):
        save(f"cat/{i}.png", tone=i)
        save(f"dog/{i}.png", tone=100 + i)
    return root


def read(root: Path, home: Path) -> Dataset:
    """Read pictures, many of which are equal here."""
    return load(f"folder:{root}", home=home, reading=Reading(allow_duplicates=True))


def told_of(root: Path, home: Path) -> list[str]:
    told: list[str] = []
    reading = Reading(allow_duplicates=True)
    load(f"folder:{root}", home=home, reading=reading, notify=told.append)
    return told


def fault(root: Path, home: Path) -> str:
    with pytest.raises(DataError) as caught:
        load(f"folder:{root}", home=home)
    assert str(root) in str(caught.value)
    assert not list((home / "datasets").glob("*"))
    return str(caught.value)


def tones(dataset: Dataset) -> dict[int, int]:
    """The label of each tone, in both parts."""
    images, labels = dataset.open_test()
    both = [(dataset.train_images, dataset.train_labels), (images, labels)]
    return {
        int(image[0, 0, 0]): int(label)
        for images, labels in both
        for image, label in zip(images, labels, strict=True)
    }


def test_folders_are_classes_and_a_fifth_is_set_aside(two_classes: Path, home: Path) -> None:
    dataset = read(two_classes, home)
    assert (dataset.kind, dataset.classes) == ("image", ("cat", "dog"))
    assert dataset.train_images.shape == (16, 4, 6, 1)
    assert np.bincount(dataset.open_test()[1]).tolist() == [2, 2]
    assert tones(dataset) == {tone: int(tone >= 100) for tone in [*range(10), *range(100, 110)]}
    assert "a stratified fifth (4 of 20 samples) is held out" in told_of(two_classes, home / "b")[1]


def test_train_and_test_folders_are_the_two_parts(root: Path, save: Save, home: Path) -> None:
    for i in range(6):
        save(f"train/cat/{i}.png", i)
        save(f"train/dog/{i}.png", 100 + i)
    save("test/dog/0.png", 200)
    save("more/dog/0.png")
    dataset = read(root, home)
    assert dataset.train_labels.tolist() == [0] * 6 + [1] * 6
    assert dataset.train_images[:, 0, 0, 0].tolist() == [*range(6), *range(100, 106)]
    assert dataset.open_test()[0][:, 0, 0, 0].tolist() == [200]
    assert dataset.open_test()[1].tolist() == [1]
    told = told_of(root, home / "other")
    assert told[1:] == [
        f"{root}: folders beside those of the parts are not used: 1, the first is more.",
        f"{root}: the test part has no pictures of cat.",
    ]


def test_a_train_folder_alone_is_split(root: Path, save: Save, home: Path) -> None:
    for i in range(5):
        save(f"train/cat/{i}.png")
        save(f"train/dog/{i}.png")
    assert len(read(root, home).open_test()[0]) == 2


def test_train_may_be_a_class(root: Path, save: Save, home: Path) -> None:
    for i in range(5):
        save(f"train/{i}.png")
        save(f"plane/{i}.png")
    assert read(root, home).classes == ("plane", "train")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("10", "9", "1"), ("1", "9", "10")),
        (("b10", "b9", "B"), ("B", "b10", "b9")),
    ],
)
def test_classes_are_in_natural_order_where_all_are_numbers(
    root: Path, save: Save, home: Path, names: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    for number, name in enumerate(names):
        for i in range(5):
            save(f"{name}/{i}.png", tone=number)
    dataset = read(root, home)
    assert dataset.classes == expected
    assert {dataset.classes[label]: tone for tone, label in tones(dataset).items()} == {
        name: number for number, name in enumerate(names)
    }


@pytest.mark.parametrize(
    "suffix", ["png", "JPG", "jpeg", "bmp", "gif", "webp", "tif", "tiff", "pgm", "ppm", "tga"]
)
def test_every_usual_format_is_read(root: Path, save: Save, home: Path, suffix: str) -> None:
    for i in range(5):
        save(f"cat/{i}.{suffix}", 40, mode="RGB")
        save(f"dog/{i}.{suffix}", 200, mode="RGB")
    dataset = read(root, home)
    for image, label in zip(dataset.train_images, dataset.train_labels, strict=True):
        assert np.allclose(image, 200 if label else 40, atol=4)


@pytest.mark.parametrize("mode", ["L", "1", "LA", "I;16", "P"])
def test_pictures_without_colours_get_one_channel(
    root: Path, save: Save, home: Path, mode: str
) -> None:
    for i in range(5):
        for name, tone in (("cat", 255), ("dog", 0)):
            grey = Image.fromarray(np.full((4, 6), tone * 257, np.uint16))
            save(f"{name}/{i}.png", tone, mode=mode, picture=grey if mode == "I;16" else None)
    dataset = read(root, home)
    assert dataset.train_images.shape == (8, 4, 6, 1)
    assert tones(dataset) == {255: 0, 0: 1}


def test_one_picture_in_colour_gives_all_three_channels(
    two_classes: Path, save: Save, home: Path
) -> None:
    for i in range(10):
        save(f"cat/red{i}.png", picture=Image.new("RGB", (6, 4), (255, 0, 0)))
    dataset = read(two_classes, home)
    assert dataset.train_images.shape == (24, 4, 6, 3)
    kept = {tuple(image[0, 0].tolist()) for image in dataset.train_images}
    assert (255, 0, 0) in kept
    assert any(len(set(pixel)) == 1 for pixel in kept)


def test_transparency_becomes_black(root: Path, save: Save, home: Path) -> None:
    clear = Image.new("RGBA", (6, 4), (*WHITE, 0))
    half = Image.new("RGBA", (6, 4), (*WHITE, 128))
    for i in range(5):
        save(f"cat/{i}.png", picture=clear)
        save(f"dog/{i}.png", picture=half)
    assert tones(read(root, home)) == {0: 0, 128: 1}


def test_dark_pictures_of_16_bits_stay_dark(root: Path, save: Save, home: Path) -> None:
    for i in range(5):
        save(f"cat/{i}.png", picture=Image.fromarray(np.full((4, 6), 200, np.uint16)))
        save(f"dog/{i}.png", picture=Image.fromarray(np.full((4, 6), 200 * 257, np.uint16)))
    assert tones(read(root, home)) == {1: 0, 200: 1}


def test_photographs_are_turned_upright(root: Path, save: Save, home: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: top is at the right
    pixels = np.zeros((16, 32), np.uint8)
    pixels[:8] = 255
    for i in range(5):
        save(f"cat/{i}.jpg", picture=Image.fromarray(pixels), exif=exif, quality=95)
        save(f"dog/{i}.png", size=(16, 32))
    assert len(told_of(root, home)) == 2  # nothing is resized
    dataset = read(root, home)
    image = np.asarray(dataset.train_images[dataset.train_labels == 0][0, ..., 0])
    assert image.shape == (32, 16)
    assert image[:, 10:].min() > 200
    assert image[:, :6].max() < 50


def test_mixed_sizes_become_the_most_common_one(two_classes: Path, save: Save, home: Path) -> None:
    for i in range(5):
        save(f"cat/wide{i}.png", 50, size=(60, 4))
        save(f"dog/small{i}.png", 60, size=(3, 2))
    told = told_of(two_classes, home)
    assert told[-1] == (
        f"{two_classes}: 10 of 30 pictures are resized to 6 x 4, the most common size."
    )
    assert read(two_classes, home).train_images.shape == (24, 4, 6, 1)
    assert tones(read(two_classes, home))[50] == 0


def test_resized_pictures_are_smoothed(root: Path, save: Save, home: Path) -> None:
    stripes = np.zeros((40, 60), np.uint8)
    stripes[:, ::2] = 255
    for i in range(5):
        save(f"cat/{i}.png", 0)
        save(f"cat/{i + 5}.png", 0)
        save(f"dog/{i}.png", picture=Image.fromarray(stripes))
    dataset = read(root, home)
    assert all(100 < tone < 155 for tone, label in tones(dataset).items() if label == 1)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_large_pictures_are_reduced_and_that_is_told(
    root: Path, save: Save, home: Path, suffix: str
) -> None:
    pixels = np.zeros((400, 1200), np.uint8)
    pixels[:, :600] = 255
    for i in range(5):
        for name in ("cat", "dog"):
            save(f"{name}/{i}.{suffix}", picture=Image.fromarray(pixels))
    told = told_of(root, home)
    assert told[-1] == (
        f"{root}: 10 of 10 pictures are resized to 256 x 85, because the most common size,"
        " 1200 x 400, is too large."
    )
    dataset = read(root, home)
    assert dataset.train_images.shape == (8, 85, 256, 1)
    assert dataset.train_images[0, :, :120].min() > 250
    assert dataset.train_images[0, :, 136:].max() < 5


def test_other_and_hidden_files_are_ignored_and_counted(
    two_classes: Path, save: Save, home: Path
) -> None:
    (two_classes / "labels.csv").write_text("x")
    (two_classes / "cat" / "notes.txt").write_text("x")
    (two_classes / "cat" / "Thumbs.db").write_text("x")
    (two_classes / "cat" / ".hidden.png").write_text("x")
    (two_classes / ".git").mkdir()
    save("cat/more/1.png")
    told = told_of(two_classes, home)
    assert told[1:-1] == [
        f"{two_classes}: hidden files and folders are not used: 2, the first is .git.",
        f"{two_classes}: files outside class folders are not used: 1, the first is labels.csv.",
        f"{two_classes}: other files are not used: 2, the first is cat/Thumbs.db.",
        f"{two_classes}: folders within class folders are not used: 1, the first is cat/more.",
    ]
    assert len(tones(read(two_classes, home))) == 20


def test_links_to_pictures_are_followed_and_circles_do_no_harm(
    two_classes: Path, save: Save, home: Path, tmp_path: Path
) -> None:
    real = save("../elsewhere/real.png", 77)
    (two_classes / "cat" / "linked.png").symlink_to(real)
    (two_classes / "cat" / "up").symlink_to(two_classes)
    (two_classes / "cat" / "circle.png").symlink_to(two_classes / "cat" / "circle.png")
    (two_classes / "cat" / "nothing.png").symlink_to(tmp_path / "nothing")
    (two_classes / "self").symlink_to(two_classes / "self")
    dataset = read(two_classes, home)
    assert dataset.classes == ("cat", "dog")
    assert tones(dataset)[77] == 0
    assert len(tones(dataset)) == 21


def test_pictures_that_cannot_be_read_are_named_and_counted(
    two_classes: Path, save: Save, home: Path
) -> None:
    torn = save("dog/a.png", size=(80, 80), picture=Image.effect_noise((80, 80), 90))
    torn.write_bytes(torn.read_bytes()[:1000])
    assert f"{torn} is not a readable picture" in fault(two_classes, home)
    (two_classes / "cat" / "b.jpg").write_text("no picture")
    (two_classes / "cat" / "c.gif").write_text("")
    (two_classes / "dog" / "d.png").write_text("none either")
    message = fault(two_classes, home)
    assert f"{two_classes / 'cat' / 'b.jpg'} is not a readable picture" in message
    assert "2 more cannot be read either." in message


@pytest.mark.slow
def test_pictures_too_large_to_be_honest_are_refused(
    two_classes: Path, save: Save, home: Path
) -> None:
    save("cat/bomb.png", picture=Image.new("1", (9000, 9000)))
    message = fault(two_classes, home)
    assert "at most 50,000,000 pixels; this has 9000 x 9000" in message


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ((), "must hold a folder for each of two or more classes"),
        (("a.png", "b.png"), "its class folders: none"),
        (("cat/1.png", "cat/2.png"), "its class folders: cat"),
        (("cat/1.png", "dog/notes.txt"), "dog has none. Fill it or delete it."),
        (("train/cat/1.png", "train/dog/1.txt"), "dog has none"),
        (
            ("train/cat/1.png", "train/dog/1.png", "test/1.png"),
            "test must contain class folders; there are none",
        ),
        (("cat/1.png", "dog/1.png", "dog/2.png"), "class cat has only one sample"),
        (
            ("train/cat/1.png", "train/dog/1.png", "test/cow/1.png", "test/pig/1.png"),
            "one of the training part's, cat, dog; got cow, pig",
        ),
    ],
)
def test_another_layout_is_refused(
    root: Path, save: Save, home: Path, files: tuple[str, ...], expected: str
) -> None:
    root.mkdir()
    for name in files:
        if name.endswith("png"):
            save(name)
        else:
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_text("no picture")
    assert expected in fault(root, home)


def test_a_class_whose_name_cannot_be_shown_is_refused(two_classes: Path, home: Path) -> None:
    (two_classes / "cat").rename(two_classes / os.fsdecode(b"caf\xe9"))
    assert r"must be plain text; rename 'caf\udce9'" in fault(two_classes, home)


def test_a_folder_that_is_not_there_is_refused(root: Path, save: Save, home: Path) -> None:
    assert "must be a folder of pictures in class folders; there is none" in fault(root, home)
    assert "it is a file" in fault(save("a.png"), home)


@pytest.mark.slow
@pytest.mark.parametrize("many", [5, 1000])
def test_unchanged_pictures_are_not_read_again_and_every_change_is_noticed(
    two_classes: Path, save: Save, home: Path, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    monkeypatch.setattr("search.data.dataset.MANY", many)

    def read_again() -> bool:
        return any("Getting" in told for told in told_of(two_classes, home))

    read(two_classes, home)
    assert not read_again()
    (two_classes / "notes.txt").write_text("no picture, so no change")
    assert not read_again()
    changed = save("cat/3.png", 33)
    assert read_again()
    assert 33 in tones(read(two_classes, home))
    changed.rename(changed.with_name("z.png"))
    assert read_again()
    save("dog/more.png", 99)
    assert read_again()
    save("dog/more.png").unlink()
    assert not read_again()  # as it was before
    state = changed.with_name("z.png").stat()
    os.utime(changed.with_name("z.png"), ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    assert read_again()
    assert not read_again()


def test_pictures_in_many_batches_arrive_whole(
    two_classes: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = read(two_classes, home)
    monkeypatch.setattr("search.data.formats.folder.MOST_AT_ONCE", 3)
    monkeypatch.setattr("search.data.formats.folder.HEADS_AT_ONCE", 3)
    assert read(two_classes, home / "other").digest == whole.digest
