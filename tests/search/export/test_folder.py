import json
import zipfile

import pytest

from search.data.inputs import ImageEncoder, TableEncoder, TextEncoder
from search.errors import DataError
from search.export.folder import Labels, ModelFolder

IMAGES = Labels(classes=("a", "b"), encoder=ImageEncoder((28, 28, 1), (32, 32, 1)), background=1.5)
TEXTS = Labels(classes=("a", "b"), encoder=TextEncoder(("good", "bad"), length=5, size=10))
ROWS = Labels(
    classes=("a", "b"), encoder=TableEncoder((1.0, 2.0), (3.0, 4.0)), columns=("width", "height")
)


@pytest.mark.parametrize("labels", [IMAGES, TEXTS, ROWS])
def test_labels_come_back_from_disk(tmp_path, labels):
    folder = ModelFolder(tmp_path)
    folder.write("labels.json", json.dumps(labels.to_json()))
    assert folder.labels() == labels
    assert [path.name for path in tmp_path.iterdir()] == ["labels.json"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"classes": ["a"]}', '{"classes": 3}'])
def test_damaged_labels_are_refused_with_the_remedy(tmp_path, content):
    (tmp_path / "labels.json").write_text(content)
    with pytest.raises(DataError, match=r"labels\.json is damaged.*search export STUDY --to"):
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
