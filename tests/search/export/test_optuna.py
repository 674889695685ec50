"""A study in a storage of Optuna, read by Optuna itself."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from search.errors import SettingsError
from search.export.optuna import lasts, to_optuna
from spaces import Choice, Float, Int, Space, narrow
from tests.fakes import toy_space
from tests.studies import STUDY_ID, RegressionStudyBuilder, StudyBuilder
from tracking.history import History
from tracking.records import Record, StudyStarted, TrialStarted

pytestmark = pytest.mark.slow  # each makes a database

NAME = "lenet-digits"


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/trials.db"


def read(address: str, name: str = NAME) -> optuna.Study:
    return optuna.load_study(study_name=name, storage=address)


def of_space(space: Space, *given: dict[str, Any]) -> History:
    """A study of a space whose trials have begun."""
    from search.study.identity import describe_parameter

    builder = StudyBuilder()
    start = builder.records[0]
    assert isinstance(start, StudyStarted)
    described = [describe_parameter(parameter) for parameter in space.parameters]
    records: list[Record] = [replace(start, parameters=described)]
    records += [
        TrialStarted(at=start.at + 1 + n, trial=n, parameters=space.complete(params), origin="")
        for n, params in enumerate(given)
    ]
    return History.of(records)


def test_optuna_reads_states_values_params_and_times(address):
    history = StudyBuilder().every_kind_of_trial().history
    made = to_optuna(history, address)
    assert made.states == {"complete": 2, "pruned": 1, "fail": 1, "running": 1}
    study = read(address)
    states = [TrialState.COMPLETE] * 2 + [TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING]
    assert [trial.state for trial in study.trials] == states
    assert [trial.number for trial in study.trials] == [0, 1, 2, 3, 4]
    assert study.best_trial.number == 1
    assert study.best_value == 0.85
    assert study.metric_names == ["cv_accuracy"]
    first, second = study.trials[:2]
    assert first.params == {"filters": 32, "extra": False}
    assert second.params == {"filters": 33, "extra": True, "more": 9}  # under a condition
    assert second.distributions["filters"] == IntDistribution(32, 64)
    assert second.distributions["extra"] == CategoricalDistribution((False, True))
    ended = history.trials[1].ended
    assert ended is not None
    assert second.datetime_complete is not None
    assert second.datetime_complete.timestamp() == pytest.approx(ended.at)
    assert first.user_attrs["origin"] == "baseline:lenet5"
    assert first.user_attrs["fold_scores"] == {"1": 0.801, "2": 0.802}
    assert study.trials[3].user_attrs["reason"] == "out of memory"
    assert study.user_attrs["dataset"] == "digits"
    assert "mean over the folds" in study.user_attrs["how_to_read"]


def test_intermediate_values_are_means_over_the_folds_of_each_epoch(address):
    history = StudyBuilder().every_kind_of_trial().history
    to_optuna(history, address)
    trials = read(address).trials
    curve = [row["val_accuracy"] for row in history.trials[1].mean_curves()]
    assert trials[1].intermediate_values == pytest.approx(dict(enumerate(curve, start=1)))
    assert list(trials[2].intermediate_values) == [1, 2]
    assert trials[2].value == trials[2].intermediate_values[2]  # as of Optuna's own pruned trials


def test_an_objective_that_epochs_do_not_tell_has_its_folds_as_steps(address):
    history = StudyBuilder(objective="macro_f1").every_kind_of_trial().history
    to_optuna(history, address)
    assert read(address).trials[1].intermediate_values == pytest.approx({1: 0.84, 2: 0.84})


def test_smaller_is_better_and_several_objectives_keep_their_directions(tmp_path):
    one, two = f"sqlite:///{tmp_path}/one.db", f"sqlite:///{tmp_path}/two.db"
    numbers = RegressionStudyBuilder().every_kind_of_trial().history
    name = numbers.known_study().study
    to_optuna(numbers, one)
    assert read(one, name).direction.name == "MINIMIZE"
    assert read(one, name).best_value == numbers.completed()[0].value
    several = StudyBuilder(objective="cv_accuracy,latency_ms").every_kind_of_trial().history
    to_optuna(several, two)
    assert [d.name for d in read(two).directions] == ["MAXIMIZE", "MINIMIZE"]
    assert read(two).trials[0].values == [0.8, 2.5]
    assert {trial.number for trial in read(two).best_trials} == {1}


def test_params_of_every_kind_keep_ranges_and_types(address):
    space = toy_space(
        Int("a", 1, 512, log=True, default=2),
        Int("b", 1, 10, step=4),
        Float("c", 0.0, 0.35, step=0.1, default=0.2),
        Float("d", 1e-4, 0.1234561, log=True, default=0.1234561),
        Choice("mixed", ("a", 2, None, True)),
        Choice("like", (0, False, 0.0)),
        Choice("pair", ((1, 3), (3, 1))),
        Choice("alone", ("x", "y"), fixed=True),
        Int("epochs", 1, 9, default=3, fixed=True),
    )
    history = of_space(space, {}, {"epochs": 5, "mixed": None, "like": False, "pair": (3, 1)})
    to_optuna(history, address)
    first, second = read(address).trials
    known = second.distributions
    assert known["a"] == IntDistribution(1, 512, log=True)
    assert known["b"] == IntDistribution(1, 9, step=4)
    assert known["c"] == FloatDistribution(0.0, 0.3, step=0.1)
    assert known["d"] == FloatDistribution(1e-4, 0.1234561, log=True)
    assert known["epochs"] == IntDistribution(3, 5)  # not searched, but trials differ in it
    assert "alone" not in known
    assert first.params["mixed"] == "a"
    assert second.params["mixed"] is None
    assert [first.params["like"], second.params["like"]] == ["0", "off"]
    assert second.params["pair"] == "(3, 1)"
    assert read(address).user_attrs["fixed"]["alone"] == "x"


def test_a_list_of_numbers_is_a_choice(address):
    space = narrow(toy_space(Int("a", 1, 9), Int("epochs", 1, 9, fixed=True)), {"a": "2,4"}).space
    to_optuna(of_space(space, {}, {"a": 4}), address)
    assert read(address).trials[1].distributions["a"] == CategoricalDistribution((2, 4))


def test_exporting_again_brings_it_up_to_date_without_doubles(address):
    builder = StudyBuilder().every_kind_of_trial()
    assert not to_optuna(builder.history, address).is_update
    builder.fold(4, 1)
    builder.fold(4, 2)
    builder.end_trial(4, "complete", 0.9)
    assert to_optuna(builder.history, address).is_update
    study = read(address)
    assert len(study.trials) == 5
    assert study.best_trial.number == 4
    assert optuna.get_all_study_names(address) == [NAME]


def test_studies_of_other_names_are_left_alone(address):
    optuna.create_study(study_name="mine", storage=address).add_trial(
        optuna.trial.create_trial(value=1.0)
    )
    to_optuna(StudyBuilder().every_kind_of_trial().history, address)
    assert sorted(optuna.get_all_study_names(address)) == [NAME, "mine"]
    assert read(address, "mine").best_value == 1.0


def _another_search(address: str) -> None:
    other = StudyBuilder(study_id=STUDY_ID[::-1]).every_kind_of_trial().history
    to_optuna(other, address)


def _own_trials(address: str) -> None:
    to_optuna(StudyBuilder().every_kind_of_trial().history, address)
    read(address).add_trial(optuna.trial.create_trial(value=1.0))


def _notes(address: str) -> None:
    study = to_optuna(StudyBuilder().every_kind_of_trial().history, address).study
    study._storage.set_study_system_attr(study._study_id, "dashboard:note_ver", 1)


@pytest.mark.parametrize(
    ("write", "there"),
    [
        (_another_search, "trials of another search"),
        (_own_trials, "trials that were run in Optuna"),
        (_notes, "notes of the dashboard"),
    ],
)
def test_what_was_not_exported_from_the_study_is_never_deleted(address, write, there):
    write(address)
    before = read(address).trials
    with pytest.raises(SettingsError, match=f"with {there}, which would be lost"):
        to_optuna(StudyBuilder().every_kind_of_trial().history, address)
    assert read(address).trials == before


def test_addresses_that_are_no_database_of_optunas_are_refused(tmp_path):
    history = StudyBuilder().history
    with pytest.raises(SettingsError, match=r"For a file: sqlite:///trials\.db"):
        to_optuna(history, "trials.db")
    with pytest.raises(SettingsError, match="cannot be written: Could not parse"):
        to_optuna(history, "no-such-database://x")
    with pytest.raises(SettingsError, match="cannot be written"):
        to_optuna(history, f"sqlite:///{tmp_path}/no/folder/x.db")


def test_the_database_of_another_program_is_refused(tmp_path):
    import sqlite3

    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        database.execute("create table alembic_version (version_num text)")
    with pytest.raises(SettingsError, match=r"another program's tables \(alembic_version\)"):
        to_optuna(StudyBuilder().history, f"sqlite:///{tmp_path}/mlflow.db")


def test_a_password_in_the_address_is_not_told(tmp_path):
    with pytest.raises(SettingsError) as caught:
        to_optuna(StudyBuilder().history, "postgresql://me:hunter2secret@127.0.0.1:1/db")
    assert "hunter2secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("sqlite:///trials.db", True),
        ("sqlite:////var/trials.db?timeout=9", True),
        ("postgresql://ada@host/trials", True),
        ("trials.db", True),  # no address; another message says so
        ("sqlite://", False),
        ("sqlite:///", False),
        ("sqlite:///:memory:", False),
        ("sqlite:///file:x?mode=memory&uri=true", False),
    ],
)
def test_a_database_in_memory_does_not_last(address, found):
    assert lasts(address) is found
