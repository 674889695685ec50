from pathlib import Path

import pytest

from tracking.home import Home

HOME = Home(Path("/data/mlruns"))


@pytest.mark.parametrize(
    "name", ["lenet", "a b", "a/b", "..", ".", ".hidden", "größe", "50%", "c:\\d", "a-b"]
)
def test_any_name_is_one_folder_below_studies_and_read_back(tmp_path, name):
    home = Home(tmp_path)
    folder = home.study(name)
    assert folder.root.parent == tmp_path / "studies"
    folder.root.mkdir(parents=True)
    folder.journal.touch()
    assert list(home.studies()) == [name]
    assert home.studies()[name] == folder


def test_different_names_have_different_folders():
    names = ["a", "A b", "a/b", "a%2Fb", ".a", "%2Ea", ".", ".."]
    assert len({HOME.study(name).root for name in names}) == len(names)


@pytest.mark.parametrize("name", ["", "   ", "x" * 121, "ü" * 40, "-x", "a\nb", "\x1b[2J"])
def test_a_name_that_is_no_name_of_a_folder_or_on_a_command_line_is_refused(name):
    with pytest.raises(ValueError, match="must"):
        HOME.study(name)


def test_a_home_without_studies_has_none(tmp_path):
    assert Home(tmp_path / "none").studies() == {}


def test_a_folder_without_a_journal_is_no_study(tmp_path):
    (tmp_path / "studies" / "draft").mkdir(parents=True)
    assert Home(tmp_path).studies() == {}


def test_mlflow_keeps_database_and_artifacts_inside_the_home():
    assert HOME.tracking_uri == "sqlite:////data/mlruns/mlflow.db"
    assert HOME.artifacts == HOME.root / "artifacts"


def test_predictions_sort_by_trial_and_fold():
    folder = HOME.study("lenet")
    names = [folder.predictions(t, f).name for t, f in [(2, 1), (2, 10), (10, 1)]]
    assert names == sorted(names)
