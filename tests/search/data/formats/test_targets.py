"""Targets of every form, from files and from memory: the task that is found, and what is stored."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from search.data import Dataset, Reading, load
from search.data.formats.memory import Given
from search.data.sources import bring
from search.errors import DataError, SettingsError
from search.tasks import Classification, MultiLabel, Regression, Task

N = 120
RANDOM = np.random.default_rng(4)
ROWS = RANDOM.normal(size=(N, 3)).round(4)
PRICES = (100 + 20 * ROWS[:, 0] + RANDOM.normal(size=N)).round(2)
BITS = (RANDOM.random((N, 3)) < 0.4).astype(int)
BITS[:3] = [[1, 1, 0], [0, 0, 0], [0, 0, 1]]
ONE_HOT = np.eye(3, dtype=int)[np.arange(N) % 3]

FORMS = ("csv", "parquet", "jsonl", "npz", "arrays", "frame", "frame and y")
TABLES = ("csv", "parquet", "jsonl", "frame", "frame and y")


class Reader:
    """Reads the same rows and targets from each kind of source."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told: list[str] = []

    def __call__(
        self, form: str, targets: Any, names: tuple[str, ...] = ("price",), **reading: Any
    ) -> Dataset:
        self.told.clear()
        given: Any = np.asarray(targets, object) if isinstance(targets, list) else targets
        columns = given.reshape(N, -1)
        frame = pd.DataFrame(ROWS, columns=["a", "b", "c"])
        beside = {name: pd.Series(columns[:, at]).infer_objects() for at, name in enumerate(names)}
        if form in ("arrays", "npz", "frame and y"):
            return self._beside(form, given, frame, pd.DataFrame(beside), Reading(**reading))
        whole = pd.concat([frame, pd.DataFrame(beside)], axis=1)
        asked = Reading(**{"target": ",".join(names), **reading})
        if form == "frame":
            return self._brought(whole, asked)
        path = self.folder / f"own.{form}"
        if form == "csv":
            whole.to_csv(path, index=False)
        elif form == "parquet":
            whole.to_parquet(path, index=False)
        else:
            whole.to_json(path, orient="records", lines=True)
        return self._loaded(f"{form}:{path}", asked)

    def _beside(self, form: str, given: Any, frame: Any, beside: Any, asked: Reading) -> Dataset:
        if form == "npz":
            path = self.folder / "own.npz"
            plain = given.astype(str) if given.dtype == object else given
            np.savez(path, X=ROWS, y=plain)
            return self._loaded(f"npz:{path}", asked)
        if form == "arrays":
            return self._brought((ROWS, given.tolist()), asked)
        y = beside if given.ndim == 2 else beside.iloc[:, 0]
        return self._brought((frame.assign(word="w"), y), asked)

    def _loaded(self, reference: str, asked: Reading) -> Dataset:
        home = self.folder / "home"
        return load(reference, home=home, reading=asked, notify=self.told.append)

    def _brought(self, data: Any, asked: Reading) -> Dataset:
        given, home = Given.of(data), self.folder / "home"
        dataset = bring(given, home=home, reading=asked)
        self.told += dataset.notices
        return dataset

    def told_of(self, option: str) -> list[str]:
        return [text for text in self.told if f"--task {option}" in text]


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


def targets_of_rows(dataset: Dataset) -> np.ndarray[Any, Any]:
    """All stored targets, in the order of the rows that were given."""
    test, test_targets = dataset.open_test()
    rows = np.concatenate([dataset.train_samples, test])[:, :3]
    targets = np.concatenate([dataset.train_labels, test_targets])
    where = [int(np.flatnonzero((rows == row).all(axis=1))[0]) for row in ROWS]
    return np.asarray(targets[where])


@pytest.mark.parametrize("form", FORMS)
def test_numbers_with_fractions_are_predicted_as_numbers(read: Reader, form: str) -> None:
    dataset = read(form, PRICES)
    name = "y" if form in ("npz", "arrays") else "price"
    assert dataset.task == Regression((name,))
    assert dataset.classes == (name,)
    assert dataset.train_labels.dtype == np.float64
    assert np.array_equal(targets_of_rows(dataset), PRICES[:, np.newaxis])
    assert len(read.told_of("classification")) == 1
    if form in TABLES:
        assert "price" not in dataset.column_names


@pytest.mark.parametrize("form", FORMS)
def test_several_numbers_are_predicted_together(read: Reader, form: str) -> None:
    both = np.column_stack([PRICES, -2 * PRICES])
    dataset = read(form, both, ("low", "high"))
    assert dataset.task == Regression(
        ("y1", "y2") if form in ("npz", "arrays") else ("low", "high")
    )
    assert np.array_equal(targets_of_rows(dataset), both)
    assert sum("(regression)" in text for text in read.told) == 1


@pytest.mark.parametrize("form", FORMS)
def test_zeros_and_ones_are_labels(read: Reader, form: str) -> None:
    dataset = read(form, BITS, ("red", "round", "big"))
    named = ("y1", "y2", "y3") if form in ("npz", "arrays") else ("red", "round", "big")
    assert dataset.task == MultiLabel(named)
    assert dataset.train_labels.dtype == np.uint8
    assert np.array_equal(targets_of_rows(dataset), BITS)
    assert len(read.told_of("regression")) == 1


@pytest.mark.parametrize("form", FORMS)
def test_a_single_one_in_each_row_is_a_class(read: Reader, form: str) -> None:
    dataset = read(form, ONE_HOT, ("red", "round", "big"))
    assert isinstance(dataset.task, Classification)
    assert np.array_equal(targets_of_rows(dataset), np.arange(N) % 3)
    assert not read.told_of("")


@pytest.mark.parametrize("form", FORMS)
def test_words_are_split_into_labels_where_the_task_says_so(read: Reader, form: str) -> None:
    words = ["red|round", "red", "round | big", "|"] * (N // 4)
    dataset = read(form, words, task="multi-label")
    assert dataset.task == MultiLabel(("big", "red", "round"))
    expected = np.array([[0, 1, 1], [0, 1, 0], [1, 0, 1], [0, 0, 0]] * (N // 4))
    assert np.array_equal(targets_of_rows(dataset), expected)
    assert isinstance(read(form, words).task, Classification)


CASES: list[tuple[Any, type[Task] | None]] = [
    (np.arange(N) % 20, Classification),  # up to 20 whole numbers
    (np.arange(N) % 20 * 7.0, Classification),  # the same as floats
    (np.arange(N) % 24 * 1.0, Regression),  # more of them as floats
    (np.arange(N) % 24, Classification),  # counted from 0, five of each
    (np.arange(N) % 24 + 1, Classification),  # counted from 1
    (np.arange(N) % 24 * 2, None),  # with gaps
    (np.arange(N) % 30, None),  # too few of each
    (np.arange(N) % 61, Regression),  # more than half are different
    (np.arange(N) // 2 / 2, Regression),  # fractions
    ((np.arange(N) % 2) / 2, Regression),  # only two, one a fraction
    (np.arange(N) % 2 == 0, Classification),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("targets", "task"), CASES)
def test_the_rule_is_the_same_for_every_source(
    read: Reader, form: str, targets: Any, task: type[Task] | None
) -> None:
    if task is None:
        with pytest.raises(DataError, match=r"`--task regression` or `--task classification`"):
            read(form, targets)
        return
    assert isinstance(read(form, targets).task, task)
    assert len(read.told_of("")) == (task is not Classification)


@pytest.mark.parametrize("form", FORMS)
def test_a_task_that_is_given_overrules(read: Reader, form: str) -> None:
    numbers = np.arange(N) % 24 * 2
    dataset = read(form, numbers, task="regression")
    assert isinstance(dataset.task, Regression)
    assert np.array_equal(targets_of_rows(dataset)[:, 0], numbers)
    assert not read.told_of("")
    classes = read(form, numbers, task="classification")
    assert classes.task == Classification(tuple(str(2 * n) for n in range(24)))
    halves = read(form, np.arange(N) % 3 / 2, task="classification")
    assert len(halves.classes) == 3
    one = read(form, np.arange(N) % 2, task="multi-label")
    assert one.task.units == 1
    assert np.array_equal(targets_of_rows(one)[:, 0], np.arange(N) % 2)


WORDS = [f"word {n % 5}" for n in range(N)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("targets", "task", "said"),
    [
        (WORDS, "regression", r"`--task regression` predicts numbers; .*is 'word 0'"),
        (["red|a", "b;c"] * (N // 2), "multi-label", r"one separator between labels"),
        (np.zeros(N) + 0.5, None, "at least 2 different numbers"),
        (np.where(np.arange(N) == 7, 1e200, PRICES), None, r"\+-1e\+150"),
        (np.arange(N) % 3, "multi-label", "0 or 1|None"),
    ],
)
def test_targets_that_no_task_can_have_are_refused(
    read: Reader, form: str, targets: Any, task: str | None, said: str
) -> None:
    if said == "0 or 1|None" and form in TABLES:
        return  # each number is a label of its own there
    with pytest.raises(DataError, match=said):
        read(form, targets, task=task)


@pytest.mark.parametrize("form", TABLES)
@pytest.mark.parametrize("fault", [np.nan, np.inf])
def test_a_number_that_is_missing_or_endless_is_refused_with_its_row(
    read: Reader, form: str, fault: float
) -> None:
    if form == "jsonl" and fault == np.inf:
        return  # JSON has none
    targets = np.where(np.arange(N) == 11, fault, PRICES)
    with pytest.raises(DataError, match=r"(line|row) 1[23]: `price` (is missing|must be finite)"):
        read(form, targets)


def test_a_text_among_numbers_is_refused_with_its_row(read: Reader) -> None:
    targets = [*PRICES[:50].tolist(), "on demand", *PRICES[51:].tolist()]
    with pytest.raises(DataError, match="line 52: `price` holds numbers, but here"):
        read("csv", targets)
    with pytest.raises(DataError, match="line 52: `price` is 'on demand'"):
        read("csv", targets, task="regression")


@pytest.mark.parametrize("form", ["csv", "npz", "arrays"])
@pytest.mark.parametrize(
    ("train", "test", "said"),
    [
        (PRICES, ["much"] * 10, "number|numbers"),
        (BITS, np.full((10, 3), 2), "0 or 1"),
        (WORDS, ["other"] * 10, "training part"),
    ],
)
def test_targets_of_a_test_part_must_be_like_those_of_the_training_part(
    tmp_path: Path, form: str, train: Any, test: Any, said: str
) -> None:
    home, told = tmp_path / "home", list[str]()
    given, other = np.asarray(train), np.asarray(test)
    if form == "arrays":
        data = Given.of((ROWS, given), test=(ROWS[:10], other))
        with pytest.raises(DataError, match=said):
            bring(data, home=home, notify=told.append)
        return
    reference, asked = f"npz:{tmp_path}/own.npz", Reading()
    if form == "npz":
        np.savez(tmp_path / "own.npz", x_train=ROWS, y_train=given, x_test=ROWS[:10], y_test=other)
    else:
        names = [f"t{at}" for at in range(given.reshape(N, -1).shape[1])]
        asked = Reading(target=",".join(names))
        for name, rows, targets in (("one", ROWS, given), ("two", ROWS[:10], other)):
            frame = pd.DataFrame(rows, columns=["a", "b", "c"])
            columns = pd.DataFrame(targets.reshape(len(rows), -1), columns=names)
            pd.concat([frame, columns], axis=1).to_csv(tmp_path / f"{name}.csv", index=False)
        reference = f"csv:{tmp_path}/one.csv,{tmp_path}/two.csv"
    with pytest.raises(DataError, match=said):
        load(reference, home=home, reading=asked, notify=told.append)


def test_a_test_part_keeps_its_numbers(tmp_path: Path) -> None:
    data = Given.of((ROWS[:100], PRICES[:100]), test=(ROWS[100:], PRICES[100:]))
    dataset = bring(data, home=tmp_path)
    assert np.array_equal(dataset.open_test()[1][:, 0], PRICES[100:])


@pytest.mark.parametrize(
    "shape", [(N, 8, 8), (N, 8, 8, 1), (N, 8, 2)], ids=["grey", "channels", "steps"]
)
def test_targets_of_the_samples_own_shape_are_refused_in_a_sentence(shape: Any) -> None:
    values = RANDOM.random(shape)
    with pytest.raises(DataError, match="autoencoder") as caught:
        Given.of((values, values))
    assert "(n,) or (n, k)" in str(caught.value)


def test_numbers_are_predicted_of_images_texts_and_sequences(tmp_path: Path) -> None:
    images = RANDOM.integers(0, 255, (N, 8, 8), np.uint8)
    series = RANDOM.normal(size=(N, 6, 2))
    texts = [f"text {n} of {n % 7} words" for n in range(N)]
    for samples, kind in ((images, "image"), (series, "sequence"), (texts, "text")):
        dataset = bring(Given.of((samples, PRICES)), home=tmp_path)
        assert (dataset.kind, dataset.task) == (kind, Regression(("y",)))
    np.savez(tmp_path / "own.npz", X=images, y=PRICES)
    dataset = load(f"npz:{tmp_path}/own.npz", home=tmp_path)
    assert (dataset.kind, dataset.task) == ("image", Regression(("y",)))


def test_the_same_file_is_a_dataset_of_each_task(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": ROWS[:, 0], "label": np.arange(N) % 3 / 2})
    frame.to_csv(tmp_path / "own.csv", index=False)
    found = {
        task: load(
            f"csv:{tmp_path}/own.csv",
            home=tmp_path,
            reading=Reading(task=task),
        )
        for task in (None, "classification", "regression", None)
    }
    assert found["classification"].task.name == "classification"
    assert found["regression"].digest == found[None].digest
    assert found["classification"].digest != found[None].digest


def test_a_reading_without_a_task_has_the_key_it_always_had() -> None:
    assert Reading().key == ""
    assert Reading(target="price").key == '{"target": "price"}'


def test_named_data_have_classes_whatever_is_asked(tmp_path: Path) -> None:
    assert load("digits", home=tmp_path, reading=Reading(task="classification")).classes[3] == "3"
    with pytest.raises(SettingsError, match=re.escape("`--task` is for data from csv:")):
        load("digits", home=tmp_path, reading=Reading(task="regression"))


def test_one_column_has_one_role(read: Callable[..., Dataset]) -> None:
    with pytest.raises(DataError, match="`low` cannot be the target and something else"):
        read("csv", np.column_stack([PRICES, PRICES]), ("low", "high"), target="low,low")


def test_commas_between_labels_say_nothing_of_decimal_signs(tmp_path: Path) -> None:
    lines = ["a;topics"] + [f"1,2{n % 10}{n % 7};{('1,3', '2', '3,1')[n % 3]}" for n in range(60)]
    (tmp_path / "own.csv").write_text("\n".join(lines))
    asked = Reading(target="topics", task="multi-label")
    with pytest.raises(DataError, match="`a` may be read in two ways"):
        load(f"csv:{tmp_path}/own.csv", home=tmp_path, reading=asked)
    decided = Reading(target="topics", task="multi-label", decimal=",")
    dataset = load(f"csv:{tmp_path}/own.csv", home=tmp_path, reading=decided)
    assert dataset.classes == ("1", "2", "3")
    assert dataset.train_samples.max() < 2  # type: ignore[union-attr]


def test_labels_of_very_many_different_cells_are_all_found(
    read: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.data.formats.survey.CAP", 3)
    monkeypatch.setattr("search.data.formats.labels.CAP", 3)
    words = [f"a{n % 5}|b{n % 7}|c" for n in range(N)]
    dataset = read("csv", words, task="multi-label")
    assert len(dataset.classes) == 13
    assert targets_of_rows(dataset).sum() == 3 * N


def test_more_different_numbers_than_are_counted_are_predicted(
    read: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.data.formats.survey.CAP", 25)
    monkeypatch.setattr("search.data.formats.labels.CAP", 25)
    dataset = read("csv", PRICES)
    assert np.array_equal(targets_of_rows(dataset)[:, 0], PRICES)
