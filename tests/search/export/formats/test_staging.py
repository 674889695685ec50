import itertools
import shutil
from pathlib import Path

import pytest

from search.data.inputs import ImageEncoder
from search.errors import DataError, SettingsError
from search.export.folder import ModelFolder
from search.export.formats.writing import publish, staged
from search.export.labels import Labels
from search.tasks import Classification


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
        ("old", "already contains a model; replace it with `--overwrite`"),
        ("other", "contains other files; name a new folder"),
        ("file", "cannot be written .* name another folder"),
        ("file/inside", "cannot be written"),
    ):
        with pytest.raises(SettingsError, match=told):
            export(tmp_path / name, "model.keras")


# Killed in the middle.


class Killed(BaseException):
    """As if the process had been killed."""


def model_of(name):
    """Return the content of `model.keras` and the labels of a model."""
    encoder = ImageEncoder((8, 8, 1), (8, 8, 1))
    return f"model {name}", Labels(Classification((f"{name} 1", f"{name} 2")), encoder=encoder)


def write(target, name, *, files=("model.onnx", "saved_model/saved_model.pb")):
    content, labels = model_of(name)
    with staged(target, overwrite=True) as staging:
        for file in files:
            (staging / file).parent.mkdir(exist_ok=True)
            (staging / file).write_text(f"{file} {name}")
        (staging / "model.keras").write_text(content)
        ModelFolder(staging).write_labels(labels)
        publish(staging, target)
    for file in ("metrics.json", "MODEL_CARD.md"):
        (target / file).write_text(name)


def killed_at(monkeypatch, number, action):
    """Do something and kill it at its n-th change of a file; say whether it came to that."""
    changes = itertools.count(1)

    def counted(change):
        def changed(*arguments, **options):
            if next(changes) >= number:
                raise Killed
            return change(*arguments, **options)

        return changed

    with monkeypatch.context() as patch:
        for place, name in ((Path, "replace"), (Path, "unlink"), (shutil, "rmtree")):
            patch.setattr(place, name, counted(getattr(place, name)))
        try:
            action()
        except Killed:
            return True
    return False


@pytest.mark.slow
def test_an_overwritten_model_is_the_old_one_the_new_one_or_refused(tmp_path, monkeypatch):
    outcomes = []
    for number in itertools.count(1):
        target = tmp_path / str(number)
        write(target, "old")
        (target / "thesis.txt").write_text("precious")
        was_killed = killed_at(monkeypatch, number, lambda target=target: write(target, "new"))
        outcomes.append(whose(target))
        write(target, "new")
        assert whose(target) == "new"
        assert (target / "thesis.txt").read_text() == "precious"
        assert not list(target.glob(".new-*"))
        if not was_killed:
            break
    assert outcomes == sorted(outcomes, key=["old", "refused", "new"].index)
    assert set(outcomes) == {"old", "refused", "new"}


def whose(target):
    """Return whose model and labels a folder has; no other file may be of another model."""
    folder = ModelFolder(target)
    told = folder.labels().task.names[0].split()[0]
    for path in (target / "model.onnx", target / "saved_model" / "saved_model.pb"):
        assert not path.exists() or path.read_text().endswith(told)
    try:
        folder.check_model()
    except DataError:
        return "refused"
    assert (folder.model.read_text(), folder.labels()) == model_of(told)
    for name in ("metrics.json", "MODEL_CARD.md"):
        assert not (target / name).exists() or (target / name).read_text() == told
    return told


@pytest.mark.parametrize("number", range(1, 12))
def test_a_first_export_that_was_killed_can_be_repeated(tmp_path, monkeypatch, number):
    target = tmp_path / "model"
    killed_at(monkeypatch, number, lambda: write(target, "new"))
    write(target, "new")
    assert (ModelFolder(target).model.read_text(), ModelFolder(target).labels()) == model_of("new")


def test_a_copy_that_lacks_the_new_model_is_refused(tmp_path):
    for name in ("old", "new"):
        write(tmp_path / name, name)
    shutil.copy(tmp_path / "new" / "labels.json", tmp_path / "old")
    with pytest.raises(DataError, match=r"its model\.keras is not the one that labels\.json"):
        ModelFolder(tmp_path / "old").load()


def test_a_model_exported_before_there_were_digests_is_not_refused(tmp_path):
    folder = ModelFolder(tmp_path)
    folder.model.write_text("model")
    folder.check_model()
    folder.write("labels.json", '{"classes": ["a"]}')
    folder.check_model()
