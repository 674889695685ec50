import gzip
from pathlib import Path

import pytest

from search.data import load
from search.errors import DataError

TABLE = "label,a,b"
IMAGES = "label,pixel1,pixel2,pixel3,pixel4"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "train.csv"


def fault(home: Path, *paths: Path) -> str:
    """Load and return the one message; nothing may be kept of a faulty table."""
    with pytest.raises(DataError) as caught:
        load("csv:" + ",".join(map(str, paths)), home=home)
    assert not list((home / "datasets").glob("*"))
    return str(caught.value)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("1,2", "there must be 3 values, as in the header; there are 2"),
        ("1,2,3,4", "there must be 3 values, as in the header; there are 4"),
        ("1,inf,3", "`a` must be finite; it is inf"),
        ("1,2,-Infinity", "`b` must be finite; it is -Infinity"),
        ("1,-1e400,3", "`a` must be within +-1e+150; it is -1e400"),
        ('1,"2"3,3', "quotes must be closed and followed by a delimiter"),
        (",2,3", "`label` is missing"),
        ("NaN,2,3", "`label` is missing"),
    ],
)
def test_a_fault_in_a_table_is_named_with_its_line(
    path: Path, home: Path, line: str, expected: str
) -> None:
    path.write_text("\n".join([TABLE, "0,1,2", "1,1,2", "", line, "0,1,2", "1,5,5"]))
    assert f"{path}, line 5: {expected}" in fault(home, path)


def test_targets_beyond_any_number_are_refused(path: Path, home: Path) -> None:
    path.write_text("a,label\n1,1e400\n2,1e400\n")
    assert "must be within +-1e+150; it is 1e400" in fault(home, path)


def test_quotes_that_are_not_closed_are_named_with_their_line(path: Path, home: Path) -> None:
    path.write_text("\n".join([TABLE, "0,1,2", "1,1,2", '1,2,"3', "0,1,2", "1,5,5", ""]))
    assert f"{path}, line 4: quotes must be closed" in fault(home, path)


@pytest.mark.parametrize("wrong", ["red", "\xe9", "1.5.2", "0x1f", "1_000"])
def test_a_word_in_a_column_of_numbers_is_asked_about_with_its_line(
    path: Path, home: Path, wrong: str
) -> None:
    lines = [f"{i % 2},{i * i},3" for i in range(50)]
    lines[30] = f"0,{wrong},3"
    path.write_text("\n".join([TABLE, *lines]))
    message = fault(home, path)
    assert f"{path}, line 32: `a` holds numbers, but here it is {wrong!r}" in message
    assert '`--types "a=category"`' in message


@pytest.mark.parametrize("value", ["256", "-1", "0.5", "1e3"])
def test_a_value_that_is_no_pixel_is_named_with_its_line(
    path: Path, home: Path, value: str
) -> None:
    path.write_text(f"{IMAGES}\n0,1,2,3,4\n1,1,2,{value},4\n")
    message = fault(home, path)
    assert (
        f"line 3: `pixel3` must be a pixel, a whole number within 0..255; it is {value}" in message
    )


@pytest.mark.slow
def test_lines_are_counted_through_all_blocks(
    path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.data.formats.csv.BLOCK_BYTES", 50)
    lines = [f"{i % 2},{i},{i}" for i in range(3000)]
    lines[2345] = "0,1"
    lines[2900] = "0"
    path.write_text("\n".join([TABLE, *lines]))
    assert f"{path}, line 2347: there must be 3 values" in fault(home, path)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([0, 0, 0, 0], "must have at least 2 classes; got 1"),
        ([0, 1, 1, 1], "class 0 has only one sample"),
    ],
)
def test_labels_that_number_no_classes_are_refused(
    path: Path, home: Path, labels: list[int], expected: str
) -> None:
    path.write_text("\n".join([TABLE, *(f"{label},{i % 3},{i}" for i, label in enumerate(labels))]))
    message = fault(home, path)
    assert expected in message
    assert str(path) in message


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (
            "lable,a,b",
            "there are 3 columns: lable, a, b. Name the column that holds the class, or the number",
        ),
        (
            ",".join(f"c{i}" for i in range(20)),
            "there are 20 columns: c0, c1, c2, c3, c4, c5, c6, c7, c8, c9 and 10 more",
        ),
        ("label,LABEL,b", "the target must be one column; `label` and `LABEL` may be meant"),
        ("label,a,a", "columns 2 and 3 are both called `a`"),
        (
            "5,1,2",
            "it holds only numbers (5, 1, 2). Add a line of column names; or say `--header",
        ),
        ("", "it is blank"),
        ("label", "a table must have columns besides `label`"),
        ("label:a:b", "separated by comma, semicolon, tab or |; the first line has one: label:a:b"),
        ('label,"a,b', "must be a header of column names"),
        ("label,a,b\r0,1,2\r1,2,3", "lines must end with a line feed"),
    ],
)
def test_a_header_that_names_no_table_is_refused(
    path: Path, home: Path, header: str, expected: str
) -> None:
    path.write_text(f"{header}\n0,1,2\n1,2,3\n", newline="")
    message = fault(home, path)
    assert expected in message
    assert str(path) in message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "it is empty"),
        (b"label,a\n", "it has only a header"),
        (b"label,a\n\n\r\n", "it has only a header"),
        (b"PK\x03\x04...\n", "a zip archive or a spreadsheet"),
        ("label,a\n0,1\n".encode("utf-16"), "it is UTF-16 text: save it as UTF-8"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\n", "it contains zero bytes, as binary files do"),
        ("label,größe\n0,1\n".encode("latin-1"), "byte 9 is not (0xf6). Save the file as UTF-8"),
        (gzip.compress(b"label,a\n0,1\n" * 99, mtime=0)[:-20], "cut short"),
        (gzip.compress(b"", mtime=0), "it is empty"),
    ],
)
def test_a_file_that_is_no_table_is_refused(
    path: Path, home: Path, content: bytes, expected: str
) -> None:
    path.write_bytes(content)
    message = fault(home, path)
    assert expected in message
    assert str(path) in message


def test_a_line_without_end_is_not_taken_for_a_table(
    path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.data.formats.csv.BLOCK_BYTES", 100)
    monkeypatch.setattr("search.data.formats.csv.MAX_LINE", 1000)
    path.write_bytes(b"x" * 5000)
    assert "one is longer than 1,000 bytes" in fault(home, path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path, path: Path, home: Path) -> None:
    assert f"there is no file {path}" in fault(home, path)
    assert f"{tmp_path} must be a file; it is a folder" in fault(home, tmp_path)
    path.write_text(f"{TABLE}\n0,1,2\n")
    assert f"there is no file {tmp_path / 'no.csv'}" in fault(home, path, tmp_path / "no.csv")


def test_the_test_part_must_have_the_columns_of_the_training_part(path: Path, home: Path) -> None:
    path.write_text(f"{TABLE}\n0,1,2\n1,1,2\n")
    other = path.with_name("test.csv")
    other.write_text("label,c,a\n0,1,2\n")
    message = fault(home, path, other)
    assert f"{other}: the test part must have the columns of {path}; missing: b." in message
    assert "It has 3 columns: label, c, a." in message


@pytest.mark.parametrize(
    ("types", "line", "expected"),
    [
        ("2024-01-01", "0,soon,2", "`a` must be a date such as 2024-12-31"),
        ("yes", "0,maybe,2", "`a` must be no or yes; it is 'maybe'"),
        ("1.5", "0,red,2", "`a` must be a number; it is 'red'"),
    ],
)
def test_a_value_of_another_type_in_the_test_part_is_named_with_its_line(
    path: Path, home: Path, types: str, line: str, expected: str
) -> None:
    path.write_text("\n".join([TABLE, *(f"{i % 2},{['no', types][i % 2]},2" for i in range(30))]))
    if types != "yes":
        path.write_text(path.read_text().replace("no", types))
    other = path.with_name("test.csv")
    other.write_text(f"{TABLE}\n0,{types},2\n{line}\n")
    assert f"{other}, line 3: {expected}" in fault(home, path, other)


def test_a_test_label_without_training_rows_is_named_with_its_line(path: Path, home: Path) -> None:
    path.write_text(f"{TABLE}\n0,1,2\n1,1,2\n")
    other = path.with_name("test.csv")
    other.write_text(f"{TABLE}\n0,1,2\n2,1,2\n")
    assert (
        f"{other}, line 3: `label` must be one of the training part's labels, 0, 1; it is 2"
        in fault(home, path, other)
    )


def test_a_test_label_between_those_of_training_is_refused(path: Path, home: Path) -> None:
    path.write_text("\n".join([TABLE, *(f"{1 + i % 2 * 2},{i * i},2" for i in range(10))]))
    other = path.with_name("test.csv")
    other.write_text(f"{TABLE}\n3,1,2\n2,1,2\n")
    expected = "`label` must be one of the training part's labels, 1, 3; it is 2"
    assert f"{other}, line 3: {expected}" in fault(home, path, other)


def test_an_infinite_number_among_decimal_commas_is_refused(path: Path, home: Path) -> None:
    lines = [f"{i % 2};{i},5" for i in range(10)]
    lines[4] = "0;inf"
    path.write_text("\n".join(["label;a", *lines]))
    assert f"{path}, line 6: `a` must be finite; it is inf" in fault(home, path)


ROWS = "0,1,2\n1,2,3\n"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"label,a,b\n0,1,2,\n1,2,3,\n", "line 2: there must be 3 values, as in the header; there"),
        (b"label,a,b\n0,1,2,\n1,2,3,\n", "the line ends with a separator, so the header must, too"),
        (b"label,a,b\n0,1,2,7\n", "a value that holds the separator must be quoted"),
        (b"label,a,b\n0,1\n", "the line may be truncated"),
        (b'label,a, "b"\n0,1, "x"\n', "line 1: a quote must follow the separator at once"),
        (b'label,a,b\n0,1, "x"\n1,1, "y"\n', "line 2: a quote must follow the separator at once"),
        (b"sep=;\nlabel;a\n0;1\n", "line 1 is a note of Excel's on the separator. Delete it"),
        (b'[{"label": 0, "a": 1}]', "it is JSON: name it with `jsonl:`"),
        (b"<!DOCTYPE html><title>404</title>", "it is a web page"),
        (f"label,a,b\n{ROWS}".encode("utf-16-le"), "as UTF-16 text does. Save it as UTF-8"),
        (f"label,a,b\n{ROWS}".encode("utf-16-be"), "as UTF-16 text does. Save it as UTF-8"),
        (b"label,a,b\n0,1,\0\n", "as binary files do. Save the table as CSV"),
        (b"My table\nlabel,a,b\n0,1,2\n", "leave out lines above the column names"),
        (b'label,"a\nb",c\n0,1,2\n', "A name must be in one line"),
    ],
)
def test_what_is_not_quite_a_table_is_called_by_its_name(
    path: Path, home: Path, content: bytes, expected: str
) -> None:
    path.write_bytes(content)
    assert expected in fault(home, path)
