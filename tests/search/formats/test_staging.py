import pytest

from search.errors import SettingsError
from search.formats.staging import publish, staged


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def export(target, *files, overwrite=False, fails=False):
    with staged(target, overwrite=overwrite) as staging:
        for name in files:
            path = staging / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"new {name}")
        if fails:
            raise RuntimeError("the training failed")
        publish(staging, target)


def test_a_new_folder_gets_all_files_and_nothing_else(tmp_path):
    target = tmp_path / "exports" / "new"
    export(target, "model.keras", "labels.json", "saved_model/saved_model.pb")
    kept = ["labels.json", "model.keras", "saved_model", "saved_model/saved_model.pb"]
    assert names(target) == kept


def test_a_failed_export_leaves_no_folder_behind(tmp_path):
    with pytest.raises(RuntimeError):
        export(tmp_path / "exports" / "new", "model.keras", fails=True)
    assert names(tmp_path) == []


def test_a_failed_export_leaves_the_older_model_as_it_was(tmp_path):
    export(tmp_path, "model.keras", "model.onnx")
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    (tmp_path / "model.keras").write_text("old")
    with pytest.raises(RuntimeError):
        export(tmp_path, "model.keras", "model.onnx", overwrite=True, fails=True)
    assert names(tmp_path) == sorted(before)
    assert (tmp_path / "model.keras").read_text() == "old"


def test_formats_of_the_older_model_go_and_files_of_the_user_stay(tmp_path):
    export(tmp_path, "model.keras", "model.onnx", "vocabulary.txt", "saved_model/variables")
    (tmp_path / "thesis.txt").write_text("precious")
    export(tmp_path, "model.keras", "model.tflite", overwrite=True)
    assert names(tmp_path) == ["model.keras", "model.tflite", "thesis.txt"]


def test_what_a_stopped_export_left_is_no_reason_to_refuse_and_goes(tmp_path):
    (tmp_path / ".new-abc").mkdir()
    (tmp_path / ".new-abc" / "model.keras").touch()
    export(tmp_path, "model.keras")
    assert names(tmp_path) == ["model.keras"]


def test_targets_that_cannot_be_used_are_refused(tmp_path):
    export(tmp_path / "old", "model.keras")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").touch()
    (tmp_path / "file").touch()
    for name, told in (
        ("old", "holds a model already; replace it with `--overwrite`"),
        ("other", "holds other things; name a new folder"),
        ("file", "cannot be written .* name another folder"),
        ("file/inside", "cannot be written"),
    ):
        with pytest.raises(SettingsError, match=told):
            export(tmp_path / name, "model.keras")
