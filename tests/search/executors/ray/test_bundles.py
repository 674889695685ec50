import json
from pathlib import Path

import numpy as np
import pytest

from search.data import Dataset
from search.executors.ray.bundles import (
    CODE,
    PIECE_BYTES,
    Parcel,
    code_files,
    dataset_parcel,
    place,
    reference_at,
    study_parcel,
)
from tests.search.executors.contract import make_study


@pytest.fixture
def study(tmp_path):
    return make_study(tmp_path / "home")


def placed(parcel, root):
    root.mkdir(parents=True, exist_ok=True)
    return place(parcel.bundle, root, lambda bundle: parcel.pieces())


def test_a_placed_dataset_opens_with_the_same_training_samples(study, tmp_path):
    work, _ = study
    there = Dataset.open(placed(dataset_parcel(Path(work.dataset)), tmp_path / "node"))
    here = Dataset.open(Path(work.dataset))
    assert there.digest == here.digest
    np.testing.assert_array_equal(there.train_images, here.train_images)
    np.testing.assert_array_equal(there.train_labels, here.train_labels)


def test_the_test_set_stays_at_home(study, tmp_path):
    work, _ = study
    samples, labels = Dataset.open(
        placed(dataset_parcel(Path(work.dataset)), tmp_path / "node")
    ).open_test()
    assert len(samples) == len(labels) == 0


def test_a_study_travels_with_its_folds_and_its_digest_tells_them_apart(study, tmp_path):
    work, folder = study
    first = study_parcel(work)
    there = placed(first, tmp_path / "node")
    assert (there / "folds.npz").read_bytes() == folder.folds.read_bytes()
    assert (there / "further_folds.npz").read_bytes() == folder.confirmation_folds.read_bytes()
    assert study_parcel(work).bundle == first.bundle
    folder.confirmation_folds.unlink()
    assert study_parcel(work).bundle.digest != first.bundle.digest


def test_a_long_file_comes_in_pieces(tmp_path):
    path = tmp_path / "long"
    path.write_bytes(bytes(PIECE_BYTES) + b"end")
    pieces = list(Parcel.of({"long": path, "empty": b""}, "0").pieces())
    assert [(name, len(piece)) for name, piece in pieces] == [
        ("long", PIECE_BYTES),
        ("long", 3),
        ("empty", 0),
    ]


def test_a_space_of_ones_own_travels_with_the_modules_beside_it(tmp_path):
    home = tmp_path / "declarations"
    home.mkdir()
    beside = [tmp_path / "my_space.py", tmp_path / "layers_of_mine.py", tmp_path / "sub" / "x.py"]
    for path in beside:
        path.parent.mkdir(exist_ok=True)
        path.write_text("")
    sources = {str(path): "" for path in (*beside, np.__file__, tmp_path / "gone.py")}
    (home / "one.json").write_text(json.dumps({"sources": sources}))
    (home / "broken.json").write_text("{")
    (home / "another.json").write_text(json.dumps({"sources": {str(tmp_path / "other.py"): ""}}))
    reference = f"{tmp_path / 'my_space.py'}:SPACE"
    files = code_files(reference, home)
    assert files == {str(path.relative_to(tmp_path)): path for path in beside}
    assert reference_at(reference, tmp_path / CODE) == f"{tmp_path / CODE}/my_space.py:SPACE"


def test_a_module_beside_the_user_travels_and_an_installed_one_does_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = tmp_path / "mine" / "space.py"
    module.parent.mkdir()
    module.write_text("")
    for number, file in enumerate((str(module), np.__file__)):
        (tmp_path / f"{number}.json").write_text(json.dumps({"sources": {file: ""}}))
    assert code_files("mine.space:SPACE", tmp_path) == {"mine/space.py": module}
    assert code_files("numpy:array", tmp_path) == {}
    assert code_files("lenet", tmp_path) == {}
    assert reference_at("mine.space:SPACE", tmp_path) == "mine.space:SPACE"


@pytest.mark.parametrize(
    ("marker", "module"),
    [
        ("env/pyvenv.cfg", "env/lib/python3.11/site-packages/package/layers.py"),
        ("env/pyvenv.cfg", "env/share/space.py"),
        ("README", "lib/python3/dist-packages/package/layers.py"),
        ("README", "vendored/site-packages/layers.py"),
    ],
)
def test_what_lies_in_an_environment_below_the_users_folder_is_not_the_users_own(
    tmp_path, monkeypatch, marker, module
):
    user = tmp_path / "user"
    monkeypatch.setenv("PYTHONPATH", str(user))
    paths = [user / "my_space.py", user / "beside.py", user / module]
    for path in (*paths, user / marker):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    (tmp_path / "one.json").write_text(json.dumps({"sources": {str(path): "" for path in paths}}))
    files = code_files(f"{paths[0]}:SPACE", tmp_path)
    assert files == {"my_space.py": paths[0], "beside.py": paths[1]}


def test_a_user_whose_own_folder_lies_within_an_environment_keeps_the_modules_beside_the_space(
    tmp_path,
):
    environment = tmp_path / "env"
    project = environment / "project"
    project.mkdir(parents=True)
    (environment / "pyvenv.cfg").write_text("")
    paths = [project / "my_space.py", project / "beside.py"]
    for path in paths:
        path.write_text("")
    (tmp_path / "one.json").write_text(json.dumps({"sources": {str(path): "" for path in paths}}))
    files = code_files(f"{paths[0]}:SPACE", tmp_path)
    assert files == {path.name: path for path in paths}
