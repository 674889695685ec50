import json

import pytest

from search.errors import DataError
from search.model_folder import Labels, ModelFolder

LABELS = Labels(
    classes=("a", "b"), input_shape=(32, 32, 1), native_shape=(28, 28, 1), background=1.5
)


def test_labels_come_back_from_disk(tmp_path):
    folder = ModelFolder(tmp_path)
    folder.write("labels.json", json.dumps(LABELS.to_json()))
    assert folder.labels() == LABELS
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
