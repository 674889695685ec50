import json
import zipfile

import numpy as np
import pytest

from search.data.inputs import ImageEncoder, TableEncoder, TextEncoder
from search.data.reading import Column, Reading
from search.errors import DataError
from search.export.folder import ModelFolder
from search.export.labels import Labels
from search.tasks import Classification, LabelOutputs, MultiLabel, NumberOutputs, Regression

COLUMNS = (Column("width"), Column("height"))
IMAGES = Labels(
    Classification(("a", "b")), encoder=ImageEncoder((28, 28, 1), (32, 32, 1)), background=1.5
)
TEXTS = Labels(Classification(("a", "b")), encoder=TextEncoder(("good", "bad"), length=5, size=10))
ROWS = Labels(
    Classification(("a", "b")),
    encoder=TableEncoder((1.0, 2.0), (3.0, 4.0)),
    columns=COLUMNS,
)


MIXED = Labels(
    Classification(("sick", "well")),
    encoder=TableEncoder(
        (40.25, 0.0, 0.5, 1.7e9),
        (9.5, 1.0, 0.5, 1.0),
        (0, 3, 0, 0),
        (0.1, 1.0, 0.0, None),
        ((1, 2),),
    ),
    columns=(
        Column("age", decimal=",", thousands=True),
        Column("city", "category", ("bergen", "oslo", "voss")),
        Column("alive", "truth", ("no", "yes")),
        Column("seen", "date"),
    ),
    reading=Reading(target="health", header="none", decimal=","),
)


NUMBERS = Labels(
    Regression(("price", "age")),
    encoder=TableEncoder((1.0, 2.0), (3.0, 4.0)),
    columns=COLUMNS,
    outputs=NumberOutputs((2.5, 1.0), (10.0, -1.0)),
    reading=Reading(target=("price", "age"), task="regression"),
)
TAGS = Labels(
    MultiLabel(("new", "long")),
    encoder=TextEncoder(("good", "bad"), length=5, size=10),
    outputs=LabelOutputs("logits"),
)


@pytest.mark.parametrize("labels", [IMAGES, TEXTS, ROWS, MIXED, NUMBERS, TAGS])
def test_labels_come_back_from_disk(tmp_path, labels):
    folder = ModelFolder(tmp_path)
    folder.write("labels.json", json.dumps(labels.to_json()))
    assert folder.labels() == labels
    assert [path.name for path in tmp_path.iterdir()] == ["labels.json"]


# As an earlier version wrote it for a table of two columns.
FIRST = """{
  "classes": ["0", "1"],
  "input": {
    "kind": "table",
    "means": [5.587499996026357, 115.443750222524],
    "deviations": [2.091834832046969, 10.488285516000776]
  },
  "background": 0.0,
  "columns": ["weight", "length"],
  "outputs": "probabilities",
  "threshold": 0.5,
  "files": {
    "model.keras": {
      "sha256": "d54de5c33d02bee6c3289230d2bab150f5be8e9a4a4f0bcd90893bf28eb44091",
      "bytes": 55742
    }
  }
}
"""


def test_labels_of_the_first_version_are_read_and_encode_as_they_did(tmp_path):
    (tmp_path / "labels.json").write_text(FIRST)
    labels = ModelFolder(tmp_path).labels()
    assert labels.columns == (Column("weight"), Column("length"))
    assert labels.reading == Reading()
    rows = np.array([[3.5, 101.25], [7.9, 130.0]], np.float32)
    expected = (rows.astype(np.float64) - labels.encoder.means) / labels.encoder.deviations
    np.testing.assert_array_equal(labels.encoder.encode(rows), expected.astype(np.float32))


@pytest.mark.parametrize(
    ("labels", "change"),
    [
        (NUMBERS, {"scale": [1.0]}),
        (NUMBERS, {"scale": [0.0, 1.0]}),
        (NUMBERS, {"offset": [float("nan"), 1.0]}),
        (NUMBERS, {"outputs": "logits"}),
        (TAGS, {"outputs": "scores"}),
        (TAGS, {"outputs": "sigmoid logits"}),
        (TAGS, {"task": "ranking"}),
        (IMAGES, {"outputs": "numbers"}),
        (IMAGES, {"threshold": float("inf")}),
        (NUMBERS, {"reading": {"target": ["price", 3]}}),
    ],
)
def test_outputs_that_do_not_fit_their_task_are_refused(tmp_path, labels, change):
    (tmp_path / "labels.json").write_text(json.dumps({**labels.to_json(), **change}))
    with pytest.raises(DataError, match=r"labels\.json is damaged"):
        ModelFolder(tmp_path).labels()


def test_labels_of_a_later_version_are_refused(tmp_path):
    document = {**ROWS.to_json(), "version": 5}
    (tmp_path / "labels.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match="version 5 is unknown: another version wrote it"):
        ModelFolder(tmp_path).labels()


FAULTS = {
    "categories": [[0, 2, 0, 0], [0, 3, 0], [], "abc", None, [3, 0, 0, 0]],
    "missing": [[0.1], [2.0, None, None, None], [float("nan"), None, None, None], 3],
    "unseen": [[[1, 3]], [[4, 0]], [[0, 0]], [[-1, 0]], [[1, -1]], [[1]], 5],
    "means": [[1.0] * 3],
    "deviations": [[1.0, 0.0, 1.0, 1.0]],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in FAULTS.items() for value in values]
)
def test_an_encoder_that_does_not_fit_its_columns_is_refused(tmp_path, name, value):
    document = MIXED.to_json()
    document["input"][name] = value
    (tmp_path / "labels.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match=r"labels\.json is damaged"):
        ModelFolder(tmp_path).labels()


@pytest.mark.parametrize(
    "column",
    [
        {"name": "age"},
        {"name": 3, "type": "number"},
        {"name": "age", "type": "code"},
        {"name": "age", "type": "number", "categories": ["a"]},
        {"name": "age", "type": "truth", "categories": ["a"]},
        {"name": "age", "type": "number", "categories": 3},
        3,
    ],
)
def test_a_column_of_no_known_type_is_refused(tmp_path, column):
    document = MIXED.to_json()
    document["columns"][0] = column
    (tmp_path / "labels.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match=r"labels\.json is damaged"):
        ModelFolder(tmp_path).labels()


@pytest.mark.parametrize("reading", [3, ["a"], {"decimal": 3}, {"target": None}])
def test_a_reading_that_says_nothing_readable_is_refused(tmp_path, reading):
    document = {**MIXED.to_json(), "reading": reading}
    (tmp_path / "labels.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match=r"labels\.json is damaged"):
        ModelFolder(tmp_path).labels()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"classes": ["a"]}', '{"classes": 3}'])
def test_damaged_labels_are_refused_with_the_remedy(tmp_path, content):
    (tmp_path / "labels.json").write_text(content)
    with pytest.raises(DataError, match=r"labels\.json is damaged.*foldwise export STUDY --out"):
        ModelFolder(tmp_path).labels()


HUGE = 10**400
NONSENSE = {
    "classes": [[], "ab", {"a": 1, "b": 2}, None, ["a", 3], ["a"] * 200_000],
    "background": [float("nan"), float("inf"), -1, 1e9, HUGE, [], "x", None],
    "columns": ["ab", [1], {}, None],
    "outputs": ["code", None, []],
    "input": [
        None,
        [],
        {"kind": "pickle"},
        {"kind": ["image"]},
        {"kind": "image", "native_shape": [10**9, 10**9, 1], "input_shape": [8, 8, 1], "scaled": 0},
        {"kind": "image", "native_shape": [8, 8, 1], "input_shape": [0, 8, 1], "scaled": 0},
        {"kind": "image", "native_shape": [8, 8, 2], "input_shape": [8, 8, 1], "scaled": 0},
        {"kind": "image", "native_shape": [8, 8, HUGE], "input_shape": [8, 8, 1], "scaled": 0},
        {"kind": "image", "native_shape": [8, 8, float("inf")], "input_shape": [8, 8, 1]},
        {"kind": "text", "vocabulary": [], "length": 10**12, "size": 3},
        {"kind": "text", "vocabulary": 3, "length": 5, "size": 3},
        {"kind": "table", "means": [1.0], "deviations": [1.0, 2.0]},
        {"kind": "table", "means": [float("nan")], "deviations": [1.0]},
        {"kind": "table", "means": [HUGE], "deviations": [0.0]},
    ],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in NONSENSE.items() for value in values]
)
def test_labels_that_no_export_wrote_are_refused(tmp_path, name, value):
    document = {**IMAGES.to_json(), name: value}
    (tmp_path / "labels.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match=r"labels\.json is damaged") as caught:
        ModelFolder(tmp_path).labels()
    assert len(str(caught.value)) < 1000


def test_a_table_needs_a_name_for_each_column(tmp_path):
    document = {**ROWS.to_json(), "columns": ["width"]}
    (tmp_path / "labels.json").write_text(json.dumps(document))
    with pytest.raises(DataError, match="every column must have a name"):
        ModelFolder(tmp_path).labels()


@pytest.mark.parametrize("content", ["[" * 100_000, '{"classes": ' * 100_000, "9" * 5000])
def test_documents_nested_without_end_are_refused(tmp_path, content):
    for name in ("labels.json", "metrics.json"):
        (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=r"labels\.json is damaged"):
        ModelFolder(tmp_path).labels()
    assert ModelFolder(tmp_path).metrics() == {}


@pytest.mark.slow
def test_a_document_too_large_to_be_one_is_refused_unread(tmp_path):
    for name in ("labels.json", "metrics.json"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(200 << 20)
    with pytest.raises(DataError, match="more than 67,108,864 bytes"):
        ModelFolder(tmp_path).labels()
    assert ModelFolder(tmp_path).metrics() == {}


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    for reader in (ModelFolder(tmp_path / "absent").labels, ModelFolder(tmp_path).model_sha256):
        with pytest.raises(DataError, match="is not an exported model"):
            reader()


@pytest.mark.slow
def test_only_an_archive_of_a_model_without_code_is_loaded(tmp_path):
    import keras
    from keras import layers

    folder = ModelFolder(tmp_path)
    keras.Sequential([layers.Input((4,)), layers.Dense(2)]).save(folder.model)
    assert folder.load().input_shape == (None, 4)

    model = keras.Sequential([layers.Input((4,)), layers.Dense(2)])
    model.add(layers.Lambda(lambda x: x * 2))
    model.save(folder.model)
    with pytest.raises(
        DataError, match="contains code, such as a Lambda layer, which is never run"
    ):
        folder.load()

    content = json.dumps(keras.saving.serialize_keras_object(layers.Dense(2)))
    with zipfile.ZipFile(folder.model, "w") as archive:
        for name, text in {"config.json": content, "metadata.json": "{}"}.items():
            archive.writestr(name, text)
    with pytest.raises(DataError, match=r"model\.keras (is damaged|holds a Dense)"):
        folder.load()

    content = json.dumps({"module": "os", "class_name": "system", "config": "touch run"})
    with zipfile.ZipFile(folder.model, "w") as archive:
        for name, text in {"config.json": content, "metadata.json": "{}"}.items():
            archive.writestr(name, text)
    with pytest.raises(DataError, match=r"model\.keras is damaged"):
        folder.load()
