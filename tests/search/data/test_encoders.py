"""Typed columns become a model's inputs as scikit-learn's transformers would make them."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.data.encoders import TableEncoder, encoder_from_json
from search.data.inputs import data_spec, make_inputs, table_width
from search.data.reading import Column
from search.errors import DataError, SettingsError
from spaces import TableInput, get_space
from tests.fuzz.damage import THOUSAND
from tests.search.data.tiny import tiny

NAN = math.nan
COLUMNS = (
    Column("age"),
    Column("city", "category", ("bergen", "oslo", "voss")),
    Column("alive", "truth", ("no", "yes")),
    Column("seen", "date"),
    Column("shop", "category", ("a", "b")),
)
DAY = 1_700_000_000.0


def table_of(seed: int, count: int = 40):
    """Return random rows of `COLUMNS`: gaps in all but the dates, categories of uneven size."""
    chance = np.random.default_rng(seed)
    rows = np.column_stack(
        [
            chance.normal(40, 15, count),
            chance.choice(3, count, p=[0.7, 0.25, 0.05]),
            chance.integers(0, 2, count),
            DAY + chance.integers(0, 3600, count),
            chance.choice(2, count, p=[0.9, 0.1]),
        ]
    ).astype(np.float64)
    for column, share in ((0, 0.2), (1, 0.1), (2, 0.05)):
        rows[chance.random(count) < share, column] = NAN
    return rows


def expected_of(rows, train, columns, gaps):
    """Return what scikit-learn's transformers give, with the columns that the width asks for."""
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    parts = []
    for number, column in enumerate(columns):
        values, fitted = rows[:, [number]], rows[train][:, [number]]
        if column.type == "category":
            made = OneHotEncoder(handle_unknown="ignore", sparse_output=False).fit(fitted)
            found, known = made.transform(values), made.categories_[0]
            wide = np.zeros((len(rows), len(column.categories) + gaps[number]))
            for place, category in enumerate(known):
                wide[:, -1 if np.isnan(category) else int(category)] = found[:, place]
        else:
            wide = np.zeros((len(rows), 1 + gaps[number]))
            if not np.isnan(fitted).all():
                made = make_pipeline(SimpleImputer(add_indicator=True), StandardScaler())
                found = made.fit(fitted).transform(values)
                wide[:, : found.shape[1]] = found
        parts.append(wide)
    return np.hstack(parts)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Found unknown categories")
@pytest.mark.filterwarnings("ignore:The features .* have missing values in transform")
@THOUSAND
@given(
    seed=st.integers(0, 10_000),
    parts=st.lists(st.booleans(), min_size=40, max_size=40).filter(lambda part: sum(part) > 1),
)
def test_a_mixed_table_is_encoded_as_scikit_learn_does_it(seed, parts):
    rows, train = table_of(seed), np.flatnonzero(parts)
    gaps = tuple(np.isnan(rows).any(axis=0).tolist())
    encoder = TableEncoder.fitted(rows, train, COLUMNS, gaps)
    found, expected = encoder.encode(rows), expected_of(rows, train, COLUMNS, gaps)
    assert found.dtype == np.float32
    lacking = [
        int(start)
        for start, gap, column in zip(encoder.starts[1:] - 1, gaps, COLUMNS, strict=True)
        if gap and column.type != "category" and np.isnan(rows[train, COLUMNS.index(column)]).all()
    ]
    expected[:, lacking] = 0.0  # a column without any value: nothing can be learned from it
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    again = encoder_from_json(json.loads(json.dumps(encoder.to_json())))
    assert again == encoder
    np.testing.assert_array_equal(again.encode(rows), found)


def test_every_training_part_gives_inputs_of_one_shape(tmp_path):
    rows, labels = table_of(0), [0, 1] * 20
    data = tiny(tmp_path, "table", (rows, labels), (rows, labels), columns=COLUMNS)
    inputs = make_inputs(data, TableInput())
    shapes = {
        inputs.learn(part, {}).input_shape
        for part in (np.arange(3), np.arange(40), np.flatnonzero(~np.isnan(rows).any(axis=1)))
    }
    assert shapes == {(2 + 4 + 2 + 1 + 2,)}
    assert data_spec(data, get_space("mlp")).input_shape == (11,)


def test_rows_that_are_taken_in_pieces_are_those_encoded_at_once(tmp_path, monkeypatch):
    rows, labels = table_of(1), [0, 1] * 20
    data = tiny(tmp_path, "table", (rows, labels), (rows, labels), columns=COLUMNS)
    inputs = make_inputs(data, TableInput())
    encoder = inputs.learn(np.arange(0, 40, 2), {})
    monkeypatch.setattr("search.data.inputs.PIECE_BYTES", 1000)
    some = np.array([5, 1, 39, 20, 0, 7, 8, 9, 33, 2, 2, 12, 11, 10, 3])
    np.testing.assert_array_equal(inputs.take(encoder, some), encoder.encode(rows[some]))


def test_moments_are_the_same_however_few_columns_are_in_memory(monkeypatch):
    rows, gaps = table_of(2), (True, True, True, False, False)
    whole = TableEncoder.fitted(rows, np.arange(40), COLUMNS, gaps)
    monkeypatch.setattr("search.data.encoders.BLOCK_BYTES", 1)
    assert TableEncoder.fitted(rows, np.arange(40), COLUMNS, gaps) == whole


def test_plain_numbers_keep_the_arrays_they_had(tmp_path):
    rows = np.random.default_rng(0).normal(3, 5, (50, 4)).astype(np.float32)
    columns = tuple(map(Column, "abcd"))
    encoder = TableEncoder.fitted(rows, np.arange(30), columns, (False,) * 4)
    part = rows[:30].astype(np.float64)
    assert encoder == TableEncoder(
        tuple(part.mean(axis=0).tolist()), tuple(part.std(axis=0).tolist())
    )
    expected = ((rows.astype(np.float64) - part.mean(axis=0)) / part.std(axis=0)).astype(np.float32)
    np.testing.assert_array_equal(encoder.encode(rows), expected)
    assert list(encoder.to_json()) == ["kind", "means", "deviations"]


def test_a_constant_column_is_zero_although_its_mean_is_rounded():
    rows = np.full((10, 2), 0.1)
    rows[:, 1] = [NAN, *[1e9 + 0.1] * 9]
    encoder = TableEncoder.fitted(rows, np.arange(10), COLUMNS[:1] * 2, (False, True))
    assert not encoder.encode(rows)[:, :2].any()
    assert encoder.deviations == (1.0, 1.0)


def test_seconds_since_1970_keep_their_digits():
    seconds = 40.0 * np.arange(20)
    rows = np.column_stack([seconds, seconds + 1.7e9])
    encoder = TableEncoder.fitted(rows, np.arange(20), COLUMNS[:1] * 2, (False, False))
    found = encoder.encode(rows)
    np.testing.assert_allclose(found[:, 0], found[:, 1], rtol=1e-6)
    assert len(np.unique(found[:, 1])) == 20


def test_what_is_unknown_or_missing_for_the_first_time_counts_as_nothing():
    encoder = TableEncoder((2.0, 0.0, 0.0), (4.0, 1.0, 1.0), (0, 3, 2), (), ((2, 1),))
    rows = np.array([[NAN, -1, 0], [6, 2, 1], [6, NAN, NAN], [2, 3, 0.0]])
    assert encoder.encode(rows).tolist() == [
        [0, 0, 0, 0, 1, 0],
        [1, 0, 0, 1, 0, 0],
        [1, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 1, 0],
    ]


def as_the_card_says(document, row):
    """Return one row's inputs by the words of the model card, from the JSON of an encoder."""
    found = []
    count = len(document["means"])
    categories = document.get("categories", [0] * count)
    missing = document.get("missing", [None] * count)
    unseen = {tuple(pair) for pair in document.get("unseen", [])}
    for column, value in enumerate(row):
        absent, share = math.isnan(value), missing[column]
        if categories[column]:
            known = range(categories[column])
            found += [float(k == value and (column, k) not in unseen) for k in known]
        else:
            mean, deviation = document["means"][column], document["deviations"][column]
            found.append(0.0 if absent or share == 1 else (value - mean) / deviation)
        if share is None:
            continue
        if share == 0 or (share == 1 and not categories[column]):
            found.append(0.0)
        elif categories[column]:
            found.append(float(absent))
        else:
            found.append((absent - share) / math.sqrt(share * (1 - share)))
    return found


@pytest.mark.parametrize("part", [slice(0, 40), slice(0, 6), slice(10, 13), slice(20, 21)])
def test_labels_json_says_enough_to_encode_a_row(part):
    rows = table_of(4)
    rows[::9, 1] = rows[::7, 4] = -1
    rows[10:13, 0] = rows[10:13, 1] = NAN
    encoder = TableEncoder.fitted(
        rows, np.arange(40)[part], COLUMNS, (True, True, True, False, False)
    )
    document = json.loads(json.dumps(encoder.to_json()))
    expected = [as_the_card_says(document, row) for row in rows.tolist()]
    np.testing.assert_allclose(encoder.encode(rows), expected, rtol=1e-6, atol=1e-7)


def test_numbers_without_a_deviation_are_refused_by_the_name_of_their_column():
    rows = np.array([[1.7e308, 1], [-1.7e308, 2]])
    with pytest.raises(DataError, match=r"column far must .* `--ignore far`"):
        TableEncoder.fitted(rows, np.arange(2), (Column("far"), Column("x")), (False, False))


def test_many_categories_are_told_and_far_too_many_are_refused(tmp_path, monkeypatch):
    names = tuple(f"c{n}" for n in range(1200))
    columns = (Column("x"), Column("street name", "category", names))
    rows = np.array([[1.0, 0], [2, 5]])
    data = tiny(tmp_path, "table", (rows, [0, 1]), (rows, [0, 1]), columns=columns)
    heard: list[str] = []
    assert table_width(data, heard.append) == 1201
    assert heard == [
        "models have 1,201 inputs for a row of tiny, 1,200 of them for the categories of column"
        " street name; `--ignore 'street name'` leaves it out"
    ]
    monkeypatch.setattr("search.data.inputs.MOST_ADDED_BYTES", 1199 * 8 - 1)
    with pytest.raises(SettingsError, match=r"column street name\. .*`--ignore 'street name'`"):
        table_width(data)
    monkeypatch.setattr("search.data.inputs.MOST_ADDED_BYTES", 1199 * 8)
    assert table_width(data) == 1201


@pytest.mark.parametrize(
    ("column", "value", "shown"),
    [
        (COLUMNS[0], NAN, ""),
        (COLUMNS[0], 1_700_000_003.0, "1700000003"),
        (COLUMNS[0], 0.123456, "0.12346"),
        (COLUMNS[0], -3.0, "-3"),
        (COLUMNS[1], 1.0, "oslo"),
        (COLUMNS[1], -1.0, "unknown"),
        (COLUMNS[2], 1.0, "yes"),
        (Column("t", "truth"), 0.0, "false"),
        (COLUMNS[3], 86_400.0, "1970-01-02"),
        (COLUMNS[3], -1.0, "1969-12-31 23:59:59"),
        (COLUMNS[3], 1e20, "1e+20 s"),
        (COLUMNS[3], NAN, ""),
    ],
)
def test_a_value_is_shown_as_people_write_it(column, value, shown):
    assert column.shown(value) == shown
