"""Real studies in one home that learn from each other."""

import json
import shutil
from pathlib import Path

import pytest

from search import StudyResult, load_study, run_study
from search.study.learning import learned_text
from tracking.home import Home

pytestmark = pytest.mark.slow

TINY = {
    "folds": 1,
    "epochs": 1,
    "limit_samples": 100,
    "workers": 1,
    "precision": "float32",
    "pruner": "none",
    "executor": "inline",
}


def run(home: Path, study: str, trials: int, **asked: object) -> tuple[StudyResult, str]:
    settings = {**TINY, "dataset": "digits", "trials": trials, **asked}
    result = run_study("mlp", study=study, home=home, **settings)
    first = result.history.known_study()
    return result, learned_text(first) if first.learned else ""


def proposals(result: StudyResult) -> list[tuple[dict, str]]:
    started = [trial.started for trial in result.history.trials.values()]
    return [(one.parameters, one.proposed_by) for one in started]


@pytest.fixture(scope="module")
def earlier(tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("home")
    _, first = run(home, "one", 5, seed=1)
    _, second = run(home, "two", 5, seed=2)
    assert first == "from 11 datasets recorded by this project, up to 10 settings of mlp on each"
    assert second == "from 1 study of mlp: one (5 settings)"
    return home


@pytest.fixture
def home(earlier, tmp_path) -> Path:
    shutil.copytree(earlier, tmp_path / "home")
    return tmp_path / "home"


def test_a_study_goes_on_with_what_it_learned_though_the_others_are_deleted(home, tmp_path):
    _, told = run(home, "new", 3)
    assert told == "from 2 studies of mlp: two, one (10 settings)"
    shutil.copytree(home, tmp_path / "other")
    for name in ("one", "two"):
        shutil.rmtree(Home(home).study(name).root)
    alone, told_again = run(home, "new", 6)
    beside, _ = run(tmp_path / "other", "new", 6)
    assert proposals(alone) == proposals(beside)
    assert told_again == told
    words = [words for _, words in proposals(alone)]
    assert words[:2] == ["", ""]  # baselines
    assert words[2].partition(":")[0] == "portfolio"
    assert list(alone.trials["proposed_by"]) == words
    kept = json.loads(Home(home).study("new").learned.read_text())
    assert [one["study"] for one in kept["studies"]] == ["two", "one"]


def test_a_study_of_which_the_file_is_gone_goes_on_and_says_so(home):
    run(home, "new", 3)
    Home(home).study("new").learned.unlink()
    heard: list[str] = []
    result = run_study(study="new", home=home, trials=4, workers=1, notify=heard.append)
    assert any("not as an uninterrupted one would" in text for text in heard)
    assert proposals(result)[3][1] == ""


def test_learns_nothing_where_none_is_asked_for(home):
    result, told = run(home, "new", 3, learn_from="none")
    assert not told
    assert proposals(result)[2][1] == ""
    assert not Home(home).study("new").learned.exists()
    assert not load_study("new", home=home).history.known_study().learned
