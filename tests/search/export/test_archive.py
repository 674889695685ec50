import json
import warnings
import zipfile

import pytest

from search.errors import DataError
from search.export.archive import fault_in_archive
from search.export.folder import ModelFolder

MEMBERS = {"metadata.json": "{}", "config.json": "{}", "model.weights.h5": "weights"}


def archive(tmp_path, members=MEMBERS, packing=zipfile.ZIP_STORED):
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w", packing) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two members of one name
        for name, content in members.items() if isinstance(members, dict) else members:
            file.writestr(name, content)
    return path


def test_an_archive_as_keras_writes_it_has_no_fault(tmp_path):
    assert fault_in_archive(archive(tmp_path)) == ""
    assert fault_in_archive(archive(tmp_path, {**MEMBERS, "assets/words/a.txt": "x"})) == ""


@pytest.mark.parametrize(
    "name",
    ["../x", "/etc/x", "assets/../../x", "a\\..\\x", "evil.py", "model.pkl", "assets\\..\\x"],
)
def test_a_member_that_keras_would_not_write_is_a_fault(tmp_path, name):
    fault = fault_in_archive(archive(tmp_path, {**MEMBERS, name: "x"}))
    assert "would not have written" in fault


def test_a_name_that_stands_twice_is_a_fault(tmp_path):
    assert "twice" in fault_in_archive(archive(tmp_path, [*MEMBERS.items(), ("config.json", "{}")]))


@pytest.mark.slow
def test_a_bomb_is_a_fault(tmp_path):
    bomb = {**MEMBERS, "model.weights.h5": bytes(300 << 20)}
    path = archive(tmp_path, bomb, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 1 << 20
    assert " to 314,5" in fault_in_archive(path)


@pytest.mark.parametrize(
    "config", ["", "[]", "{", "[" * 200_000, "1" * 5000, "\ud800".encode("utf-8", "surrogatepass")]
)
def test_a_damaged_configuration_is_a_fault(tmp_path, config):
    assert fault_in_archive(archive(tmp_path, {**MEMBERS, "config.json": config}))


@pytest.mark.parametrize("content", [b"", b"PK but no archive", b"\x89HDF\r\n\x1a\n" + bytes(99)])
def test_what_is_no_archive_is_refused_without_keras(tmp_path, content):
    (tmp_path / "model.keras").write_bytes(content)
    with pytest.raises(DataError, match=r"model\.keras is damaged: it must be a Keras archive"):
        ModelFolder(tmp_path).load()


@pytest.mark.parametrize("name", ["model.h5", "saved_model.pb", "model.pkl", "weights.pt"])
def test_other_formats_are_named_and_not_opened(tmp_path, name):
    (tmp_path / name).write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(DataError, match=rf"there is no model\.keras; {name} is not opened"):
        ModelFolder(tmp_path).load()


def test_a_folder_called_as_the_archive_is_refused(tmp_path):
    (tmp_path / "model.keras").mkdir()
    (tmp_path / "model.keras" / "config.json").write_text(json.dumps({}))
    with pytest.raises(DataError, match=r"there is no model\.keras"):
        ModelFolder(tmp_path).load()
