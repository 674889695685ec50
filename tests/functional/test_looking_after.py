"""Studies that are renamed and deleted, as the home and MLflow have them afterwards."""

import pytest

from tests.functional.conftest import TINY
from tests.studies import StudyBuilder
from tests.tracked import Tracked
from tracking.home import Home
from tracking.records import SessionEnded

pytestmark = pytest.mark.slow


@pytest.fixture
def own(user):
    """A user with two studies in the journal and in MLflow; nobody trained them."""
    for number, name in enumerate(("toy", "other")):
        study = StudyBuilder(name, study_id=str(number) * 32)
        study.session(trials=1)
        study.complete_trial(0)
        study.add(SessionEnded, reason="complete")
        study.write(Home(user.folder / "mlruns").study(name).journal)
    done = user.here("sync")
    assert done.code == 0, done.err
    return user


def experiments(user):
    found = Tracked(f"sqlite:///{user.folder}/mlruns/mlflow.db", user.folder)
    return {e.name: e.experiment_id for e in found.client.search_experiments()}


def test_mlflow_follows_a_renamed_study_and_nothing_is_published_twice(own):
    before = experiments(own)
    done = own.here("rename", "toy", "new", "--json")
    assert done.code == 0, done.err
    assert done.json == {"study": "new", "was": "toy", "records_not_in_mlflow": 0, "notices": []}
    after = experiments(own)
    assert after["new"] == before["toy"]
    assert set(after) == {"Default", "new", "other"}
    (own.folder / "mlruns" / "studies" / "new" / "shipped.json").unlink()  # all is told again
    assert own.here("sync").code == 0
    assert experiments(own) == after
    tracked = Tracked(f"sqlite:///{own.folder}/mlruns/mlflow.db", own.folder)
    assert len(tracked.runs("new", "tags.`search.kind` = 'trial'")) == 1


def test_a_renamed_study_does_not_take_anothers_name_in_mlflow(own):
    assert own.here("delete", "other", "--yes", "--keep-experiment").code == 0
    assert own.here("rename", "toy", "other").code == 0
    assert set(experiments(own)) == {"Default", "other", "other-00000000"}


def test_a_deleted_studys_experiment_is_marked_and_its_name_can_be_used_again(own):
    asked = own.here("delete", "toy")
    assert asked.code == 2
    assert set(experiments(own)) == {"Default", "toy", "other"}
    done = own.here("delete", "toy", "--yes", "--json")
    assert done.code == 0, done.err
    assert done.json["deleted"] == "toy"
    assert set(experiments(own)) == {"Default", "other"}
    assert list(Home(own.folder / "mlruns").studies()) == ["other"]
    again = own.here("run", *TINY, "--study", "toy", "--trials", "1", "--no-baselines", "--json")
    assert again.code == 0, again.err


def test_nothing_is_deleted_where_mlflow_does_not_answer(own):
    hasty = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "1", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    address = ("--tracking-uri", "http://127.0.0.1:9")
    done = own.here("delete", "toy", "--yes", *address, **hasty)
    assert done.code == 1
    assert "nothing was deleted" in done.err
    assert "`--keep-experiment`" in done.err
    assert "toy" in Home(own.folder / "mlruns").studies()
    done = own.here("delete", "toy", "--yes", "--keep-experiment", *address, **hasty)
    assert done.code == 0
    assert "its experiment at 1 other address of MLflow" in done.out
