import json

import pytest

from search.encoding import ImageEncoder, TableEncoder, TextEncoder
from search.errors import DataError
from search.model_folder import Labels, ModelFolder

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


def test_a_folder_that_is_no_model_is_refused(tmp_path):
    for reader in (ModelFolder(tmp_path / "absent").labels, ModelFolder(tmp_path).model_sha256):
        with pytest.raises(DataError, match="is no exported model"):
            reader()


@pytest.mark.slow
def test_a_damaged_archive_is_refused(tmp_path):
    (tmp_path / "model.keras").write_bytes(b"PK but no archive")
    with pytest.raises(DataError, match=r"model\.keras is damaged"):
        ModelFolder(tmp_path).load()
    (tmp_path / "model.keras").unlink()
    with pytest.raises(DataError, match=r"there is no model\.keras"):
        ModelFolder(tmp_path).load()
