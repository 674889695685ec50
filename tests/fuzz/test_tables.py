import gzip
import io
import json

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.data.formats.tables import read_rows, write_files
from search.data.reading import Column, Reading
from tests.fuzz.damage import THOUSAND, cleanly, damaged, written

FRAME = pd.DataFrame(
    {
        "label": [f"class {i % 2}" for i in range(20)],
        "width": [i * i for i in range(20)],
        "height": [None if i % 5 == 0 else i / 7 for i in range(20)],
        "word": [["red", None, "blue"][i % 3] for i in range(20)],
        "when": pd.to_datetime([f"2024-01-{i + 1:02}" for i in range(20)]),
        "ok": [i % 3 == 0 for i in range(20)],
    }
)


def parquet(**options) -> bytes:
    memory = io.BytesIO()
    FRAME.to_parquet(memory, **options)
    return memory.getvalue()


PARQUET = [parquet(), parquet(compression=None), parquet(compression="gzip", row_group_size=6)]
LINES = FRAME.to_json(orient="records", lines=True, date_format="iso").encode()
READINGS = st.sampled_from(
    [
        *(Reading(), Reading(text="word"), Reading(groups="word"), Reading(time="when")),
        *(Reading(types={"width": "category"}), Reading(weights="width"), Reading(decimal=",")),
    ]
)
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(),
        st.text(max_size=8),
        st.sampled_from(["", "1", "1,5", "2024-01-01", "yes", "\ud800", "?"]),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(), inner)),
    max_leaves=3,
)
NAMES = st.sampled_from(["label", "Label", "x", "", "word", "pixel0", "Unnamed: 0", "\ud800"])
OBJECTS = st.lists(st.dictionaries(NAMES, VALUES, max_size=4), min_size=1, max_size=8)


def read(kind, content, folder, arrays, reading=None):
    path = folder / f"own.{kind}"
    path.write_bytes(content)
    reading = reading or Reading()
    return cleanly(lambda: written(lambda out: write_files(kind, (path,), reading, out), arrays))


def test_the_whole_files_are_read(folder, arrays):
    for kind, content in (("jsonl", LINES), *(("parquet", content) for content in PARQUET)):
        for whole in (content, gzip.compress(content)):
            assert read(kind, whole, folder, arrays).kind == "table"


@pytest.mark.slow
@THOUSAND
@given(content=st.one_of(damaged(*PARQUET), st.binary(max_size=100)), reading=READINGS)
def test_a_damaged_parquet_file_is_read_or_refused(folder, arrays, content, reading):
    read("parquet", content, folder, arrays, reading)


@pytest.mark.slow
@THOUSAND
@given(content=damaged(LINES, gzip.compress(LINES, mtime=0)), reading=READINGS)
def test_damaged_json_lines_are_read_or_refused(folder, arrays, content, reading):
    read("jsonl", content, folder, arrays, reading)


@pytest.mark.slow
@THOUSAND
@given(objects=OBJECTS, reading=READINGS)
def test_any_objects_are_read_or_refused(folder, arrays, objects, reading):
    content = "\n".join(map(json.dumps, objects)).encode()
    read("jsonl", content, folder, arrays, reading)


@pytest.mark.slow
@THOUSAND
@given(content=st.one_of(damaged(LINES, *PARQUET), st.binary(max_size=100)))
def test_damaged_new_rows_are_read_or_refused(folder, content):
    path = folder / "new.rows"
    path.write_bytes(content)
    columns = (
        *(Column("height"), Column("when", "date"), Column("ok", "truth", ("False", "True"))),
        Column("word", "category", ("red",)),
    )
    rows = cleanly(lambda: read_rows(path, columns, Reading()))
    assert rows is None or rows.values.shape == (len(rows.places), len(columns))
