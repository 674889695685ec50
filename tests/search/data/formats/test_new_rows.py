"""New rows for a model: what training found out of its file holds for them, too."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from search.data import Reading, load
from search.data.dataset import Dataset
from search.data.formats.frames import new_rows
from search.data.formats.tables import read_rows
from search.data.reading import Column
from search.errors import DataError

COMMA = ["1.250,5", "999,5", "3.477", "7"]  # thousands with a point
PLAIN_COMMA = ["12,5", "999,5", "3,477", "7"]
POINT = ["1,250.5", "999.5", "3,477", "7"]
PLAIN_POINT = ["12.5", "999.5", "3.477", "7"]
WHOLE = ["12", "999", "3", "7"]


def trained(tmp_path: Path, **columns: list[str]) -> tuple[Column, ...]:
    """Return the columns that training finds in a file with these values, again and again."""
    rows = {name: texts * 10 for name, texts in columns.items()}
    rows["label"] = ["no", "yes"] * 20
    path = tmp_path / "train.csv"
    pd.DataFrame(rows).to_csv(path, sep=";", index=False)
    found = load(
        f"csv:{path}", home=tmp_path / "home", reading=Reading(allow_duplicates=True)
    ).columns
    assert [column.type for column in found] == ["number"] * len(columns)
    return found


def read(tmp_path: Path, columns: tuple[Column, ...], decimal: str | None = None, **given: str):
    """Return the first value of the first column of a file with one row."""
    path = tmp_path / "new.csv"
    path.write_text(";".join(given) + "\n" + ";".join(given.values()) + "\n")
    return read_rows(path, columns, Reading(decimal=decimal)).values[0, 0]


@pytest.mark.parametrize(
    ("texts", "others", "new", "value"),
    [
        (COMMA, PLAIN_COMMA, "3.477", 3477),
        (COMMA, PLAIN_COMMA, "3,477", 3.477),
        (COMMA, PLAIN_COMMA, "999,5", 999.5),
        (COMMA, WHOLE, "3.477", 3477),
        (PLAIN_COMMA, COMMA, "3.477", 3477),  # the other column shows what points are
        (PLAIN_COMMA, WHOLE, "3,477", 3.477),
        (WHOLE, COMMA, "3.477", 3477),
        (WHOLE, COMMA, "3,477", 3.477),
        (POINT, PLAIN_POINT, "3,477", 3477),
        (POINT, PLAIN_POINT, "3.477", 3.477),
        (WHOLE, POINT, "3,477", 3477),
        (COMMA, PLAIN_POINT, "3.477", 3477),
        (["1.250", "3.477", "7.125", "9"], WHOLE, "3.477", 3.477),
        # What can be read in one way only is, whatever training had.
        (COMMA, WHOLE, "999.5", 999.5),
        (POINT, WHOLE, "999,5", 999.5),
        (COMMA, WHOLE, "7", 7),
    ],
)
def test_the_decimal_sign_of_the_training_file_holds_for_new_rows(
    tmp_path, texts, others, new, value
):
    columns = trained(tmp_path, price=texts, other=others)
    assert read(tmp_path, columns, price=new, other="0") == value


@pytest.mark.parametrize(
    ("texts", "others", "new", "other"),
    [
        (PLAIN_COMMA, PLAIN_COMMA, "3.477", "0"),  # no training value has thousands
        (PLAIN_POINT, PLAIN_POINT, "3,477", "0"),
        (COMMA, PLAIN_COMMA, "3.477", "0.5"),  # the other column is written otherwise now
        (COMMA, PLAIN_COMMA, "3,477", "0.5"),
        (POINT, PLAIN_POINT, "3,477", "0,5"),
        (WHOLE, WHOLE, "3,477", "0"),
        (WHOLE, PLAIN_COMMA, "3.477", "0"),
    ],
)
def test_new_values_that_may_be_read_in_two_ways_are_refused(tmp_path, texts, others, new, other):
    columns = trained(tmp_path, price=texts, other=others)
    with pytest.raises(DataError, match=r"`price` may be read in two ways.*`--decimal \.` or"):
        read(tmp_path, columns, price=new, other=other)
    assert read(tmp_path, columns, decimal=new[1], price=new, other="0") == 3.477
    assert read(tmp_path, columns, decimal="," if new[1] == "." else ".", price=new, other="0")


def test_typed_numbers_show_no_decimal_sign(tmp_path):
    frame = pd.DataFrame({"x": [0.5, 1250.5] * 10, "label": ["no", "yes"] * 10})
    frame.to_parquet(tmp_path / "train.parquet")
    reading = Reading(allow_duplicates=True)
    (column,) = load(
        f"parquet:{tmp_path / 'train.parquet'}", home=tmp_path / "home", reading=reading
    ).columns
    assert (column.decimal, column.thousands) == (None, False)
    new = pd.DataFrame({"x": [3.477]})
    as_comma = Column("x", decimal=",", thousands=True)
    assert new_rows(new, (as_comma,), reading).values[0, 0] == 3.477  # a number is one
    assert new_rows(new.astype(str), (as_comma,), reading).values[0, 0] == 3477


def test_inputs_of_several_keep_the_decimal_signs_of_their_columns(tmp_path):
    rows = {"price": COMMA * 10, "other": PLAIN_COMMA * 10, "label": ["no", "yes"] * 20}
    path = tmp_path / "train.csv"
    pd.DataFrame(rows).to_csv(path, sep=";", index=False)
    reading = Reading(allow_duplicates=True, input=("a=price", "b=*"))
    dataset = load(f"csv:{path}", home=tmp_path / "home", reading=reading)
    (price,) = dataset.input("a").columns
    assert (price.decimal, price.thousands) == (",", True)


def test_equal_numbers_of_another_file_keep_that_files_decimal_sign(tmp_path):
    def loaded(name: str, decimal: str) -> Dataset:
        path = tmp_path / name / "own.csv"
        if not path.exists():
            path.parent.mkdir()
            frame = pd.DataFrame({"x": np.arange(40) ** 2 / 8, "label": ["no", "yes"] * 20})
            frame.to_csv(path, sep=";", decimal=decimal, index=False)
        return load(f"csv:{path}", home=tmp_path / "home")

    for _ in range(2):
        assert loaded("comma", ",").columns[0].decimal == ","
        assert loaded("point", ".").columns[0].decimal == "."
    assert loaded("comma", ",").digest == loaded("point", ".").digest


def test_a_table_kept_by_an_earlier_version_is_read_again_for_its_decimal_signs(tmp_path):
    trained(tmp_path, price=COMMA)
    (meta,) = (tmp_path / "home" / "datasets").glob("*/meta.json")
    kept = json.loads(meta.read_text())
    assert kept["columns"][0].pop("decimal") == ","
    assert kept["columns"][0].pop("thousands") is True
    meta.write_text(json.dumps(kept | {"format": 2}))
    assert Dataset.open(meta.parent).columns == (Column("price"),)
    assert trained(tmp_path, price=COMMA)[0].decimal == ","


AGE = (Column("age"),)


@pytest.mark.parametrize(
    ("header", "columns", "values"),
    [
        ("AGE,x", AGE, [1]),
        ("AGE,age", AGE, [2]),  # the same name goes first
        ("x,Age", AGE, [2]),
        ("Age,age", (Column("age"), Column("Age")), [2, 1]),
        ("Age,AGE", (Column("AGE"), Column("x0")), None),
        ("AGE,x", (Column("age"), Column("Age")), None),  # case tells the model's columns apart
    ],
)
def test_a_column_may_differ_in_case(tmp_path, header, columns, values):
    path = tmp_path / "new.csv"
    path.write_text(f"{header}\n1,2\n")
    if values is None:
        with pytest.raises(DataError, match="missing: "):
            read_rows(path, columns, Reading())
    else:
        assert read_rows(path, columns, Reading()).values.tolist() == [values]


@pytest.mark.parametrize("header", ["Age,AGE", "AGE,Age"])
def test_columns_of_which_several_may_be_meant_are_refused(tmp_path, header):
    path = tmp_path / "new.csv"
    path.write_text(f"{header}\n1,2\n")
    first, second = header.split(",")
    why = rf"must have one column `age`; `{first}` and `{second}` may be meant\. Rename"
    with pytest.raises(DataError, match=why):
        read_rows(path, AGE, Reading())
    frame = pd.DataFrame({first: [1], second: [2]})
    with pytest.raises(DataError, match=why):
        new_rows(frame, AGE, Reading())


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("x\n1\n\n2\n", 3),
        ("x\r\n1\r\n\r\n2\r\n", 3),
        ("x\n\n1\n2\n", 2),
        ("x\n1\n2\n\n\n3", 4),
        ('x\n"1"\n\n2\n', 3),
    ],
)
@pytest.mark.parametrize("block", [4, 1 << 20])
def test_an_empty_line_between_rows_of_one_column_is_refused(
    tmp_path, monkeypatch, text, line, block
):
    monkeypatch.setattr("search.data.formats.csv.BLOCK_BYTES", block)
    path = tmp_path / "new.csv"
    path.write_bytes(text.encode())
    with pytest.raises(DataError, match=rf"line {line} must have a value; it is empty.*Write NA"):
        read_rows(path, (Column("x"),), Reading())


@pytest.mark.parametrize("block", [4, 1 << 20])
@pytest.mark.parametrize("text", ["x\n1\nNA\n2\n", 'x\n1\n""\n2\n\n\r\n', "x\r\n1\r\nnan\r\n2"])
def test_a_missing_value_of_one_column_is_a_row(tmp_path, monkeypatch, text, block):
    monkeypatch.setattr("search.data.formats.csv.BLOCK_BYTES", block)
    path = tmp_path / "new.csv"
    path.write_bytes(text.encode())
    found = read_rows(path, (Column("x"),), Reading()).values
    np.testing.assert_array_equal(found, [[1], [np.nan], [2]])


def test_pandas_marks_a_missing_value_of_one_column(tmp_path):
    path = tmp_path / "new.csv"
    pd.DataFrame({"x": [1.5, None, 2.5]}).to_csv(path, index=False)
    found = read_rows(path, (Column("x"),), Reading()).values
    np.testing.assert_array_equal(found, [[1.5], [np.nan], [2.5]])


def test_words_of_one_column_may_have_empty_lines_within_their_quotes(tmp_path):
    path = tmp_path / "new.csv"
    path.write_text('x\n"a\n\nb"\nc\n')
    found = read_rows(path, (Column("x", "category", ("a\n\nb", "c")),), Reading()).values
    assert found.tolist() == [[0], [1]]


def test_empty_lines_between_rows_of_several_columns_are_no_rows(tmp_path):
    path = tmp_path / "new.csv"
    path.write_text("x,y\n1,2\n\n3,4\n")
    found = read_rows(path, (Column("x"), Column("y")), Reading()).values
    assert found.tolist() == [[1, 2], [3, 4]]


def test_numbers_of_a_test_part_that_may_be_read_in_two_ways_are_refused(tmp_path):
    for name, texts in (("train", PLAIN_COMMA), ("test", ["3.477", "1.250"]), ("good", COMMA)):
        rows = {"x": texts * 20, "label": (["no", "yes"] * 40)[: len(texts) * 20]}
        pd.DataFrame(rows).to_csv(tmp_path / f"{name}.csv", sep=";", index=False)

    def loaded(test: str, decimal: str | None = None) -> np.ndarray:
        both = f"csv:{tmp_path / 'train.csv'},{tmp_path / test}.csv"
        reading = Reading(decimal=decimal, allow_duplicates=True)
        return load(both, home=tmp_path / "home", reading=reading).open_test()[0]

    with pytest.raises(DataError, match=r"test\.csv: `x` may be read in two ways.*no.* thousands"):
        loaded("test")
    assert loaded("test", ",")[0, 0] == 3477
    assert loaded("good")[0, 0] == 1250.5
