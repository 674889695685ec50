"""What the columns of a table are, and what is said of them."""

import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine

from search.data import Dataset, Reading, load
from search.data.formats.tables import read_rows, write_table
from search.data.reading import Column
from search.errors import DataError

ROWS = 30
Columns = dict[str, Sequence[Any]]


def several(make: Callable[[int], Any], count: int = ROWS) -> list[Any]:
    return [make(i) for i in range(count)]


LABEL = several(lambda i: ["no", "yes"][i % 2])
FREE = several(lambda i: round(0.37 * i * i % 7, 3))  # a column of numbers that says nothing


class Place:
    """A folder with tables, and what is told when they are read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told: list[str] = []

    def csv(self, columns: Columns, name: str = "own.csv", **options: Any) -> Path:
        path = self.folder / name
        pd.DataFrame(columns).to_csv(path, **{"index": False, **options})
        return path

    def read(self, source: Columns | Path, kind: str = "csv", **reading: Any) -> Dataset:
        path = source if isinstance(source, Path) else self.csv(source)
        self.told.clear()
        home = self.folder / "home"
        return load(
            f"{kind}:{path}", home=home, reading=Reading(**reading), notify=self.told.append
        )

    def refusal(self, source: Columns | Path, kind: str = "csv", **reading: Any) -> str:
        with pytest.raises(DataError) as caught:
            self.read(source, kind, **reading)
        assert not list((self.folder / "home" / "datasets").glob("*"))
        return str(caught.value)

    def notices(self, about: str) -> str:
        return " ".join(text for text in self.told if about in text)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def column(dataset: Dataset, name: str) -> Column:
    return next(column for column in dataset.columns if column.name == name)


def everything(dataset: Dataset, name: str) -> list[float]:
    """All values of a column, of both parts, sorted; NaN last."""
    index = dataset.column_names.index(name)
    parts = (dataset.train_samples, dataset.open_test()[0])
    return sorted(np.concatenate([part[:, index] for part in parts]).tolist())


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (several(lambda i: i * i % 11), Column("x")),
        (several(lambda i: i / 3), Column("x")),
        (several(lambda i: f"{i % 5}e-2"), Column("x")),
        (several(lambda i: f"+{i % 5}."), Column("x")),
        (several(lambda i: "NA" if i % 4 else str(i)), Column("x")),
        (several(lambda i: ["red", "green", "blue"][i % 3]), "blue green red"),
        (several(lambda i: ["10", "9", "other"][i % 3]), "10 9 other"),
        (several(lambda i: ["", "a b", " a "][i % 3]), "a|a b"),
        (several(lambda i: i % 3 == 0), Column("x", "truth", ("False", "True"))),
        (several(lambda i: ["yes", "No", "no"][i % 3]), Column("x", "truth", ("No", "yes"))),
        (several(lambda i: "tf"[i % 2]), Column("x", "truth", ("f", "t"))),
        (several(lambda i: ["yes", "false"][i % 2]), "false yes"),
        (several(lambda i: ["yes", ""][i % 2]), "yes"),
        (several(lambda i: i % 2), Column("x")),
        (several(lambda i: f"2024-02-{i % 29 + 1:02}"), Column("x", "date")),
        (several(lambda i: f"2024-02-29T{i % 24:02}:30:00.5Z"), Column("x", "date")),
        (several(lambda i: f"2024-02-29 {i % 24:02}:30"), Column("x", "date")),
        (several(lambda i: f"2023-02-{i % 3 + 28}"), "2023-02-28 2023-02-29 2023-02-30"),
    ],
)
def test_the_type_of_a_column_follows_from_all_its_values(
    place: Place, values: list[Any], found: Column | str
) -> None:
    if isinstance(found, str):
        names = found.split("|") if "|" in found else found.split(" ")
        found = Column("x", "category", tuple(names))
    dataset = place.read({"x": values, "free": FREE, "label": LABEL})
    assert column(dataset, "x") == found
    assert dataset.classes == ("no", "yes")


def test_words_that_turn_up_late_make_categories_of_the_numbers_before(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.data.formats.csv.BLOCK_BYTES", 64)
    values = several(lambda i: "S" if i > 25 else str(i % 3))
    dataset = place.read({"x": values, "free": FREE, "label": LABEL})
    assert column(dataset, "x").categories == ("0", "1", "2", "S")
    assert everything(dataset, "x") == sorted(["012S".index(value) for value in values])


def test_missing_values_are_nan_whatever_marks_them(place: Place) -> None:
    marks = ["", "NA", "nan", "NaN", "null", "None", "?", "-", "n/a", "<NA>", "N/A", " "]
    values = [*marks, *several(lambda i: i % 7, ROWS - len(marks))]
    for rest in (values, [str(value) if value in marks else f"w{value}" for value in values]):
        dataset = place.read({"x": rest, "free": FREE, "label": LABEL})
        assert np.isnan(everything(dataset, "x")).sum() == len(marks)


def test_dates_are_seconds_since_1970_in_utc(place: Place) -> None:
    texts = [
        *("1970-01-01", "1970-01-02 00:00", "1970-01-01T00:01:00Z", "1970-01-01 00:00:01.25"),
        *("1970-01-01T02:00:00+01:30", "1969-12-31 23:59:59", "2024-02-29T12:00:00.1234567"),
    ]
    expected = [0, 86400, 60, 1.25, 1800, -1, pd.Timestamp(texts[-1], tz="UTC").timestamp()]
    texts, expected = texts * 5, expected * 5
    labels = several(lambda i: i % 2, len(texts))
    free = several(lambda i: i * i, len(texts))
    dataset = place.read({"x": texts, "free": free, "label": labels})
    assert np.allclose(everything(dataset, "x"), sorted(expected), rtol=0, atol=2e-6)


def test_types_that_are_asked_for_overrule_those_that_are_found(place: Place) -> None:
    zips = several(lambda i: f"0{i % 4}123")
    dataset = place.read({"x": zips, "label": LABEL, "free": FREE}, types={"x": "category"})
    assert column(dataset, "x").categories == ("00123", "01123", "02123", "03123")
    truth = place.read({"x": several(lambda i: i % 2), "free": FREE, "label": LABEL})
    assert column(truth, "x").type == "number"
    truth = place.read(
        {"x": several(lambda i: i % 2), "free": FREE, "label": LABEL}, types={"x": "truth"}
    )
    assert column(truth, "x") == Column("x", "truth", ("0", "1"))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("number", "`x` must be a number; it is 'a'"),
        ("truth", "`x` must be false or true; it is 'a'"),
        ("date", "`x` must be a date such as 2024-12-31 or 2024-12-31 23:59; it is 'a'"),
    ],
)
def test_a_value_that_is_not_of_the_type_asked_for_is_named(
    place: Place, kind: str, expected: str
) -> None:
    columns = {"x": several(lambda i: "ab"[i % 2]), "free": FREE, "label": LABEL}
    message = place.refusal(columns, types={"x": kind})
    assert f"own.csv, line 2: {expected}" in message
    assert "`--types`" in message


def test_a_row_number_that_pandas_has_saved_is_left_out_and_told(place: Place) -> None:
    frame = pd.DataFrame({"a": FREE, "label": LABEL})
    for table in (frame, frame.sample(frac=1, random_state=0)):  # also where rows were shuffled
        dataset = place.read(place.csv(table, index=True))
        assert dataset.column_names == ("a",)
        assert "`Unnamed: 0` is the row number" in place.notices("Unnamed")
        assert '--types "Unnamed: 0=number"' in place.notices("Unnamed")
    kept = place.read(place.csv(frame, index=True), types={"Unnamed: 0": "number"})
    assert kept.column_names == ("Unnamed: 0", "a")


def test_a_column_that_counts_the_rows_is_left_out_and_told(place: Place) -> None:
    table = {"Id": several(lambda i: i + 1001), "a": FREE, "label": LABEL}
    assert place.read(table).column_names == ("a",)
    assert "`Id` counts the rows (1001, 1002, 1003 ...)" in place.notices("Id")
    assert place.read(table, types={"Id": "number"}).column_names == ("Id", "a")
    assert place.read({"Id": table["Id"], "label": LABEL}).column_names == ("Id",)
    assert "it is kept" in place.notices("Id")
    table["Id"][7] += 1  # no longer one by one
    assert place.read(table).column_names == ("Id", "a")


def test_columns_that_never_repeat_are_told(place: Place) -> None:
    shuffled = np.random.default_rng(0).permutation(ROWS)
    names = several(lambda i: f"Passenger {i}")
    dataset = place.read({"key": shuffled, "name": names, "a": FREE, "label": LABEL})
    assert dataset.column_names == ("key", "a")
    assert "`--ignore key`" in place.notices("key")
    assert "left out: name (words that hardly ever repeat; `--types" in place.notices("name")
    kept = place.read({"name": names, "a": FREE, "label": LABEL}, types={"name": "category"})
    assert len(column(kept, "name").categories) == ROWS


def test_long_texts_and_words_of_too_many_kinds_are_left_out_and_told(place: Place) -> None:
    notes = several(lambda i: f"A long sentence about something, which is number {i}.")
    assert place.read({"note": notes, "a": FREE, "label": LABEL}).column_names == ("a",)
    assert "`--text COLUMN`" in place.notices("note")
    many = several(lambda i: f"w{i % 1001}", 2002)
    columns = {"w": many, "a": several(lambda i: i * i, 2002), "label": LABEL[:2] * 1001}
    assert place.read(columns).column_names == ("a",)
    assert "more than 1,000 different words" in place.notices("left out")


def test_a_column_without_values_is_left_out_and_told(place: Place) -> None:
    assert place.read({"a": FREE, "e": [""] * ROWS, "label": LABEL}).column_names == ("a",)
    assert "left out: e (without values)" in place.notices("left out")


def test_dates_of_which_day_and_month_may_be_swapped_are_told(place: Place) -> None:
    dates = several(lambda i: f"0{i % 3 + 1}/0{i % 2 + 1}/2024")
    assert column(place.read({"d": dates, "a": FREE, "label": LABEL}), "d").type == "category"
    assert "`d` looks like dates" in place.notices("`d`")


def test_distinct_values_that_float32_merges_are_told(place: Place) -> None:
    far = several(lambda i: 1e9 * (i % 2) + i)
    place.read({"far": far, "a": FREE, "label": LABEL})
    assert "become equal in float32" in place.notices("far")
    near = several(lambda i: 1_700_000_000 + 41 * i)
    place.read({"near": near, "a": FREE, "label": LABEL})
    assert not place.notices("float32")


@pytest.mark.parametrize(
    ("texts", "others", "value"),
    [
        (["0,5", "1,25"], [], 0.5),
        (["1.250,5", "7"], [], 1250.5),
        (["1,250.5", "7"], [], 1250.5),
        (["1,250,000", "7,5"], [], None),
        (["1,250,000", "7"], [], 1_250_000),
        (["0,250", "3,125"], [], 0.25),
        (["1,250", "7,125"], ["0,5", "1,5"], 1.25),
        (["1,250", "7,125"], ["0.5", "1.5"], 1250),
        (["1.250", "7.125"], ["0.5", "1.5"], 1.25),
        (["1.250", "7.125"], ["3", "4"], 1.25),
    ],
)
def test_the_decimal_sign_follows_from_values_that_leave_no_choice(
    place: Place, texts: list[str], others: list[str], value: float | None
) -> None:
    columns = {"x": texts * 15, "y": (others or ["1", "2"]) * 15, "label": LABEL}
    dataset = place.read(place.csv(columns, sep=";"), allow_duplicates=True)
    if value is None:
        assert column(dataset, "x").type == "category"
    else:
        assert value in everything(dataset, "x")


@pytest.mark.parametrize(
    ("texts", "others"), [(["1,250", "7,125"], ["3", "4"]), (["1.250", "7.125"], ["0,5", "1"])]
)
def test_a_column_that_may_be_read_in_two_ways_is_refused_with_both(
    place: Place, texts: list[str], others: list[str]
) -> None:
    path = place.csv({"x": texts * 15, "y": others * 15, "label": LABEL}, sep=";")
    message = place.refusal(path)
    assert "`x` may be read in two ways" in message
    assert "(1250)" in message
    assert "(1.250)" in message
    assert "`--decimal .` or `--decimal ,`" in message


def test_the_decimal_sign_that_is_given_decides(place: Place) -> None:
    path = place.csv(
        {"x": ["1,250", "7,125"] * 15, "a": FREE, "label": LABEL}, decimal=",", sep=";"
    )
    assert 1.25 in everything(place.read(path, decimal=","), "x")
    path = place.csv({"x": ["1,250", "7,125"] * 15, "a": FREE, "label": LABEL}, sep=";")
    assert 1250 in everything(place.read(path, decimal="."), "x")
    assert "commas" not in " ".join(place.told)


def test_a_spreadsheet_in_most_of_europe_is_read_like_pandas_reads_it(place: Place) -> None:
    frame = pd.DataFrame({"a": FREE, "b": several(lambda i: i * 1234.5), "label": LABEL})
    path = place.csv(frame, sep=";", decimal=",")
    again = pd.read_csv(path, sep=";", decimal=",")
    dataset = place.read(path)
    assert everything(dataset, "b") == sorted(again["b"])


def test_a_file_without_header_has_numbered_columns(place: Place) -> None:
    path = place.csv({"a": FREE, "b": several(lambda i: i * i), "c": LABEL}, header=False)
    assert "`--target COLUMN`" in place.refusal(path, header="none")
    dataset = place.read(path, header="none", target="2")
    assert dataset.column_names == ("0", "1")
    assert dataset.classes == ("no", "yes")
    assert len(everything(dataset, "0")) == ROWS


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([0, 1, 2], ("0", "1", "2")),
        ([1, 2, 3], ("1", "2", "3")),
        ([-1, 1], ("-1", "1")),
        ([10, 9, 100], ("9", "10", "100")),
        (["b", "B", "a"], ("B", "a", "b")),
        ([True, False], ("False", "True")),
        (["1", "2", "many"], ("1", "2", "many")),
        (["2024-01-01", "2024-01-02"], ("2024-01-01", "2024-01-02")),
    ],
)
def test_classes_are_called_as_the_labels_are_written(
    place: Place, labels: list[Any], classes: tuple[str, ...]
) -> None:
    given = [labels[i % len(labels)] for i in range(ROWS)]
    dataset = place.read({"a": several(lambda i: i * i), "label": given})
    assert dataset.classes == classes
    test, numbers = dataset.open_test()
    rows = np.concatenate([dataset.train_samples, test])[:, 0]
    found = np.concatenate([dataset.train_labels, numbers])
    names = {int(row): classes[number] for row, number in zip(rows, found, strict=True)}
    written = [str(int(v)) if isinstance(v, float) and v.is_integer() else str(v) for v in given]
    assert [names[i * i] for i in range(ROWS)] == written


def test_class_names_that_differ_only_in_case_are_told(place: Place) -> None:
    place.read({"a": FREE, "label": several(lambda i: ["Cat", "cat"][i % 2])})
    assert "The classes Cat, cat differ only in upper and lower case." in place.told


@pytest.mark.parametrize("name", ["label", "Target", "CLASS"])
def test_the_target_is_the_column_with_that_name(place: Place, name: str) -> None:
    assert place.read({"a": FREE, name: LABEL}).column_names == ("a",)


def test_missing_labels_are_refused_with_their_number(place: Place) -> None:
    labels = [*LABEL[:10], "", "NA", *LABEL[12:]]
    message = place.refusal({"a": FREE, "label": labels})
    assert "own.csv, line 12: `label` is missing, and in 1 more rows" in message


@pytest.mark.parametrize("option", ["ignore", "groups", "target", "types", "time", "weights"])
def test_a_column_that_is_not_there_is_refused_with_those_that_are(
    place: Place, option: str
) -> None:
    value: Any = {"ignore": ("acidty",), "types": {"acidty": "number"}}.get(option, "acidty")
    message = place.refusal({"acidity": FREE, "label": LABEL}, **{option: value})
    assert (
        f"`--{option}` must name a column; there is no `acidty`: did you mean acidity?" in message
    )


def test_groups_weights_time_and_folds_are_kept_beside_the_rows(place: Place) -> None:
    groups = several(lambda i: f"patient {i // 3}")
    columns = {
        "a": several(lambda i: i * i),
        "who": groups,
        "w": several(lambda i: 1 + i % 4 / 2),
        "when": several(lambda i: f"2024-01-{30 - i:02}"),
        "f": several(lambda i: i % 3 + 1),
        "label": several(lambda i: ["no", "yes"][i // 3 % 2]),
    }
    reading = {"groups": "who", "weights": "w", "fold_column": "f"}
    dataset = place.read(columns, **reading, ignore=("when",))
    assert dataset.column_names == ("a",)
    rows = np.sqrt(dataset.train_samples[:, 0]).astype(int)
    kept = {name: dataset.train_extra(name) for name in dataset.extras}
    assert kept["weights"].tolist() == [columns["w"][i] for i in rows]
    assert kept["folds"].tolist() == [columns["f"][i] for i in rows]
    whole = {groups[i] for i in rows}
    assert len(rows) == 3 * len(whole)  # no group is torn
    assert len(set(zip(kept["groups"].tolist(), (groups[i] for i in rows), strict=True))) == len(
        whole
    )
    timed = place.read(columns, time="when")
    latest = np.sqrt(timed.open_test()[0][:, 0]).astype(int)
    assert sorted(latest.tolist()) == list(range(len(latest)))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("number", [False, True])
def test_groups_on_both_sides_of_a_given_test_part_are_told(
    place: Place, kind: str, number: bool
) -> None:
    def write(name: str, column: str, first: int) -> Path:
        values = several(lambda i: first + i // 3 if number else f"p{first + i // 3}")
        rows = pd.DataFrame({column: values, "a": FREE, "label": LABEL})
        path = place.folder / f"{name}.{kind}"
        getattr(rows, f"to_{kind}")(path, index=False)
        return path

    train = write("train", "who", 0)  # groups 0 to 9
    for name, column, first, told in [
        ("apart", "who", 10, ""),
        ("shared", "WHO", 6, "12 of 30 test rows belong to groups that training rows have"),
        ("nameless", "other", 0, ""),
    ]:
        place.read(Path(f"{train},{write(name, column, first)}"), kind, groups="who")
        assert told in place.notices("belong to groups")
        assert bool(told) == bool(place.notices("belong to groups"))
    place.read(Path(f"{train},{place.folder / f'shared.{kind}'}"), kind, ignore=("who", "WHO"))
    assert not place.notices("belong to groups")


@pytest.mark.parametrize(
    ("option", "values", "expected"),
    [
        ("weights", ["-1", "2"], "needs a number from 0 in each row"),
        ("weights", ["", "2"], "`x` is missing, as in 15 rows in all"),
        ("time", ["soon", "later"], "needs a number, or a date such as 2024-12-31"),
        ("fold_column", ["1.5", "2"], "needs the number of a fold, or -1"),
        ("groups", ["", "p"], "`x` is missing, as in 15 rows in all"),
    ],
)
def test_what_a_sample_must_have_is_asked_for(
    place: Place, option: str, values: list[str], expected: str
) -> None:
    message = place.refusal({"x": values * 15, "a": FREE, "label": LABEL}, **{option: "x"})
    assert expected in message


def test_equal_rows_are_never_torn_apart_unless_that_is_allowed(place: Place) -> None:
    rng = np.random.default_rng(0)
    values = np.repeat(rng.normal(size=60), 4).round(4)
    columns = {"a": values, "b": np.repeat([0.5, 1.5], 120), "label": rng.permutation(240) % 2}
    dataset = place.read(columns)
    train = {tuple(row) for row in dataset.train_samples.tolist()}
    assert not train & {tuple(row) for row in dataset.open_test()[0].tolist()}
    assert "groups stay whole" in place.notices("has no test part")
    torn = place.read(columns, allow_duplicates=True)
    train = {tuple(row) for row in torn.train_samples.tolist()}
    assert train & {tuple(row) for row in torn.open_test()[0].tolist()}


def test_the_columns_of_a_test_part_may_be_in_any_order(place: Place) -> None:
    train = place.csv({"a": several(lambda i: i * i), "c": ["x", "y"] * 15, "label": LABEL})
    test = place.csv(
        {"more": [1, 2], "C": ["z", "y"], "LABEL": ["yes", "no"], "a": [5, 6]}, "test.csv"
    )
    dataset = place.read(Path(f"{train},{test}"))
    assert dataset.open_test()[0].tolist() == [[5, -1], [6, 1]]
    assert dataset.open_test()[1].tolist() == [1, 0]
    assert "values that the training part does not have: c 1" in place.notices("test.csv")


FRAME = pd.DataFrame(
    {
        "number": [None if i % 7 == 0 else i * 0.5 for i in range(ROWS)],
        "whole": [i * i for i in range(ROWS)],
        "word": [None if i % 5 == 0 else ["red", "green", "blue"][i % 3] for i in range(ROWS)],
        "flag": [i % 4 == 0 for i in range(ROWS)],
        "day": [f"2024-01-{i + 1:02}" for i in range(ROWS)],
        "label": LABEL,
    }
)


def saved(folder: Path, kind: str) -> tuple[str, Path]:
    """Save the frame in a format; return the reference's kind and the file."""
    path = folder / f"own.{kind}"
    form = kind.removesuffix(".gz")
    frame = FRAME if form != "parquet" else FRAME.assign(day=pd.to_datetime(FRAME["day"]))
    match form:
        case "csv":
            path.write_text(frame.to_csv(index=False))
        case "parquet":
            frame.to_parquet(path)
        case _:
            path.write_text(frame.to_json(orient="records", lines=True))
    if kind.endswith(".gz"):
        path.write_bytes(gzip.compress(path.read_bytes()))
    return form, path


@pytest.mark.parametrize("kind", ["csv.gz", "parquet", "parquet.gz", "jsonl", "jsonl.gz"])
def test_every_format_gives_the_same_dataset(place: Place, kind: str) -> None:
    form, path = saved(place.folder, "csv")
    first = place.read(path, form)
    form, path = saved(place.folder, kind)
    other = place.read(path, form)
    assert other.digest == first.digest
    assert [c.type for c in first.columns] == ["number", "number", "category", "truth", "date"]
    assert (other.columns, other.classes) == (first.columns, first.classes)


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet", "jsonl"])
def test_new_rows_are_read_as_the_training_rows_were(place: Place, kind: str) -> None:
    dataset = place.read(*reversed(saved(place.folder, "csv")))
    _, path = saved(place.folder, kind)
    columns = dataset.columns[::-1]
    rows = read_rows(path, columns, Reading())
    expected = np.concatenate([dataset.train_samples, dataset.open_test()[0]])[:, ::-1]
    order = np.argsort(expected[:, columns.index(column(dataset, "whole"))])
    assert np.array_equal(rows.values, expected[order], equal_nan=True)
    assert rows.labels == LABEL
    line = "row 3" if kind == "parquet" else f"line {3 if kind == 'jsonl' else 4}"
    assert rows.places[2] == f"{path}, {line}"


def test_new_rows_may_hold_what_training_rows_did_not(place: Place) -> None:
    columns = (
        *(
            Column("c", "category", ("1", "2", "x")),
            Column("n"),
            Column("t", "truth", ("no", "yes")),
        ),
        Column("d", "date"),
    )
    path = place.csv(
        {
            "t": ["YES", "no", ""],
            "d": ["1970-01-02", "", "1970-01-01"],
            "n": ["0,5", "", "7"],
            "c": ["1.0", "new", ""],
        },
        sep=";",
    )
    rows = read_rows(path, columns, Reading())
    nan = np.nan
    expected = [[0, 0.5, 1, 86400], [-1, nan, 0, nan], [nan, 7, nan, 0]]
    assert np.array_equal(rows.values, expected, equal_nan=True)
    assert rows.labels is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("n,t\n1,yes\nred,no\n", "line 3: `n` must be a number; it is 'red'"),
        ("n,t\n1,yes\n2,maybe\n", "line 3: `t` must be no or yes; it is 'maybe'"),
        ("n,t\n1,yes\n1e999,no\n", "line 3: `n` must be within +-1e+150"),
        ("n,u\n1,yes\n", "must have the columns n, t; missing: t. It has 2: n, u."),
        ("n,t\n", "must contain rows of data; it has none"),
        ("n;t\n1,250;yes\n", "`n` may be read in two ways"),
    ],
)
def test_a_fault_in_new_rows_is_named(place: Place, text: str, expected: str) -> None:
    path = place.folder / "new.csv"
    path.write_text(text)
    with pytest.raises(DataError) as caught:
        read_rows(path, (Column("n"), Column("t", "truth", ("no", "yes"))), Reading())
    assert expected in str(caught.value)
    assert str(path) in str(caught.value)


def test_batches_from_anywhere_become_a_dataset(place: Place, tmp_path: Path) -> None:
    table = pa.Table.from_pandas(FRAME.astype({"word": "category"}), preserve_index=False)
    folder = tmp_path / "arrays"
    folder.mkdir()
    contents = write_table(
        {"train": lambda: iter(table.to_batches(max_chunksize=7))}, Reading(), folder, "the frame"
    )
    dataset = place.read(*reversed(saved(place.folder, "csv")))
    assert contents.columns == dataset.columns
    assert contents.classes == dataset.classes
    assert sorted(file.name for file in folder.iterdir()) == [
        *("test_labels.npy", "test_rows.npy", "train_labels.npy", "train_rows.npy"),
    ]


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_a_column_of_texts_makes_texts_the_samples(place: Place, kind: str) -> None:
    texts = several(lambda i: f'Said "no {i}",\nand zoë left')
    frame = pd.DataFrame({"id": range(ROWS), "body": texts, "label": LABEL})
    path = place.folder / f"own.{kind}"
    match kind:
        case "csv":
            frame.to_csv(path, index=False)
        case "parquet":
            frame.to_parquet(path)
        case _:
            path.write_text(frame.to_json(orient="records", lines=True))
    dataset = place.read(path, kind, text="body")
    assert dataset.kind == "text"
    pairs = [*zip(dataset.train_samples, dataset.train_labels, strict=True)]
    pairs += zip(*dataset.open_test(), strict=True)
    assert {text: ("no", "yes")[label] for text, label in pairs} == dict(
        zip(texts, LABEL, strict=True)
    )
    assert "not used besides the text: id" in place.notices("not used")


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_a_file_of_another_format_is_refused_with_the_right_one(place: Place, kind: str) -> None:
    for other in ("csv", "parquet", "jsonl"):
        _, path = saved(place.folder, other)
        if other != kind and (kind, other) != ("csv", "jsonl"):
            assert f"`{other}:`" in place.refusal(path, kind)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("{", "line 3 must be an object"),
        ("[1]", "line 3 must be an object"),
        ('{"a": [1], "label": 0}', "line 3: `a` must be a number, a text, true, false or null"),
        ('{"a": 1}', "line 3: `label` is missing"),
        ('{"a": 1, "label": "\\ud800"}', "must hold names of classes"),
    ],
)
def test_a_fault_in_json_lines_is_named(place: Place, line: str, expected: str) -> None:
    path = place.folder / "own.jsonl"
    lines = [json.dumps({"a": i, "label": i % 2}) for i in range(10)]
    path.write_text("\n".join([*lines[:2], line, *lines[2:]]))
    message = place.refusal(path, "jsonl")
    if "names of classes" not in expected:
        assert expected in message


SKLEARN = {
    "iris": load_iris,
    "wine": load_wine,
    "breast_cancer": load_breast_cancer,
    "digits": load_digits,
    "diabetes": load_diabetes,
}


@pytest.mark.parametrize("name", SKLEARN)
def test_tables_of_scikit_learn_are_read_as_pandas_reads_them(place: Place, name: str) -> None:
    loaded = SKLEARN[name](as_frame=True)
    frame = loaded.frame
    if name == "diabetes":
        frame = frame.assign(target=np.where(frame["target"] > 140, "high", "low"))
    elif name != "digits":
        frame = frame.assign(target=[loaded.target_names[i] for i in frame["target"]])
    path = place.csv(frame)
    again = pd.read_csv(path)
    dataset = place.read(path)
    left_out = {c for c in again if c not in dataset.column_names} - {"target"}
    assert not left_out
    test, numbers = dataset.open_test()
    rows = np.concatenate([dataset.train_samples, test])
    labels = [dataset.classes[i] for i in (*dataset.train_labels, *numbers)]
    found = pd.DataFrame(rows, columns=list(dataset.column_names)).assign(target=labels)
    expected = (
        again[found.columns]
        .astype({"target": str})
        .astype(dict.fromkeys(dataset.column_names, float))
    )
    keys = list(found.columns)
    pd.testing.assert_frame_equal(
        found.sort_values(keys, ignore_index=True), expected.sort_values(keys, ignore_index=True)
    )


@pytest.mark.parametrize(
    "shape",
    [
        "${}.50",
        "{}%",
        "{} %",
        "{} kg",
        "({})",
        "1 {:03}",
        "\N{MINUS SIGN}{}",
        "'{}'",
        "1_{:03}",
        "<{}",
    ],
)
@pytest.mark.parametrize("repeats", [False, True])
def test_numbers_with_something_around_them_are_told(
    place: Place, shape: str, repeats: bool
) -> None:
    odd = several(lambda i: shape.format(i % 25 if repeats else i))
    dataset = place.read({"odd": odd, "free": FREE, "label": LABEL})
    assert dataset.column_names == (("odd", "free") if repeats else ("free",))
    told = place.notices("plain ones, such as -1250.5")
    assert odd[0] in told
    assert ("read as words" in told) == repeats


def test_a_test_part_without_a_header_has_as_many_columns(place: Place) -> None:
    rows = {"a": FREE, "label": LABEL, "b": FREE[::-1]}
    train = place.csv(rows, "train.csv", header=False)
    test = place.csv({name: rows[name] for name in ("label", "b")}, "test.csv", header=False)
    source = Path(f"{train},{test}")
    refusal = place.refusal(source, header="none", target="1")
    assert "test.csv must have 3 columns, as the training file" in refusal
    dataset = place.read(train, header="none", target="1")
    assert dataset.width == 3
    assert place.read(rows).width == 0


def test_codes_and_sizes_are_words_without_a_word(place: Place) -> None:
    columns = {"code": several(lambda i: f"A{i % 25}"), "size": several(lambda i: f"{i % 4} kg")}
    assert len(place.read({**columns, "label": LABEL}).columns) == 2
    assert not place.notices("plain ones")


def test_dates_in_another_form_are_left_out_by_that_name(place: Place) -> None:
    when = several(lambda i: f"2024-01-{i % 28 + 1:02} {i % 12 + 1}:15 PM")
    assert place.read({"when": when, "free": FREE, "label": LABEL}).column_names == ("free",)
    assert "dates in another form, such as 2024-01-01 1:15 PM" in place.notices("when")


def test_numbers_with_a_marker_for_missing_ones_are_asked_about(place: Place) -> None:
    marked = several(lambda i: "unknown" if i % 5 == 0 else f"{i}.5")
    refusal = place.refusal({"marked": marked, "free": FREE, "label": LABEL})
    assert "line 2: `marked` holds numbers, but here it is 'unknown'" in refusal
    assert "6 of 30 rows" in refusal


def test_tickets_of_numbers_and_words_are_left_out_as_words(place: Place) -> None:
    ticket = several(lambda i: f"A/{i} 2{i}" if i % 3 == 0 else f"2{i}8{i}")
    assert place.read({"ticket": ticket, "free": FREE, "label": LABEL}).column_names == ("free",)


@pytest.mark.parametrize("missing", ["#N/A", "#NA", "1.#IND", "-1.#QNAN"])
def test_what_spreadsheets_write_for_nothing_is_missing(place: Place, missing: str) -> None:
    gaps = several(lambda i: missing if i % 5 == 0 else f"{i}.5")
    dataset = place.read({"gaps": gaps, "free": FREE, "label": LABEL})
    assert dataset.columns[0] == Column("gaps")
    everything = np.concatenate([dataset.train_samples, dataset.open_test()[0]])
    assert np.isnan(everything[:, 0]).sum() == 6


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_whole_numbers_that_float64_cannot_tell_apart_are_told(place: Place, kind: str) -> None:
    columns = {
        "long": several(lambda i: 10**18 + i * i),
        "short": several(lambda i: 10**14 + i * i),
        "large": several(lambda i: float(i) * 1e20),
        "label": LABEL,
    }
    path = place.csv(columns)
    if kind == "parquet":
        path = path.with_suffix(".parquet")
        pd.DataFrame(columns).to_parquet(path)
    place.read(path, kind)
    assert "long: whole numbers of more than 15 digits" in place.notices("digits")
