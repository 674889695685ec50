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
        ("1,,3", "`a` is missing. Fill it in"),
        ("1,2,", "`b` is missing"),
        ("1,NaN,3", "`a` is missing (NaN)"),
        ("1,2,NA", "`b` is missing (NA)"),
        ("1,null,3", "`a` is missing (null)"),
        ("1,red,3", "`a` must be a number; it is 'red'"),
        ("1,inf,3", "`a` must be finite; it is inf"),
        ("1,2,-Infinity", "`b` must be finite; it is -Infinity"),
        ("1,1e39,3", "`a` must be within the range of float32, +-3.4e38; it is 1e39"),
        ("1,-1e400,3", "`a` must be within the range of float32"),
        ("1,\xe9,3", "`a` must be a number; it is 'é'"),
        ('1,"2,3', "quotes must be closed on their line"),
        ("cat,2,3", "`label` must be a whole number from 0; it is 'cat'. Number the classes"),
        ("1.5,2,3", "`label` must be a whole number from 0; it is '1.5'"),
        ("-1,2,3", "`label` must be a whole number from 0; it is '-1'"),
        ("1e300,2,3", "`label` must be a whole number from 0; it is '1e300'"),
        (",2,3", "`label` is missing"),
    ],
)
def test_a_fault_in_a_table_is_named_with_its_line(
    path: Path, home: Path, line: str, expected: str
) -> None:
    path.write_text("\n".join([TABLE, "0,1,2", "1,1,2", "", line, "0,1,2", "oops"]))
    assert f"{path}, line 5: {expected}" in fault(home, path)


@pytest.mark.parametrize("value", ["256", "-1", "0.5", "1e3"])
def test_a_value_that_is_no_pixel_is_named_with_its_line(
    path: Path, home: Path, value: str
) -> None:
    path.write_text(f"{IMAGES}\n0,1,2,3,4\n1,1,2,{value},4\n")
    message = fault(home, path)
    assert (
        f"line 3: `pixel3` must be a pixel, a whole number within 0..255; it is {value}" in message
    )


def test_decimal_commas_are_recognised(path: Path, home: Path) -> None:
    path.write_text("label;a\n0;1\n1;0,5\n")
    assert "line 3: `a` must be a number; it is '0,5'. Write decimals with a point" in fault(
        home, path
    )


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
        ([0, 1, 3, 3], "2 is missing in the training part, which has 3 different labels from 0"),
        ([1, 2, 3, 1], "0 is missing in the training part"),
        ([1, 2, 3, 1], "Subtract 1 from each."),
        ([5, 7, 5, 7], "0 is missing"),
        ([5, 7, 5, 7], "Number the classes 0, 1, 2 and so on."),
        ([0, 0, 0, 0], "must have at least 2 classes; got 1"),
        ([0, 1, 1, 1], "class 0 has only one sample"),
    ],
)
def test_labels_that_number_no_classes_are_refused(
    path: Path, home: Path, labels: list[int], expected: str
) -> None:
    path.write_text("\n".join([TABLE, *(f"{label},1,2" for label in labels)]))
    message = fault(home, path)
    assert expected in message
    assert str(path) in message


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("lable,a,b", "there are 3 columns: lable, a, b. Did you mean `lable`?"),
        (",".join(f"c{i}" for i in range(20)), "there are 20 columns: c0, c1, c2, c3, c4, c5, c6"),
        ("label,LABEL,b", "one column must be called `label`; 2 are"),
        ("label,a,a", "columns 2 and 3 are both called `a`"),
        (",label,a", "column 1 has none. Name it, or save the table without its row numbers"),
        ("5,1,2", "it holds only numbers (5, 1, 2). Add a line of column names"),
        ("", "it is blank"),
        ("label", "a table must have columns besides `label`"),
        ("label|a|b", "there are 1 columns: label|a|b"),
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


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("label,a", "there are 3 and 2 columns"),
        ("label,b,a", "column 2 is `a` in one and `b` in the other"),
        ("a,label,b", "column 1 is `label` in one and `a` in the other"),
    ],
)
def test_the_test_part_must_have_the_same_columns(
    path: Path, home: Path, header: str, expected: str
) -> None:
    path.write_text(f"{TABLE}\n0,1,2\n1,1,2\n")
    other = path.with_name("test.csv")
    other.write_text(f"{header}\n0,1,2\n")
    message = fault(home, path, other)
    assert f"{other}, line 1: the test part must have the columns of {path}" in message
    assert expected in message


def test_a_test_label_without_training_rows_is_named_with_its_line(path: Path, home: Path) -> None:
    path.write_text(f"{TABLE}\n0,1,2\n1,1,2\n")
    other = path.with_name("test.csv")
    other.write_text(f"{TABLE}\n0,1,2\n2,1,2\n")
    assert f"{other}, line 3: `label` must be one of the training part's labels, 0..1" in fault(
        home, path, other
    )
