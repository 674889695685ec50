"""Data frames that are passed from Python."""

import re

import numpy as np
import pandas
import pyarrow
import pytest

from search.data import Reading
from search.data.formats.frames import new_rows
from search.data.formats.memory import Given
from search.data.sources import bring
from search.errors import DataError

FRAME = pandas.DataFrame(
    {
        "age": [float(n % 17) for n in range(40)],
        "town": [("Rome", "Oslo", "Bonn")[n % 3] for n in range(40)],
        "seen": pandas.date_range("2024-01-01", periods=40, freq="D"),
        "old": [n % 5 == 0 for n in range(40)],
        "grape": [("red", "white")[n % 2] for n in range(40)],
        "patient": [f"p{n // 4}" for n in range(40)],
    }
)


@pytest.fixture
def brought(tmp_path):
    def brought(data, options=None, **more):
        told = []
        given = Given.of(data, **more)
        reading = Reading(**(options or {}))
        dataset = bring(given, home=tmp_path, reading=reading, notify=told.append)
        return dataset, [*told, *dataset.notices]

    return brought


class Polars:
    """Stands in for a Polars frame: named columns, and Arrow to hand out."""

    def __init__(self, frame):
        self._table = pyarrow.Table.from_pandas(frame, preserve_index=False)
        self.columns = self._table.column_names

    def to_arrow(self):
        return self._table


def test_a_frame_is_a_table_with_typed_columns(brought):
    options = {"target": "grape", "groups": "patient"}
    dataset, _told = brought(FRAME, options, test=FRAME[:6])
    assert dataset.classes == ("red", "white")
    assert [(c.name, c.type) for c in dataset.columns] == [
        ("age", "number"),
        ("town", "category"),
        ("seen", "date"),
        ("old", "truth"),
    ]
    rows = dataset.train_samples
    assert np.array_equal(rows[:, 0], FRAME["age"])
    towns = dataset.columns[1].categories
    assert [towns[int(n)] for n in rows[:, 1]] == list(FRAME["town"])
    assert rows[3, 2] == pandas.Timestamp("2024-01-04").timestamp()
    assert np.array_equal(dataset.train_extra("groups"), np.arange(40) // 4)
    assert len(dataset.open_test()[1]) == 6


@pytest.mark.parametrize(
    "form",
    [
        lambda frame: frame.set_index(np.arange(40) + 7),
        lambda frame: Polars(frame),
        lambda frame: pyarrow.Table.from_pandas(frame, preserve_index=False),
        lambda frame: {name: frame[name] for name in frame.columns},
        lambda frame: {name: frame[name].tolist() for name in frame.columns},
        lambda frame: frame.astype({"town": "category", "grape": "category"}),
    ],
)
def test_every_form_of_a_frame_gives_the_same_arrays(brought, form):
    options = {"target": "grape", "ignore": ("patient",)}
    first, _ = brought(FRAME, options)
    other, _ = brought(form(FRAME), options)
    assert (other.digest, other.columns, other.classes) == (
        first.digest,
        first.columns,
        first.classes,
    )


def test_features_and_labels_may_be_apart(brought):
    features, labels = FRAME[["age", "town"]], FRAME["grape"]
    whole, _ = brought(FRAME[["age", "town", "grape"]], {"target": "grape"})
    apart, _ = brought((features, labels))
    plain, _ = brought((features, labels.tolist()))
    assert whole.digest == apart.digest == plain.digest
    hot, _ = brought((features, np.eye(2)[(labels == "white").astype(int)]))
    assert hot.digest == whole.digest
    assert hot.classes == ("0", "1")


def test_groups_weights_and_times_may_be_apart(brought):
    weights, times = np.arange(1, 41) / 4, FRAME["seen"].to_numpy()
    dataset, _told = brought(
        FRAME[["age", "town", "grape"]],
        {"target": "grape"},
        groups=FRAME["patient"],
        weights=weights,
        time=times,
        test=False,
    )
    assert np.array_equal(dataset.train_extra("weights"), weights)
    assert np.array_equal(dataset.train_extra("groups"), np.arange(40) // 4)
    assert dataset.train_extra("time")[3] == pandas.Timestamp("2024-01-04").timestamp()
    assert dataset.column_names == ("age", "town")
    assert not dataset.has_test


def test_what_is_passed_beside_a_frame_does_not_replace_its_columns(brought):
    frame = FRAME[["age"]].assign(groups=FRAME["town"], grape=FRAME["age"] * 2)
    dataset, _ = brought((frame, FRAME["grape"]), groups=FRAME["patient"], test=False)
    assert dataset.column_names == ("age", "groups", "grape")
    assert dataset.classes == ("red", "white")
    assert np.array_equal(dataset.train_extra("groups"), np.arange(40) // 4)


def test_without_a_test_part_all_rows_are_for_training(brought):
    dataset, told = brought(FRAME[["age", "grape"]], {"target": "grape"}, test=False)
    assert np.array_equal(dataset.train_samples[:, 0], FRAME["age"])
    assert not any("held out" in text for text in told)


def test_arrays_with_gaps_or_words_are_tables(brought):
    rows = np.array([[1.5, np.nan], [2.5, 3.0]] * 10)
    dataset, _ = brought((rows, [0, 1] * 10), test=False)
    assert np.array_equal(dataset.train_samples, rows, equal_nan=True)
    mixed = [[1.5, "a"], [2.5, "b"]] * 10
    dataset, _ = brought((np.array(mixed, object), [0, 1] * 10), test=False)
    assert [c.type for c in dataset.columns] == ["number", "category"]


def test_the_same_frame_has_the_same_name_and_another_value_another(brought):
    def name(frame, **options):
        return Given.of(frame).name(Reading(target="grape", **options))

    assert name(FRAME) == name(FRAME.copy())
    assert name(FRAME) == name(FRAME.set_index(np.arange(40) + 7))
    changed = FRAME.copy()
    changed.loc[7, "town"] = "Bonn" if changed.loc[7, "town"] != "Bonn" else "Oslo"
    assert name(changed) != name(FRAME)
    assert name(FRAME.rename(columns={"age": "years"})) != name(FRAME)
    assert name(FRAME, ignore=("town",)) != name(FRAME)


def test_new_rows_are_read_as_the_training_rows_were(brought):
    dataset, _ = brought(FRAME, {"target": "grape", "ignore": ("patient",)}, test=False)
    new = FRAME[["old", "town", "seen", "age"]][:5].assign(town="Lima", more=1)
    rows = new_rows(new, dataset.columns, Reading())
    assert np.array_equal(rows.values[:, [0, 2, 3]], dataset.train_samples[:5][:, [0, 2, 3]])
    assert rows.values[:, 1].tolist() == [-1] * 5
    with pytest.raises(DataError, match="missing: age"):
        new_rows(new.drop(columns="age"), dataset.columns, Reading())


@pytest.mark.parametrize(
    ("data", "options", "said"),
    [
        (FRAME, {}, "the target must be the one column called label, target or class"),
        (FRAME, {"target": "grapes"}, "did you mean grape?"),
        ((FRAME, [0] * 3), {}, "one value of `y` for each of its 40 rows; got int64 (3,)"),
        ((FRAME[["age"]], FRAME["grape"]), {"target": "age"}, "`target` names a column, and `y`"),
        (
            pandas.concat([FRAME, FRAME[["age"]]], axis=1),
            {"target": "grape"},
            "columns of different names; `age` is there twice",
        ),
        (
            FRAME.assign(odd=[1, "a"] * 20),
            {"target": "grape"},
            "column `odd` must hold values of one type; it holds int, str",
        ),
        ((np.eye(4), [0, 1, 0, 1]), {"target": "grape"}, "`data` are arrays without names"),
        ((np.eye(4), [0, 1, 0, 1]), {"groups": "grape"}, "`data` are arrays without names"),
    ],
)
def test_wrong_frames_are_refused_in_a_sentence(brought, data, options, said):
    with pytest.raises(DataError, match=re.escape(said)) as caught:
        brought(data, options)
    assert len(str(caught.value)) < 400


def test_a_test_part_of_another_form_is_refused(brought):
    with pytest.raises(DataError, match="`test` must be of the same form as `data`"):
        brought(FRAME, {"target": "grape"}, test=(np.eye(3), [0, 1, 0]))


def test_spans_of_time_begin_when_they_begin_and_intervals_are_words(brought):
    frame = FRAME.assign(
        month=pandas.period_range("2020-01", periods=40, freq="M"),
        band=pandas.cut(FRAME["age"], [-1, 5, 10, 20]),
    )
    dataset, _ = brought(frame, {"target": "grape", "groups": "patient"})
    types = {column.name: column for column in dataset.columns}
    assert types["month"].type == "date"
    assert types["band"].categories == ("(-1, 5]", "(10, 20]", "(5, 10]")


@pytest.mark.parametrize(
    "values", [[[1, 2]], [{"a": 1}], [np.zeros(3)]], ids=["lists", "dictionaries", "arrays"]
)
def test_columns_of_more_than_one_value_are_refused_unless_left_out(brought, values):
    frame = FRAME.assign(odd=values * 40)
    with pytest.raises(
        DataError, match=r"column `odd` must hold numbers, .* leave it out with `ig"
    ):
        brought(frame, {"target": "grape"})
    dataset, _ = brought(frame, {"target": "grape", "ignore": ("odd",)})
    assert "odd" not in dataset.column_names


@pytest.mark.parametrize("values", [[10**30], [1, "a"]], ids=["large", "mixed"])
def test_columns_that_have_no_type_are_refused_by_name(brought, values):
    frame = FRAME.assign(odd=pandas.Series((values * 40)[:40], dtype=object))
    with pytest.raises(DataError, match="column `odd` must hold values of one type"):
        brought(frame, {"target": "grape"})


def test_a_frame_without_rows_is_refused(brought):
    with pytest.raises(DataError, match="must have rows; it has none"):
        brought(FRAME.iloc[:0], {"target": "grape"})


def test_the_same_index_in_another_order_is_refused(brought):
    target, others = FRAME["grape"], FRAME.drop(columns="grape")
    for wrong in (target[::-1], target.sample(frac=1, random_state=0)):
        with pytest.raises(DataError, match=r"the same index in another order.*y.loc\[X.index\]"):
            brought((others, wrong))
    with pytest.raises(DataError, match="`groups` have the same index in another order"):
        brought(FRAME, {"target": "grape"}, groups=FRAME["patient"][::-1])
    for right in (target, target.set_axis(range(100, 140)), target.to_numpy()):
        assert brought((others, right))[0].classes == ("red", "white")


def test_an_index_with_a_name_is_told_to_be_left_out(brought):
    _, told = brought(FRAME.set_index("seen"), {"target": "grape"})
    assert any("the index (seen) is left out; `reset_index()`" in text for text in told)
    _, told = brought(FRAME.iloc[::-1], {"target": "grape"})
    assert not any("index" in text for text in told)


def test_what_is_beside_the_test_part_is_not_taken_from_its_further_columns(brought):
    frame, weights = FRAME[["age", "town"]], np.arange(1, 41)
    test = frame[:8].assign(label="white", weights=100)
    dataset, _ = brought(
        (frame, FRAME["grape"].to_numpy(), weights),
        test=(test, FRAME["grape"].to_numpy()[:8], weights[:8]),
    )
    assert np.array_equal(dataset.open_test()[1], dataset.train_labels[:8])
    assert dataset.test_weights().tolist() == weights[:8].tolist()


def test_targets_beside_a_test_part_may_be_called_otherwise(brought):
    frame = FRAME[["age", "town", "grape"]]
    beside = (frame[["age", "town"]][:8], FRAME["grape"][:8].rename("kind"))
    dataset, _ = brought((frame[["age", "town"]], FRAME["grape"]), test=beside)
    assert np.array_equal(dataset.open_test()[1], dataset.train_labels[:8])
    dataset, _ = brought(frame, {"target": "grape"}, test=beside)
    assert np.array_equal(dataset.open_test()[1], dataset.train_labels[:8])
    with pytest.raises(DataError, match="`test` has y twice, in its column `grape` and by itself"):
        brought(frame, {"target": "grape"}, test=(frame[:8], beside[1]))


def test_a_test_part_with_one_hot_rows_needs_them_in_training(brought):
    frame, numbers = FRAME[["age", "town"]], np.arange(40) % 3
    hot = np.eye(3, dtype=int)[numbers]
    dataset, _ = brought((frame, hot), test=(frame[:8], numbers[:8]))
    assert np.array_equal(dataset.open_test()[1], numbers[:8])
    with pytest.raises(DataError, match=r"test y must have the form of data y.*argmax"):
        brought((frame, numbers), test=(frame[:8], hot[:8]))


def test_many_one_hot_columns_are_classes(brought):
    rows = np.eye(25, dtype=int)[np.arange(50) % 25]
    frame = {"age": np.arange(50) / 7, "town": ["north", "south"] * 25}
    dataset, _ = brought((frame, rows), test=False)
    assert len(dataset.classes) == 25
