from pathlib import Path

import numpy as np
import pytest

from search.data import load
from search.errors import SettingsError

TABLE = "label,x\n" + "".join(f"{i % 2},{i * i}\n" for i in range(10))


@pytest.mark.parametrize("name", ["csw:a.csv", "csv:", "folder: ", "Csv:a.csv", ":x"])
def test_a_reference_must_have_a_known_format_and_something_behind_it(
    home: Path, name: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        load(name, home=home)
    kind = name.partition(":")[0]
    rule = f"after {kind}:" if kind in ("csv", "folder") else "KIND:NAME"
    assert rule in str(caught.value)
    assert repr(name) in str(caught.value)


def test_a_reference_means_the_same_in_every_working_folder(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "t.csv").write_text(TABLE)
    monkeypatch.chdir(tmp_path)
    first = load("csv:a/t.csv", home=home)
    monkeypatch.chdir(tmp_path / "a")
    told: list[str] = []
    second = load("csv: ../a/t.csv", home=home, notify=told.append)
    assert first == second
    assert tuple(told) == first.notices
    assert first.name == f"csv:{tmp_path}/a/t.csv"
    assert first.title == "t"


def test_the_users_folder_may_be_written_as_a_tilde(tmp_path: Path, home: Path) -> None:
    (tmp_path / "user").mkdir()
    (tmp_path / "user" / "t.csv").write_text(TABLE)
    assert load("csv:~/t.csv", home=home).name == f"csv:{tmp_path}/user/t.csv"


def test_only_after_csv_does_a_comma_part_two_paths(tmp_path: Path, home: Path) -> None:
    path = tmp_path / "a,b.npz"
    np.savez(path, X=np.arange(20.0).reshape(10, 2), y=np.arange(10) % 2)
    assert load(f"npz:{path}", home=home).name == f"npz:{path}"


def test_two_references_are_kept_apart(tmp_path: Path, home: Path) -> None:
    for name in ("a", "b"):
        rows = "".join(f"{i % 2},{i * ord(name)}\n" for i in range(10))
        (tmp_path / f"{name}.csv").write_text(f"label,x\n{rows}")
    first, second = (load(f"csv:{tmp_path}/{name}.csv", home=home) for name in ("a", "b"))
    assert first.folder != second.folder
    assert load(f"csv:{tmp_path}/a.csv", home=home) == first


def test_an_unknown_dataset_is_told_of_near_names_and_of_files_that_are_there(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("train.csv").write_text(TABLE)
    Path("pictures").mkdir()
    told = {
        "fashon": "did you mean fashion_mnist?",
        "train.csv": "did you mean the file, csv:train.csv?",
        "pictures": "did you mean the folder, folder:pictures?",
        "nothing": "data of your own are named as in csv:FILE or folder:DIR",
    }
    for name, remedy in told.items():
        with pytest.raises(SettingsError) as caught:
            load(name, home=home)
        assert str(caught.value).startswith(f"no dataset is called {name!r}; ")
        assert str(caught.value).endswith(remedy)
