from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.data.duplicates import families
from search.data.splits import make_folds
from search.errors import SettingsError
from search.study.opening import OpenStudy, open_study, study_space
from search.study.pruners import PRUNERS
from search.study.pruners.racing import RacingPruner
from spaces.declaring import training
from tests.studies import lines_of
from tracking.history import History
from tracking.home import Home
from tracking.journal import Journal


def opened(folder: Path, texts: list[str], **asked: Any) -> tuple[OpenStudy, list[str]]:
    """Open a study of texts whose labels alternate; return it and what the user is told."""
    path = folder / "texts.npz"
    labels = np.arange(len(texts)) % 2
    test = np.array(["yes", "no"])
    np.savez(path, x_train=np.array(texts), y_train=labels, x_test=test, y_test=np.arange(2))
    told: list[str] = []
    asked = {"space": "bilstm", "dataset": f"npz:{path}", "folds": 2, **asked}
    study = open_study(asked, home=Home(folder / "home"), data_dir=None, notify=told.append)
    return study, [notice for notice in told if "parts of others" in notice]


def phrases(sentences: int) -> list[str]:
    """Return sentences of three words, each with three of its parts."""
    return [
        part.format(number)
        for number in range(sentences)
        for part in ("a{0} b{0} c{0}", "a{0} b{0}", "b{0} c{0}", "c{0}")
    ]


@pytest.mark.parametrize("limit", [None, 60])
def test_parts_of_a_text_are_in_its_fold(tmp_path: Path, limit: int | None) -> None:
    study, told = opened(tmp_path, phrases(20), limit_samples=limit)
    groups = families(study.dataset.train_samples)
    for folds in (study.folds, study.confirmation_folds()):
        assert folds.samples == (limit or 80)
        for train, validation in zip(folds.train, folds.validation, strict=True):
            assert not set(groups[train]) & set(groups[validation])
    assert told == [
        "60 of 80 texts are parts of others or equal to them;"
        " each stays in one fold with the text that contains it"
    ]


@pytest.mark.parametrize(("others", "is_told"), [(98, True), (99, False)])
def test_from_one_part_in_a_hundred_on_the_user_is_told(
    tmp_path: Path, others: int, is_told: bool
) -> None:
    texts = ["good fun", "fun", *(f"w{number}" for number in range(others))]
    study, told = opened(tmp_path, texts)
    assert [notice.split(" texts")[0] for notice in told] == ["1 of 100"] * is_told
    assert all({0, 1} <= set(part) or not {0, 1} & set(part) for part in study.folds.train)


def test_texts_that_stand_alone_are_dealt_as_any_samples(tmp_path: Path) -> None:
    study, told = opened(tmp_path, [f"w{number} end{number}" for number in range(40)])
    assert told == []
    plain = make_folds(study.dataset.train_labels, folds=2, seed=0)
    assert study.folds.digest == plain.digest


def test_a_family_that_makes_folds_unequal_is_told(tmp_path: Path) -> None:
    words = " ".join(f"w{number}" for number in range(40))
    parts = [words, *(" ".join(words.split()[: 2 + n]) for n in range(38))]
    others = [f"x{number} y{number}" for number in range(21)]
    folder = tmp_path / "data"
    folder.mkdir()
    told: list[str] = []
    path = folder / "texts.npz"
    labels = np.arange(60) % 2
    np.savez(path, x_train=[*parts, *others], y_train=labels, x_test=["yes", "no"], y_test=[0, 1])
    asked = {"space": "bilstm", "dataset": f"npz:{path}", "folds": 3}
    open_study(asked, home=Home(tmp_path / "home"), data_dir=None, notify=told.append)
    [notice] = [text for text in told if text.startswith("Folds are unequal")]
    assert "the largest is 39 of 60 samples" in notice
    assert "an even share is 20" in notice


ROWS = """
from spaces import Int, Space, TableInput


def build(parameters, data):
    raise NotImplementedError


SPACE = Space(name="rows", inputs=TableInput(), parameters=(Int("units", 4, 8),), build=build)
"""


@pytest.mark.slow
def test_a_space_without_a_dataset_asks_for_one_and_takes_one(tmp_path: Path) -> None:
    (tmp_path / "rows.py").write_text(ROWS)
    (tmp_path / "t.csv").write_text("label,x\n" + "".join(f"{n % 2},{n / 2}\n" for n in range(20)))
    asked = {"space": f"{tmp_path / 'rows.py'}:SPACE", "folds": 2}
    home = Home(tmp_path / "home")
    with pytest.raises(SettingsError) as caught:
        open_study(asked, home=home, data_dir=None, notify=print)
    assert "space rows has no dataset of its own; name one of table samples" in str(caught.value)
    assert "`--dataset`" in str(caught.value)
    asked["dataset"] = f"csv:{tmp_path / 't.csv'}"
    study = open_study(asked, home=home, data_dir=None, notify=print)
    assert study.settings.study == "rows-t"


@pytest.mark.slow
def test_an_entry_in_the_table_is_all_that_a_pruner_needs_to_let_trials_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Patient(RacingPruner):
        pass

    monkeypatch.setitem(PRUNERS, "patient", Patient)
    for name, pruner in PRUNERS.items():
        study, _ = opened(tmp_path, phrases(4), pruner=name)
        assert study.start.settings["pruner"] == name
        assert History.of([study.start]).races == pruner.waits
    assert History.of([study.start]).races


@pytest.mark.slow
@pytest.mark.parametrize("adapts", [True, False])
def test_a_study_of_an_earlier_version_goes_on_without_the_baselines_it_left_out(
    tmp_path: Path, adapts: bool
) -> None:
    asked = {"space": "mlp", "dataset": "digits", "set": {"dropout": "0.2"}}
    home = Home(tmp_path)
    study = open_study(asked, home=home, data_dir=None, notify=print)
    assert len(study.narrowed.baselines) == 2
    start = replace(study.start, adapts_baselines=adapts)
    study.folder.root.mkdir(parents=True)
    study.folder.journal.write_bytes(b"".join(lines_of([start])))
    again = open_study(asked, home=home, data_dir=None, notify=print)
    assert not again.is_new
    assert len(again.narrowed.baselines) == (2 if adapts else 0)


def test_a_study_goes_on_that_began_before_there_was_a_training_choice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"w{number} end{number}" for number in range(40)]
    with monkeypatch.context() as patched:
        earlier = tuple(choice for choice in training.COMPILING if choice.name != "ema")
        patched.setattr(training, "COMPILING", earlier)
        before = opened(tmp_path, texts, study="old")[0]
        before.folder.root.mkdir(parents=True)
        with Journal(before.folder.journal) as journal:
            journal.append(before.start)
    now = opened(tmp_path, texts, study="old")[0]
    assert not now.is_new
    assert now.narrowed.space.names() == before.narrowed.space.names()
    assert now.narrowed.baselines == before.narrowed.baselines
    history = now.reader.history
    assert study_space(history, now.dataset, Home(tmp_path / "home"))[1].names() == (
        before.narrowed.space.names()
    )
    assert "ema" in opened(tmp_path, texts, study="new")[0].narrowed.space.names()
