from pathlib import Path

import numpy as np
import pytest

from search.data import Dataset, load
from search.errors import DataError


def write(root: Path, **texts: str) -> None:
    """Write files named like `train__cat__1`."""
    for name, text in texts.items():
        path = root.joinpath(*name.split("__")).with_suffix(".txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())


def many(part: str = "") -> dict[str, str]:
    return {
        f"{part}{kind}__{i}": f"{kind} in\nline two, {i}é"
        for kind in ("bad", "good")
        for i in range(10)
    }


def contents(dataset: Dataset) -> dict[str, str]:
    pairs = [*zip(dataset.train_samples, dataset.train_labels, strict=True)]
    pairs += zip(*dataset.open_test(), strict=True)
    return {text: dataset.classes[label] for text, label in pairs}


def test_a_folder_of_texts_for_each_class_is_a_dataset_of_texts(tmp_path: Path, home: Path) -> None:
    root = tmp_path / "reviews"
    write(root, **many())
    (root / "good" / "notes.md").write_text("no text of the data")
    told: list[str] = []
    dataset = load(f"folder:{root}", home=home, notify=told.append)
    assert (dataset.kind, dataset.classes) == ("text", ("bad", "good"))
    assert contents(dataset) == {text: name.split("__")[0] for name, text in many().items()}
    assert np.bincount(dataset.open_test()[1]).tolist() == [2, 2]
    assert any("other files are not used: 1" in text for text in told)


def test_a_test_part_and_a_validation_part_are_kept_apart(tmp_path: Path, home: Path) -> None:
    root = tmp_path / "reviews"
    write(root, **many("Train__"), TEST__good__1="good test", val__bad__1="bad validation")
    dataset = load(f"folder:{root}", home=home)
    assert list(dataset.open_test()[0]) == ["good test"]
    folds = dict(zip(dataset.train_samples, dataset.train_extra("folds"), strict=True))
    assert folds.pop("bad validation") == 1
    assert set(folds.values()) == {-1}


def test_equal_texts_are_not_torn_apart(tmp_path: Path, home: Path) -> None:
    root = tmp_path / "reviews"
    write(root, **{f"{kind}__{i}": f"text {i // 3}" for kind in "ab" for i in range(30)})
    dataset = load(f"folder:{root}", home=home)
    assert not set(dataset.train_samples) & set(dataset.open_test()[0])


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({"good__1": "a", "good__2": "b"}, "two or more classes"),
        (
            {**many("train__"), "test__other__1": "x"},
            "every class of the test part must be one of the training part's",
        ),
    ],
)
def test_what_is_no_folder_of_texts_is_refused(
    tmp_path: Path, home: Path, texts: dict[str, str], expected: str
) -> None:
    write(tmp_path / "own", **texts)
    with pytest.raises(DataError) as caught:
        load(f"folder:{tmp_path / 'own'}", home=home)
    assert expected in str(caught.value)


def test_a_text_in_another_encoding_is_named(tmp_path: Path, home: Path) -> None:
    write(tmp_path / "own", **many())
    (tmp_path / "own" / "good" / "3.txt").write_bytes("schön".encode("latin-1"))
    with pytest.raises(DataError, match=r"3\.txt must be a text in UTF-8; byte 4 is not \(0xf6\)"):
        load(f"folder:{tmp_path / 'own'}", home=home)


def test_texts_keep_to_the_layout_of_pictures(tmp_path: Path, home: Path) -> None:
    root = tmp_path / "imdb"
    write(root, **many("train__"), **many("test__"), train__unsup__1="a", train__unsup__2="b")
    (root / "train" / "bad" / "._1.txt").write_bytes(b"\xff")
    (root / "README").write_text("about")
    told: list[str] = []
    dataset = load(f"folder:{root}", home=home, notify=told.append)
    assert dataset.classes == ("bad", "good", "unsup")
    assert any("the test part has no texts of unsup" in text for text in told)
    assert any("hidden files and folders are not used: 1" in text for text in told)
    write(root, Training__good__1="c")
    with pytest.raises(DataError, match=r"both for the train part\. Put their texts together"):
        load(f"folder:{root}", home=home)
