"""Which study a command without a name means."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search import SettingsError
from search.study.opening import OpenStudy, open_study
from tracking.event_log import EventLog
from tracking.history import History
from tracking.home import Home

PLAIN = {"space": "mlp", "dataset": "digits", "folds": 2}


@pytest.fixture
def begin(tmp_path: Path):
    """Open a study as `run` does, and write its first record; return what was told, too."""

    def begin(*, splitter: Any = None, **asked: Any) -> tuple[OpenStudy, list[str]]:
        told: list[str] = []
        opened = open_study(
            asked, home=Home(tmp_path), data_dir=None, notify=told.append, splitter=splitter
        )
        if opened.is_new:
            with EventLog.open(opened.folder, History) as log:
                log.append(opened.start)
        return opened, [text for text in told if "another study" in text]

    return begin


def name_of(opened: OpenStudy) -> str:
    return opened.start.study


@pytest.mark.slow
@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"folds": 3}, "`--folds`: study 'mlp-digits' began with 2; got 3"),
        ({"seed": 1}, "`--seed`: study 'mlp-digits' began with 0; got 1"),
        ({"objective": "cv_loss"}, "`--objective`: study 'mlp-digits' began with cv_accuracy"),
        ({"objective": "cv_loss,latency_ms"}, "`--objective`: study 'mlp-digits' began with"),
        ({"set": {"dropout": "0.1"}}, "`--set`: study 'mlp-digits' began with nothing"),
        ({"limit_samples": 300}, "`--limit-samples`: study 'mlp-digits' began with nothing"),
        ({"driver": "keras-tuner"}, "`--driver`: study 'mlp-digits' began with optuna"),
    ],
)
def test_a_default_name_that_is_another_studys_gets_a_number(begin, other, why):
    begin(**PLAIN)
    second, told = begin(**PLAIN | other)
    assert (name_of(second), second.is_new) == ("mlp-digits-2", True)
    assert len(told) == 1
    assert told[0].startswith(why)
    assert told[0].endswith("That is another study; this one is called 'mlp-digits-2'")


@pytest.mark.slow
def test_the_same_command_continues_the_study_that_it_began(begin):
    commands = [PLAIN, PLAIN | {"folds": 3}, PLAIN | {"folds": 4}]
    for command in commands:
        begin(**command)
    again = [begin(**command) for command in commands]
    assert [name_of(opened) for opened, _ in again] == [
        "mlp-digits",
        "mlp-digits-2",
        "mlp-digits-3",
    ]
    assert not any(opened.is_new for opened, _ in again)
    assert not any(told for _, told in again)


@pytest.mark.slow
def test_a_study_with_a_name_refuses_other_settings(begin):
    begin(**PLAIN, study="mine")
    with pytest.raises(SettingsError, match="`--folds`: study 'mine' began with 2; got 3"):
        begin(**PLAIN | {"folds": 3}, study="mine")


@pytest.mark.slow
def test_other_content_of_the_same_file_is_another_study(begin, tmp_path):
    path = tmp_path / "own.npz"
    command = {"space": "mlp", "dataset": f"npz:{path}", "folds": 2}

    def save(seed: int) -> None:
        rows = np.random.default_rng(seed).normal(size=(40, 3))
        np.savez(path, x=rows, y=np.arange(40) % 2)

    save(0)
    first, _ = begin(**command)
    save(1)
    second, told = begin(**command)
    assert (name_of(first), name_of(second)) == ("mlp-own", "mlp-own-2")
    assert "began with other content of dataset npz:" in told[0]
    save(0)
    assert name_of(begin(**command)[0]) == "mlp-own"


@pytest.mark.slow
def test_a_name_that_no_study_has_needs_a_space_and_near_names_are_shown(begin):
    begin(**PLAIN, study="wine-study")
    with pytest.raises(SettingsError) as caught:
        begin(study="wine-stdy", trials=5)
    message = str(caught.value)
    assert message.startswith("no study is called 'wine-stdy' in ")
    assert "did you mean wine-study?" in message
    assert message.endswith("To begin a study of that name, add `--space`.")
    assert begin(study="wine-study")[0].start.study == "wine-study"


@pytest.mark.slow
def test_other_folds_of_a_splitter_are_another_study(begin):
    from sklearn.model_selection import KFold

    command = {"space": "mlp", "dataset": "digits"}

    def named(cv):
        opened, told = begin(**command, splitter=cv)
        return name_of(opened), len(opened.folds), told

    pairs = [(range(700), range(700, 1437)), (range(700, 1437), range(700))]
    assert named(KFold(3)) == ("mlp-digits", 3, [])
    name, folds, told = named(KFold(4))
    assert (name, folds) == ("mlp-digits-2", 4)
    assert told[0].startswith("study 'mlp-digits' began with other folds, of KFold(n_splits=3,")
    assert named(pairs)[0] == "mlp-digits-3"
    assert named(KFold(4)) == ("mlp-digits-2", 4, [])
    assert named(pairs) == ("mlp-digits-3", 2, [])
