"""Data that are passed from Python."""

import re
import subprocess
import sys

import numpy as np
import pandas
import pytest

from search.data import Reading, load
from search.data.formats.memory import Given
from search.data.sources import bring
from search.data.targets import Targets
from search.errors import DataError
from search.tasks import Classification

ROWS = np.random.default_rng(0).normal(size=(40, 3))
HALVES = np.arange(40) % 2


@pytest.fixture
def brought(tmp_path):
    """Bring data into a home; return the dataset, and what was told."""

    def brought(data, **more):
        told = []
        given = Given.of(data, **more)
        dataset = bring(given, home=tmp_path, notify=told.append)
        return dataset, [*told, *dataset.notices]

    brought.home = tmp_path
    return brought


def test_arrays_become_a_dataset_with_a_stratified_fifth_held_out(brought):
    dataset, told = brought((ROWS, HALVES))
    assert (dataset.kind, dataset.classes) == ("table", ("0", "1"))
    test, labels = dataset.open_test()
    assert (len(dataset.train_labels), len(test)) == (32, 8)
    assert sorted(labels) == [0] * 4 + [1] * 4
    both = np.concatenate([dataset.train_samples, test])
    assert sorted(map(tuple, both)) == sorted(map(tuple, ROWS))
    for row, label in zip(dataset.train_samples, dataset.train_labels, strict=True):
        assert HALVES[(row == ROWS).all(axis=1)] == [label]
    assert any("a stratified fifth (8 of 40 samples) is held out" in text for text in told)


def test_the_same_data_are_brought_once_and_found_by_their_name(brought, tmp_path):
    first, told = brought((ROWS, HALVES))
    again, second = brought((ROWS.tolist(), list(HALVES)))
    assert any(text.startswith("Getting") for text in told)
    assert not any(text.startswith("Getting") for text in second)
    assert first == again
    assert load(first.name, home=tmp_path).folder == first.folder
    assert first.title == "table"


@pytest.mark.parametrize(
    "other",
    [
        ((ROWS + 1e-9, HALVES), {}),
        ((ROWS, 1 - HALVES), {}),
        ((ROWS, HALVES), {"groups": np.arange(40) // 2}),
        ((ROWS, HALVES), {"weights": np.arange(1, 41)}),
        ((ROWS, HALVES), {"time": np.arange(40)}),
        ((ROWS, HALVES), {"test": (ROWS[:4], HALVES[:4])}),
        ((ROWS, HALVES), {"test": False}),
        ((ROWS, HALVES), {"title": "mine"}),
    ],
)
def test_other_data_have_another_name(other):
    data, more = other
    assert Given.of(data, **more).name(Reading()) != Given.of((ROWS, HALVES)).name(Reading())


def test_other_test_parts_give_other_names():
    names = [
        Given.of((ROWS, HALVES), test=(ROWS[:4] + n, HALVES[:4])).name(Reading()) for n in range(2)
    ]
    assert names[0] != names[1]


def test_other_options_of_reading_give_another_name():
    given = Given.of((ROWS, HALVES))
    assert given.name(Reading(target="a")) != given.name(Reading())


def test_data_that_left_the_cache_are_asked_for_again(brought, tmp_path):
    dataset, _ = brought((ROWS, HALVES))
    for file in dataset.folder.iterdir():
        file.unlink()
    with pytest.raises(DataError, match=r"pass the same data again, with `run_study\(\.\.\., data"):
        load(dataset.name, home=tmp_path)


def test_a_test_part_of_ones_own_is_the_test_part(brought):
    dataset, told = brought((ROWS, HALVES), test=(ROWS[:6] + 9, HALVES[:6]))
    test, labels = dataset.open_test()
    assert np.array_equal(test, ROWS[:6] + 9)
    assert np.array_equal(labels, HALVES[:6])
    assert len(dataset.train_labels) == 40
    assert not any("held out" in text for text in told)


def test_without_a_test_part_all_samples_are_for_training(brought):
    dataset, told = brought((ROWS, HALVES), test=False)
    assert not dataset.has_test
    assert np.array_equal(dataset.train_samples, ROWS)
    assert not any("held out" in text for text in told)


def test_groups_stay_whole_and_the_latest_are_held_out(brought):
    groups = np.array(list("abcdefghijklmnopqrst"), object).repeat(2)
    dataset, told = brought((ROWS, HALVES), groups=groups)
    numbers = dataset.train_extra("groups")
    rows = [int(np.flatnonzero((row == ROWS).all(axis=1))[0]) for row in dataset.train_samples]
    held = set(groups) - set(groups[rows])
    assert len(held) >= 2
    assert all((groups[rows] == name).sum() == 2 for name in set(groups[rows]))
    assert len(set(zip(groups[rows], numbers, strict=True))) == len(set(numbers))
    assert any("groups stay whole" in text for text in told)
    times = np.datetime64("2024-01-01") + np.random.default_rng(1).permutation(40)
    dataset, _ = brought((ROWS, HALVES), time=times)
    rows = [int(np.flatnonzero((row == ROWS).all(axis=1))[0]) for row in dataset.train_samples]
    assert times[rows].max() < np.delete(times, rows).min()
    assert dataset.train_extra("time")[0] == times[rows[0]].astype("datetime64[s]").astype(float)


def test_weights_stay_with_their_samples(brought):
    weights = np.arange(1, 41) / 10
    dataset, _ = brought((ROWS, HALVES), weights=weights.tolist())
    rows = [int(np.flatnonzero((row == ROWS).all(axis=1))[0]) for row in dataset.train_samples]
    assert np.array_equal(dataset.train_extra("weights"), weights[rows])
    dataset, _ = brought((ROWS, HALVES, weights))
    assert np.array_equal(dataset.train_extra("weights"), weights[rows])


@pytest.mark.parametrize("form", ["arrays", "frames"])
@pytest.mark.parametrize(
    ("train", "test", "wanted", "told"),
    [
        ([2.0] * 40, [9.0, 1.0, 3.0, 0.0], ([2.0] * 40, [9.0, 1.0, 3.0, 0.0]), ""),
        (None, [9.0, 1.0, 3.0, 0.0], ([1.0] * 40, [9.0, 1.0, 3.0, 0.0]), "data"),
        ([2.0] * 40, None, ([2.0] * 40, [1.0] * 4), "test"),
    ],
    ids=["both", "test alone", "data alone"],
)
def test_weights_of_either_part_count_and_others_are_1(brought, form, train, test, wanted, told):
    samples = ROWS if form == "arrays" else pandas.DataFrame(ROWS, columns=["a", "b", "c"])
    data, part = (samples, HALVES), (samples[:4], HALVES[:4])
    dataset, notices = brought(
        data if train is None else (*data, np.array(train)),
        test=part if test is None else (*part, np.array(test)),
    )
    assert dataset.train_extra("weights").tolist() == wanted[0]
    assert dataset.test_weights().tolist() == wanted[1]
    counted = [text for text in notices if "counts 1" in text]
    assert [text.partition(" ")[0] for text in counted] == ([f"`{told}`"] if told else [])
    assert dataset.column_names == (("x0", "x1", "x2") if form == "arrays" else ("a", "b", "c"))


@pytest.mark.parametrize("weight", [np.nan, -1.0])
def test_weights_of_a_test_part_are_checked(brought, weight):
    with pytest.raises(DataError, match="of `test` must be finite numbers from 0; number 2 is"):
        brought((ROWS, HALVES), test=(ROWS[:2], HALVES[:2], np.array([1.0, weight])))


def test_weights_that_are_given_twice_are_refused(brought):
    ones = np.ones(40)
    for samples in (ROWS, pandas.DataFrame(ROWS, columns=["a", "b", "c"])):
        with pytest.raises(DataError, match="weights are given twice"):
            brought((samples, HALVES, ones), weights=ones)


ONE_HOT = pandas.DataFrame(np.eye(3, dtype=int)[np.arange(40) % 3], columns=["p", "q", "r"])
MIXED = ONE_HOT.assign(q=(np.arange(40) % 5 == 0).astype(int))
WORDS = np.where(ROWS > 0, "high", "low")
GAPS = np.where(np.arange(40)[:, None] == 5, np.nan, ROWS)
FORMS = pytest.mark.parametrize(
    "samples",
    [ROWS, pandas.DataFrame(ROWS, columns=["a", "b", "c"]), WORDS, GAPS],
    ids=["array", "frame", "words", "gaps"],
)


@FORMS
@pytest.mark.parametrize(
    ("task", "names", "kind"),
    [
        (None, ("0", "1", "2"), "classification"),
        ("classification", ("0", "1", "2"), "classification"),
        ("multi-label", ("p", "q", "r"), "multi-label"),
        ("regression", ("p", "q", "r"), "regression"),
    ],
)
def test_one_hot_targets_are_what_the_task_says(tmp_path, samples, task, names, kind):
    test = (samples[:6], ONE_HOT[:6])
    given = Given.of((samples, ONE_HOT), test=test)
    dataset = bring(given, home=tmp_path, reading=Reading(task=task))
    assert (dataset.task.name, dataset.task.names) == (kind, names)
    wanted = ONE_HOT.to_numpy().argmax(axis=1) if kind == "classification" else ONE_HOT.to_numpy()
    assert np.array_equal(dataset.train_labels, wanted)
    assert np.array_equal(dataset.open_test()[1], wanted[:6])


@FORMS
def test_labels_stay_labels_where_the_test_part_has_one_each(brought, samples):
    dataset, _ = brought((samples, MIXED), test=(samples[:6], ONE_HOT[:6]))
    assert dataset.task.names == ("p", "q", "r")
    assert np.array_equal(dataset.open_test()[1], ONE_HOT[:6])


@FORMS
@pytest.mark.parametrize("labels", [ONE_HOT, MIXED], ids=["one-hot", "labels"])
def test_columns_of_y_belong_together_by_their_names(brought, samples, labels):
    turned = (samples[:6], labels[:6][["r", "p", "q"]])
    dataset, _ = brought((samples, labels), test=turned)
    assert np.array_equal(dataset.open_test()[1], dataset.train_labels[:6])
    other = turned[1].rename(columns={"r": "s"})
    with pytest.raises(DataError, match="test y must have the columns of data y, p, q, r; got s,"):
        brought((samples, labels), test=(samples[:6], other))


def test_labels_of_other_names_are_other_data():
    renamed = ONE_HOT.rename(columns={"p": "s"})
    names = [
        Given.of((ROWS, labels)).name(Reading(task="multi-label")) for labels in (ONE_HOT, renamed)
    ]
    assert len(set(names)) == 2


@pytest.mark.parametrize(
    ("labels", "numbers", "names"),
    [
        (np.array([7, 3, 7, 11]), [1, 0, 1, 2], ("3", "7", "11")),
        (np.array([-1, 1, 1, -1]), [0, 1, 1, 0], ("-1", "1")),
        (np.array([2.0, 0.0, 2.0]), [1, 0, 1], ("0", "2")),
        (np.array(["no", "yes", "no"]), [0, 1, 0], ("no", "yes")),
        (np.array(["no", "yes", "no"], object), [0, 1, 0], ("no", "yes")),
        (np.array([True, False]), [1, 0], ("False", "True")),
        (np.array([True, False], object), [1, 0], ("False", "True")),
        (np.array([3, 1], object), [1, 0], ("1", "3")),
        (np.eye(3)[[2, 0, 1]], [2, 0, 1], ("0", "1", "2")),
        (np.eye(2, dtype=bool)[[1, 0]], [1, 0], ("0", "1")),
        (np.array([[5], [4]]), [1, 0], ("4", "5")),
    ],
)
def test_labels_of_any_kind_are_classes(labels, numbers, names):
    targets = Targets.of(labels, "y")
    assert (targets.task, targets.notices) == (Classification(names), ())
    assert targets.values.tolist() == numbers
    assert targets.values.dtype == np.int64


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.array([1.0, np.nan]), "number 2 has none (missing)"),
        (np.array(["a", None], object), "number 2 has none (missing)"),
        (np.array([1, "a"], object), "all of one type; got int, str"),
        (np.array([["a", "b"]]), "got several words for each sample"),
        (np.zeros((2, 2, 2)), "got float64 (2, 2, 2): targets of the samples' own shape"),
        (np.array([1.5, np.inf]), "number 2 is inf"),
        (np.array(["a", " "]), "number 2, must hold names in one line"),
        (np.array([1j, 2j]), "got complex128 (2,)"),
        (np.array(["2024-01-01"], "M8[D]"), "got datetime64[D] (1,)"),
    ],
)
def test_what_are_no_targets_is_refused_in_a_sentence(labels, said):
    with pytest.raises(DataError, match=re.escape(said)):
        Targets.of(labels, "y")


class Sparse:
    nnz, shape = 3, (4, 5)

    def toarray(self):
        raise AssertionError("it is not to be made dense")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "`data` must be arrays (X, y)"),
        (ROWS, "got a numpy.ndarray of shape (40, 3)"),
        ((ROWS, HALVES[:30]), "one label for each sample; got X float64 (40, 3) and y int64 (30,)"),
        ((ROWS,), "got a tuple of 1 entries"),
        ({"a": ROWS}, "got a dict of 1 entries"),
        ("iris.csv", "got a str"),
        (([[1, 2], [3]], [0, 1]), "its rows are of different shapes"),
        ((Sparse(), HALVES), "got a sparse Sparse of shape (4, 5): pass X.toarray()"),
        (({"a": ROWS, "b": ROWS[:30]}, HALVES), "one label for each sample; got X['a'] float64"),
        ((np.array([{}, {}], object), [0, 1]), "number 1 is of type dict"),
        ((object(), HALVES), "must be an array; got a object"),
    ],
)
def test_wrong_data_are_refused_by_type_and_shape(data, said):
    with pytest.raises(DataError) as caught:
        Given.of(data)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"groups": [1, 2]}, "`groups` must have one value for each of the 40 samples of `data`"),
        ({"weights": ["a"] * 40}, "`sample_weight` must be numbers"),
        ({"groups": [np.nan] * 40}, "some are missing"),
    ],
)
def test_what_does_not_belong_to_the_samples_is_refused(more, said):
    with pytest.raises(DataError, match=re.escape(said)):
        Given.of((ROWS, HALVES), **more)


def test_test_labels_of_unknown_classes_are_refused(brought):
    with pytest.raises(DataError, match=r"in the training part \(0, 1\); number 2 is 7"):
        brought((ROWS, HALVES), test=(ROWS[:2], [0, 7]))


def test_a_dictionary_of_one_array_and_texts_are_taken(brought):
    assert brought(({"rows": ROWS}, HALVES))[0].kind == "table"
    words = np.array([f"word {n} é" for n in range(40)], object)
    dataset, _ = brought((words, HALVES), test=False)
    assert (dataset.kind, list(dataset.train_samples)) == ("text", words.tolist())
    listed, _ = brought((words.tolist(), HALVES), test=False)
    assert list(listed.train_samples) == words.tolist()


DATASETS = """
import sys, warnings, pathlib
import keras, numpy as np, tensorflow as tf
from search.data.formats.memory import Given
X = np.random.default_rng(0).normal(size=(30, 4)).astype("float32")
y = np.arange(30) % 3
one_hot = np.eye(3)[y]

class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 3
    def __getitem__(self, at):
        return X[10 * at : 10 * at + 10], y[10 * at : 10 * at + 10]

plain = tf.data.Dataset.from_tensor_slices((X, y))
hot = tf.data.Dataset.from_tensor_slices((X, one_hot))
square = tf.data.Dataset.from_tensor_slices((X[:, :3], one_hot))
pictures = np.arange(30 * 16, dtype="uint8").reshape(30, 4, 4)
images = tf.data.Dataset.from_tensor_slices((pictures, y))
weighted = tf.data.Dataset.from_tensor_slices((X, y, np.arange(30.0)))
worded = tf.data.Dataset.from_tensor_slices((X, y.astype(str)))
steps = np.arange(30 * 4 * 2.0).reshape(30, 4, 2)
windows = tf.data.Dataset.from_tensor_slices((steps, X))
for made, x, labels in [
    (plain, X, y),
    (plain.batch(7), X, y),
    (plain.batch(10, drop_remainder=True).rebatch(4), X, y),
    (tf.data.Dataset.from_tensors((X, y)), X, y),
    (images.batch(10, drop_remainder=True), pictures, y),
    (images, pictures, y),
    (weighted.batch(10, drop_remainder=True), X, y),
    (worded.batch(10, drop_remainder=True), X, y.astype(str)),
    (windows.batch(7), steps, X),
    (plain.shuffle(30, seed=1, reshuffle_each_iteration=False), None, None),
    (hot, X, one_hot),
    (hot.batch(3, drop_remainder=True), X, one_hot),
    (square, X[:, :3], one_hot),
    (square.batch(7), X[:, :3], one_hot),
    (Batches(), X, y),
    ((tf.constant(X), tf.constant(y)), X, y),
]:
    found = Given.of(made).train
    if x is not None:
        assert np.array_equal(found.samples, x), made
        assert np.array_equal(found.labels, labels), made
assert Given.of(weighted.batch(4)).train.weights.tolist() == list(range(30))
texts = tf.data.Dataset.from_tensor_slices((["a é", "b"], [0, 1])).batch(2)
assert Given.of(texts).train.samples.tolist() == ["a é", "b"]
pairs = tf.data.Dataset.from_tensor_slices(((X, X + 1), y))
for wrong in (
    plain.repeat(),
    plain.take(0),
    tf.data.Dataset.from_tensor_slices(X),
    windows,
    plain.batch(10, drop_remainder=True),
    pairs,
):
    try:
        Given.of(wrong)
    except Exception as error:
        print(type(error).__name__, error)
"""


@pytest.mark.slow
def test_datasets_of_tensorflow_and_keras_are_gone_through_once():
    done = subprocess.run(
        [sys.executable, "-c", DATASETS], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines() == [
        "DataError `data` must end; the dataset repeats for ever: leave out .repeat()",
        "DataError `data` must yield samples; it is empty",
        "DataError `data` must yield (samples, labels), or (samples, labels, weights); it yields"
        " a tensorflow.python.framework.ops.EagerTensor of shape (4,)",
        *(
            "DataError `data` must show whether it yields batches: samples and targets of an"
            f" element have {rows} rows each, so it may be a batch of {rows} samples, or one sample"
            f" with {rows} targets. Of batches leave out drop_remainder=True, or add .rebatch(32);"
            " to single samples add .batch(32); or pass arrays (X, y)"
            for rows in (4, 10)
        ),
        "DataError `data` must yield one array of samples, or a dictionary of arrays with the names"
        " of the model's inputs; it yields a tuple of 2 entries without names",
    ]


@pytest.mark.parametrize("kind", ["table", "images", "texts"])
def test_equal_samples_are_on_one_side_of_the_test_part(brought, kind):
    made = {
        "table": ROWS[:20].repeat(2, axis=0),
        "images": np.random.default_rng(0).integers(0, 255, (20, 4, 4), np.uint8).repeat(2, axis=0),
        "texts": np.array([f"word{n} here{n}" for n in range(20)]).repeat(2),
    }[kind]
    labels = (np.arange(20) % 2).repeat(2)

    def shared(options):
        given, told = Given.of((made, labels)), []
        dataset = bring(given, home=brought.home, reading=options, notify=told.append)
        sides = [list(map(str, part)) for part in (dataset.train_samples, dataset.open_test()[0])]
        return len(set(sides[0]) & set(sides[1])), [text for text in told if "20 of 40" in text]

    assert shared(Reading())[0] == 0
    both, told = shared(Reading(allow_duplicates=True))
    assert both > 0
    assert told == []


def test_what_is_to_be_said_of_data_is_said_where_they_are_loaded_unless_a_study_goes_on(tmp_path):
    frame = pandas.DataFrame({"id": range(40), "x": ROWS[:, 0], "label": HALVES})
    for _ in range(2):
        told = []
        dataset = bring(Given.of(frame), home=tmp_path, notify=told.append)
        assert not any("counts the rows" in text for text in told)
        load(dataset.name, home=tmp_path, notify=told.append)
        assert sum("`id` counts the rows" in text for text in told) == 1
    told.clear()
    load(dataset.name, home=tmp_path, digest=dataset.digest, notify=told.append)
    assert told == []


def test_masked_values_are_missing(brought):
    masked = np.ma.masked_array(ROWS, mask=ROWS > 1)
    dataset, _ = brought((masked, HALVES), test=False)
    assert np.array_equal(np.isnan(dataset.train_samples), ROWS > 1)
    whole = np.ma.masked_array(np.arange(80).reshape(40, 2), mask=np.eye(40, 2, dtype=bool))
    dataset, _ = brought((whole, HALVES), test=False)
    assert np.isnan(dataset.train_samples).sum() == 2
    with pytest.raises(DataError, match="number 1 has none"):
        brought((ROWS, np.ma.masked_array(HALVES, mask=np.arange(40) == 0)))


DAYS = pandas.date_range("2024-01-01", periods=40, freq="D")


@pytest.mark.parametrize(
    "time",
    [
        DAYS.to_numpy(),
        DAYS.tz_localize("UTC"),
        DAYS.to_pydatetime(),
        DAYS.strftime("%Y-%m-%d").tolist(),
        DAYS - DAYS[0] + pandas.Timedelta(DAYS[0].timestamp(), "s"),
    ],
    ids=["numpy", "zone", "python", "texts", "differences"],
)
def test_times_of_any_kind_order_samples(brought, time):
    dataset, _ = brought((ROWS, HALVES), time=time, test=False)
    assert dataset.train_extra("time").tolist() == [day.timestamp() for day in DAYS]


def test_what_is_no_time_is_refused_with_a_value(brought):
    with pytest.raises(DataError, match=r"`time` must be numbers or dates.*such as 'soon'"):
        brought((ROWS, HALVES), time=["soon", *["2024-01-01"] * 39])
    with pytest.raises(DataError, match="`time` must be known for each sample"):
        brought((ROWS, HALVES), time=pandas.to_datetime([None, *["2024-01-01"] * 39]))


def test_missing_groups_are_refused_in_any_form(brought):
    for missing in (None, np.nan, pandas.NA):
        groups = np.array([missing, *range(39)], object)
        with pytest.raises(DataError, match="`groups` must have a value for each sample"):
            brought((ROWS, HALVES), groups=groups)


def test_files_and_parts_of_two_forms_are_refused_with_a_way_out(brought):
    with pytest.raises(DataError, match="Files are named with `dataset`"):
        brought("train.csv")
    named = pandas.DataFrame(ROWS, columns=list("abc"))
    with pytest.raises(DataError, match="both arrays; only `data` has names"):
        brought((named, HALVES), test=(ROWS, HALVES))


HOURS = pandas.to_timedelta(np.arange(40) * 3600, unit="s")
MONTHS = pandas.period_range("2024-01", periods=40, freq="M")


@pytest.mark.parametrize(
    ("targets", "said"),
    [
        (HOURS.to_numpy(), "got durations; say in which unit, as with y / np.timedelta64"),
        (np.array(HOURS.to_pytimedelta(), object), "got durations; say in which unit"),
        (pandas.Series(HOURS, name="y"), "got durations; say in which unit"),
        (np.array(MONTHS, object), "got periods; pass numbers such as their years"),
        (pandas.Series(MONTHS, name="y"), "got periods; pass numbers such as their years"),
        (pandas.Series(pandas.interval_range(0, 40), name="y"), "got intervals; pass numbers"),
    ],
)
@pytest.mark.parametrize("rows", [ROWS, pandas.DataFrame(ROWS, columns=list("abc"))])
def test_targets_that_are_spans_are_refused_with_what_to_pass_instead(brought, rows, targets, said):
    with pytest.raises(DataError, match=f"^y must be classes, labels or numbers.*{said}"):
        brought((rows, targets))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "class rare has only one sample"),
        ({"time": np.arange(40)}, "class rare has no sample before it"),
        ({"groups": np.arange(40) // 2}, "class rare is in too few of them"),
    ],
)
def test_a_class_that_is_too_rare_to_hold_out_is_named(brought, more, said):
    words = np.array(["often"] * 38 + ["rare"] * 2)
    if not more:
        words[38] = "often"
    with pytest.raises(DataError, match=said):
        brought((ROWS, words), **more)


def test_a_target_that_never_varies_is_refused_with_what_can_be_done(brought):
    flat = np.full(40, 1.5)
    with pytest.raises(DataError, match=r"have 1\.5\. Name another target, or give data in which"):
        brought((ROWS, flat))
    with pytest.raises(DataError, match=r"have 1\.5\. Leave it out"):
        brought((ROWS, np.stack([ROWS[:, 0], flat], axis=1)))


def test_columns_of_frames_by_input_have_their_names_and_are_matched_by_them(brought):
    source = np.random.default_rng(0)
    people = pandas.DataFrame(source.normal(size=(40, 2)), columns=["age", "height"])
    plain = source.normal(size=(40, 3))
    turned = people[["height", "age"]].assign(other=1.0)
    data = {"people": people, "plain": plain}, HALVES
    for told in (turned, people):
        dataset, _ = brought(data, test=({"people": told[:8], "plain": plain[:8]}, HALVES[:8]))
        assert [column.name for column in dataset.input("people").columns] == ["age", "height"]
        assert [column.name for column in dataset.input("plain").columns] == ["x0", "x1", "x2"]
        samples, _ = dataset.open_test()
        np.testing.assert_array_equal(samples.inputs["people"], people[:8])
    with pytest.raises(DataError, match=r"test: X\['people'\] must have .*; missing: height"):
        brought(data, test=({"people": people[["age"]], "plain": plain}, HALVES))
    with pytest.raises(DataError, match=r"both arrays; only `data` has names"):
        brought(data, test=({"people": people.to_numpy(), "plain": plain}, HALVES))
    with pytest.raises(DataError, match=r"both arrays; only `test` has names"):
        brought(data, test=({"people": people, "plain": people}, HALVES))


def test_names_of_columns_by_input_are_a_part_of_the_data():
    values = np.arange(80.0).reshape(40, 2)
    frames = [pandas.DataFrame(values, columns=list(names)) for names in ("ab", "ba")]
    given = [{"x": each, "z": HALVES} for each in (*frames, values)]
    assert len({Given.of((each, HALVES)).name(Reading()) for each in given}) == 3


def test_rows_of_an_input_in_another_order_than_the_labels_are_refused():
    frame = pandas.DataFrame({"a": ROWS[:, 0]})
    labels = pandas.Series(HALVES)
    with pytest.raises(DataError, match="the same index in another order"):
        Given.of(({"x": frame, "z": frame[::-1]}, labels))


def test_a_dictionary_of_one_frame_is_that_frame(brought):
    frame = pandas.DataFrame(ROWS, columns=[f"c{n}" for n in range(ROWS.shape[1])])
    alone, _ = brought(({"x": frame}, HALVES))
    assert alone.name == brought((frame, HALVES))[0].name
    assert alone.columns[0].name == "c0"


def test_the_columns_of_an_array_are_counted_where_some_may_be_left_out(brought):
    rows = np.column_stack([np.arange(40.0), np.arange(40.0) % 7, HALVES + np.arange(40) / 9])
    rows[3, 1] = np.nan
    dataset, _ = brought((rows, HALVES))
    assert [column.name for column in dataset.columns] == ["x1", "x2"]
    assert dataset.width == 3
    assert brought((pandas.DataFrame(rows), HALVES))[0].width == 0
