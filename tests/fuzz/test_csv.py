import gzip

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.data.formats.tables import read_rows, write_files
from search.data.reading import Column, Reading
from tests.fuzz.damage import THOUSAND, cleanly, damaged, written

ROWS = range(10)
TABLE = b"label,width,height\n" + b"".join(b"%d,%d.5,-1e%d\n" % (i % 2, i, i) for i in ROWS)
IMAGES = b"label,pixel1,pixel2,pixel3,pixel4\r\n" + b"".join(
    b"%d,%d,2,255,0\r\n" % (i % 2, i) for i in ROWS
)
QUOTED = b'\xef\xbb\xbf"label"\t"a b"\t"c"\n' + b'"0"\t"1"\t2\n"1"\t"1"\t2\n' * 4
MIXED = b"label,width,height,word,ok,when\n" + b"".join(
    b"%s,%d,%d.5,%s,%s,2024-01-%02d\n"
    % ([b"a", b"b"][i % 2], i * i, i, [b"red", b"", b"blue"][i % 3], [b"no", b"yes"][i % 2], i + 1)
    for i in ROWS
)
PACKED = gzip.compress(TABLE, mtime=0)

FIELDS = st.sampled_from(
    [
        *(
            "0",
            "1",
            "2",
            "-1",
            "0.0",
            "1e400",
            "-0",
            "nan",
            "inf",
            "",
            " ",
            '"',
            '"1"',
            '""',
            *("1,5", "1,250", "1.250", "0,5", "yes", "no", "true", "2024-01-01", "2024-02-30"),
            *("2024-01-01T00:00:00Z", "9999-12-31T23:59:59+99:99", "0001-01-01", "red", "?", "01"),
        ),
        *("label", "Label", "pixel0", "pixel1", "pixel01", "x", "\0", "\r", "\u2028", "9" * 400),
        *(
            "1e308",
            "1e-400",
            "0x1",
            "1_0",
            "True",
            "\ufeff",
            "256",
            "9223372036854775808",
            "\u0661",
        ),
    ]
)
LINES = st.lists(st.lists(FIELDS, min_size=1, max_size=4), min_size=1, max_size=8)
ENDS = st.sampled_from(["\n", "\r\n", "\r", "\n\n"])
NONSENSE = st.builds(
    lambda lines, comma, end: end.join(comma.join(line) for line in lines).encode(),
    LINES,
    st.sampled_from(",;\t|"),
    ENDS,
)
HEADED = st.builds(lambda rest: b"label,x\n0,1\n1,2\n0,3\n1,4\n" + rest, NONSENSE)


READINGS = st.sampled_from(
    [
        *(
            Reading(),
            Reading(header="none", target="0"),
            Reading(decimal=","),
            Reading(decimal="."),
        ),
        *(Reading(target="x"), Reading(types={"width": "category"}), Reading(text="height")),
        *(Reading(groups="width"), Reading(time="height"), Reading(allow_duplicates=True)),
        *(Reading(task="regression"), Reading(task="multi-label"), Reading(target="width,height")),
    ]
)


def read(content: bytes, folder, arrays, reading=None):
    path = folder / "own.csv"
    path.write_bytes(content)
    reading = reading or Reading()
    return cleanly(lambda: written(lambda out: write_files("csv", (path,), reading, out), arrays))


def test_the_whole_files_are_read(folder, arrays):
    kinds = [read(content, folder, arrays).kind for content in (TABLE, IMAGES, MIXED, PACKED)]
    assert kinds == ["table", "image", "table", "table"]


@pytest.mark.slow
@THOUSAND
@given(content=damaged(TABLE, IMAGES, QUOTED, MIXED, PACKED), reading=READINGS)
def test_a_damaged_table_is_read_or_refused(folder, arrays, content, reading):
    read(content, folder, arrays, reading)


@pytest.mark.slow
@THOUSAND
@given(content=st.one_of(st.binary(max_size=200), NONSENSE, HEADED), reading=READINGS)
def test_what_is_no_table_is_refused_or_is_one(folder, arrays, content, reading):
    read(content, folder, arrays, reading)


@pytest.mark.slow
@THOUSAND
@given(content=damaged(TABLE))
def test_a_damaged_test_part_is_read_or_refused(folder, arrays, content):
    paths = folder / "train.csv", folder / "test.csv"
    paths[0].write_bytes(TABLE)
    paths[1].write_bytes(content)
    cleanly(lambda: written(lambda out: write_files("csv", paths, Reading(), out), arrays))


COLUMNS = (
    *(Column("width"), Column("height"), Column("when", "date")),
    *(Column("word", "category", ("1", "red")), Column("ok", "truth", ("no", "yes"))),
)


@pytest.mark.slow
@THOUSAND
@given(content=st.one_of(damaged(MIXED, TABLE), NONSENSE), reading=READINGS)
def test_damaged_new_rows_are_read_or_refused(folder, content, reading):
    path = folder / "new.csv"
    path.write_bytes(content)
    rows = cleanly(lambda: read_rows(path, COLUMNS, reading))
    if rows is not None:
        assert rows.values.shape == (len(rows.places), len(COLUMNS))
        assert rows.labels is None or len(rows.labels) == len(rows.places)
        assert not np.isinf(rows.values).any()
