"""Trials of real KerasTuner projects and Optuna storages, brought to a study's space."""

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from search.errors import SettingsError
from search.study.drivers import make_driver
from search.study.enqueuing import send
from search.study.importing import (
    COMPLETE,
    Source,
    SourceTrial,
    plan_import,
    read_source,
    translate,
)
from spaces import Boolean, Choice, Float, Int, Params, narrow
from spaces.keras_tuner.hypermodel import Replay
from tests.fakes import ScriptedExecutor, toy_space
from tests.search.study.test_enqueuing import SPACE as TWO
from tests.search.study.test_enqueuing import Kept, good_when_large
from tracking.objectives import OBJECTIVES
from tracking.records import TrialTold

SPACE = toy_space(
    Int("units", 16, 128, step=16),
    Boolean("dropout"),
    Float("rate", 0.1, 0.5, step=0.1, when=("dropout", True)),
    Choice("act", ("relu", "tanh")),
    Float("learning_rate", 1e-4, 1e-2, log=True),
    Int("epochs", 1, 50, default=10, fixed=True),
)


def value_of(params: dict[str, Any]) -> float:
    """What an evaluation elsewhere comes to."""
    return float(params["units"]) / 200 + (0.1 if params["act"] == "tanh" else 0.0)


def suggested(trial: optuna.Trial) -> float:
    params = {
        "units": trial.suggest_int("units", 16, 128, step=16),
        "act": trial.suggest_categorical("act", ["relu", "tanh"]),
    }
    if trial.suggest_categorical("dropout", [True, False]):
        trial.suggest_float("rate", 0.1, 0.5, step=0.1)
    trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
    return value_of(params)


def fill(study: optuna.Study, trials: int = 8) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study.optimize(suggested, n_trials=trials)
    return study


@pytest.fixture
def storage(tmp_path) -> tuple[str, optuna.Study]:
    """A SQLite storage with one study, and the study."""
    url = f"sqlite:///{tmp_path}/trials.db"
    sampler = optuna.samplers.RandomSampler(seed=1)
    study = optuna.create_study(
        storage=url, study_name="mine", direction="maximize", sampler=sampler
    )
    return url, fill(study)


@pytest.mark.slow
def test_an_optuna_study_is_read_with_its_params_values_and_direction(storage):
    url, study = storage
    source = read_source(url)
    assert source.larger
    assert source.name == f"{url.removeprefix('sqlite:///')}#mine"
    assert [t.params for t in source.trials] == [t.params for t in study.trials]
    assert [t.value for t in source.trials] == [t.value for t in study.trials]
    best = source.ranked()[0]
    assert best.value == study.best_value


@pytest.mark.slow
def test_the_best_trials_are_enqueued_in_their_order_with_complete_params(storage):
    url, study = storage
    planned = plan_import(read_source(url), SPACE, best=3)
    values = sorted((t.value for t in study.trials), reverse=True)
    assert [value_of(entry.parameters) for entry in planned.entries] == values[:3]
    for entry in planned.entries:
        assert SPACE.complete(entry.parameters) == entry.parameters
        assert entry.origin.startswith("imported:")
        assert entry.objective == ""


@pytest.mark.slow
def test_reading_a_storage_changes_none_of_its_bytes_and_needs_no_right_to_write(storage, tmp_path):
    url, _ = storage
    path = Path(url.removeprefix("sqlite:///"))
    before = path.read_bytes()
    listed = sorted(tmp_path.iterdir())
    read_source(url)
    read_source(str(path))  # the file's name alone
    assert path.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == listed


def test_a_journal_file_of_optuna_is_read_too(tmp_path):
    path = tmp_path / "journal.log"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        kept = JournalStorage(JournalFileBackend(str(path)))
        study = fill(optuna.create_study(storage=kept, study_name="j", direction="minimize"))
    before = path.read_bytes()
    source = read_source(str(path))
    assert [t.value for t in source.trials] == [t.value for t in study.trials]
    assert not source.larger
    assert source.ranked()[0].value == study.best_value
    assert path.read_bytes() == before


@pytest.mark.slow
def test_of_several_studies_one_must_be_named(storage):
    url, _ = storage
    optuna.create_study(storage=url, study_name="other")
    with pytest.raises(SettingsError, match=r"holds 2 studies.*`--source-study`: mine, other"):
        read_source(url)
    assert len(read_source(url, study="mine").trials) == 8
    with pytest.raises(SettingsError, match=r"holds no study 'mien'; did you mean mine\?"):
        read_source(url, study="mien")


@pytest.mark.slow
def test_pruned_failed_and_running_trials_are_counted_and_left_out(storage):
    url, study = storage
    pruned = study.ask()
    pruned.suggest_int("units", 16, 128, step=16)
    pruned.report(0.5, 1)
    study.tell(pruned, state=optuna.trial.TrialState.PRUNED)
    study.tell(study.ask(), state=optuna.trial.TrialState.FAIL)
    study.ask()
    planned = plan_import(read_source(url), SPACE, best=20)
    assert planned.unfinished == {"pruned": 1, "fail": 1, "running": 1}
    assert len(planned.entries) == 8


@pytest.mark.parametrize("scheme", ["sqlite:///", ""])
def test_a_storage_that_is_not_there_is_refused_and_not_made(tmp_path, scheme):
    path = tmp_path / "none.db"
    with pytest.raises(SettingsError, match="there is no"):
        read_source(f"{scheme}{path}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"hello\n", b"[1, 2, 3, 4, 5, 6]\n", b'{"a": 1}\n'])
def test_a_file_of_another_kind_is_refused_with_one_sentence(tmp_path, content):
    path = tmp_path / "other.txt"
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"other\.txt cannot be read as a storage of Optuna"):
        read_source(str(path))


def test_a_database_of_something_else_is_refused(tmp_path):
    import sqlite3

    path = tmp_path / "other.db"
    with sqlite3.connect(path) as database:
        database.execute("create table a (b)")
    with pytest.raises(SettingsError, match="cannot be read as a storage of Optuna"):
        read_source(str(path))


def test_a_password_in_an_address_is_neither_shown_nor_recorded():
    address = "postgresql://me:secret-word@127.0.0.1:1/db"
    with pytest.raises(SettingsError) as refused:
        read_source(address)
    assert "secret-word" not in str(refused.value)


# KerasTuner.


def project(folder: Path, sampler: str = "RandomSearch", **options: Any) -> Any:
    """Search with a tuner of KerasTuner whose trials come to `value_of`; return it."""
    import keras_tuner

    class Tuner(getattr(keras_tuner, sampler)):  # type: ignore[misc]
        def run_trial(self, trial: Any, *given: Any, **named: Any) -> Any:
            hp = trial.hyperparameters
            values = {"units": hp.get("units"), "act": hp.get("act")}
            return {"val_accuracy": value_of(values), "val_loss": 1.0 - value_of(values) / 2}

    def build(hp: Any) -> None:
        hp.Int("units", 16, 128, step=16)
        if hp.Boolean("dropout"):
            hp.Float("rate", 0.1, 0.5, step=0.1)
        hp.Choice("act", ["relu", "tanh"])
        hp.Float("learning_rate", 1e-4, 1e-2, sampling="log")

    options = {"objective": "val_accuracy", "max_trials": 8, "seed": 1} | options
    tuner = Tuner(
        type("Model", (keras_tuner.HyperModel,), {"build": lambda self, hp: build(hp)})(),
        directory=str(folder),
        project_name="p",
        **options,
    )
    with warnings.catch_warnings():  # it calls what Python 3.11 deprecates
        warnings.simplefilter("ignore")
        tuner.search(verbose=0)
    return tuner


@pytest.mark.slow
def test_a_keras_tuner_project_is_read_with_its_objective_and_direction(tmp_path):
    tuner = project(tmp_path)
    source = read_source(str(tmp_path / "p"))
    assert (source.objective, source.larger) == ("val_accuracy", True)
    trials = tuner.oracle.trials
    assert {t.name: dict(t.params) for t in source.trials} == {
        name: trial.hyperparameters.values for name, trial in trials.items()
    }
    assert {t.name: t.value for t in source.trials} == {n: t.score for n, t in trials.items()}
    best = [trial.trial_id for trial in tuner.oracle.get_best_trials(3)]
    planned = plan_import(source, SPACE, best=3)
    assert [t.trial.name for t in planned.translations if t.params][:3] == best
    for entry in planned.entries:
        assert SPACE.complete(entry.parameters) == entry.parameters


@pytest.mark.slow
def test_a_loss_of_a_keras_tuner_project_is_better_if_smaller(tmp_path):
    tuner = project(tmp_path, "BayesianOptimization", objective="val_loss")
    source = read_source(str(tmp_path / "p"))
    assert (source.objective, source.larger) == ("val_loss", False)
    assert source.ranked()[0].value == tuner.oracle.get_best_trials(1)[0].score
    other = read_source(str(tmp_path / "p"), objective="val_accuracy")
    assert other.larger
    assert other.ranked()[0].value == pytest.approx(
        2 * (1.0 - tuner.oracle.get_best_trials(1)[0].score)
    )
    with pytest.raises(SettingsError, match=r"no metric 'val_los'; did you mean val_loss\?"):
        read_source(str(tmp_path / "p"), objective="val_los")


@pytest.mark.slow
def test_the_folder_above_a_project_is_refused_with_the_project_that_is_meant(tmp_path):
    project(tmp_path, max_trials=1)
    with pytest.raises(SettingsError, match=rf"did you mean {tmp_path}/p\?"):
        read_source(str(tmp_path))
    with pytest.raises(SettingsError, match="`--source-study` is for Optuna's storages"):
        read_source(str(tmp_path / "p"), study="p")


def trial_file(folder: Path, number: int, **fields: Any) -> None:
    """Write a trial's file as KerasTuner 1.4.8 does."""
    curve = {"direction": "max", "observations": [{"value": [0.5], "step": 0}]}
    document = {
        "trial_id": f"{number}",
        "hyperparameters": {"space": [], "values": {"units": 16 * (number + 1)}},
        "metrics": {"metrics": {"val_accuracy": curve, "accuracy": curve}},
        "score": 0.5,
        "best_step": 0,
        "status": "COMPLETED",
        "message": None,
    } | fields
    path = folder / f"trial_{number}" / "trial.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(document))


def test_a_score_that_may_be_of_two_metrics_must_be_named(tmp_path):
    trial_file(tmp_path, 0)
    with pytest.raises(SettingsError, match=r"`--source-objective`: val_accuracy, accuracy"):
        read_source(str(tmp_path))
    assert read_source(str(tmp_path), objective="accuracy").objective == "accuracy"


def test_a_score_that_is_not_finite_and_a_trial_that_is_not_over_are_no_values(tmp_path):
    one = {"val_loss": {"direction": "min", "observations": [{"value": 0.25, "step": 0}]}}
    trial_file(tmp_path, 0, metrics={"metrics": one}, score=0.25)
    trial_file(tmp_path, 1, metrics={"metrics": one}, score=None, status="FAILED")
    trial_file(tmp_path, 2, metrics={"metrics": {}}, score=None, status="RUNNING")
    source = read_source(str(tmp_path))
    assert [(t.value, t.state) for t in source.trials] == [
        (0.25, COMPLETE),
        (None, "failed"),
        (None, "running"),
    ]


def test_notes_of_hyperband_on_its_rounds_are_no_params(tmp_path):
    values = {"units": 16, "tuner/epochs": 2, "tuner/trial_id": "0001"}
    metric = {"val_accuracy": {"direction": "max", "observations": [{"value": [0.5], "step": 0}]}}
    trial_file(
        tmp_path,
        0,
        hyperparameters={"space": [], "values": values},
        metrics={"metrics": metric},
    )
    assert read_source(str(tmp_path)).trials[0].params == {"units": 16}


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"hyperparameters": {"values": 3}}'])
def test_a_damaged_trial_file_is_refused_by_its_name(tmp_path, content):
    trial_file(tmp_path, 0)
    (tmp_path / "trial_0" / "trial.json").write_text(content)
    with pytest.raises(SettingsError, match=r"trial_0/trial\.json cannot be read as a trial"):
        read_source(str(tmp_path))


def test_an_empty_folder_is_no_project(tmp_path):
    with pytest.raises(SettingsError, match="holds no trials of KerasTuner"):
        read_source(str(tmp_path))


# To the space.


def translated(params: Params, **options: Any) -> Any:
    return translate(SourceTrial("7", params, 0.5), SPACE, **options)


def test_values_take_the_types_of_their_parameters():
    found = translated(
        {"units": 32.0, "dropout": 1, "rate": 0.30000000000000004, "learning_rate": 0.001}
    )
    assert found.params["units"] == 32
    assert type(found.params["units"]) is int
    assert found.params["dropout"] is True
    assert found.notes == ("`act` is missing and takes its default, relu",)


def test_what_is_not_in_use_is_left_out_and_said():
    found = translated(
        {"units": 32, "dropout": False, "rate": 0.3, "act": "relu", "learning_rate": 0.001}
    )
    assert "rate" not in found.params
    assert found.notes == ("`rate` is left out, as it is not in use with the other values",)


@pytest.mark.parametrize(
    ("params", "why"),
    [
        ({"units": 33}, "`units` must be within 16..128 step 16; got 33"),
        ({"units": 256}, "`units` must be within 16..128 step 16; got 256"),
        ({"act": "elu"}, "`act` must be within relu | tanh; got 'elu'"),
        (
            {"unit": 32},
            "the space has no parameter `unit`, which was 32; did you mean units?",
        ),
        ({"epochs": 99}, "`epochs` must be within 1..50; got 99"),
    ],
)
def test_a_trial_that_does_not_fit_is_left_out_with_the_reason(params, why):
    found = translated(params)
    assert found.params is None
    assert found.why == why


def test_names_can_be_given_anew_and_left_out():
    source = Source(
        "Optuna study", "s", "", True, (SourceTrial("0", {"width": 64, "seed": 3}, 0.5),)
    )
    with pytest.raises(SettingsError, match=r"(?s)no trial of s fits.*`width`.*--rename"):
        plan_import(source, SPACE, best=1)
    planned = plan_import(source, SPACE, best=1, rename={"width": "units"}, without=["seed"])
    assert planned.entries[0].parameters["units"] == 64
    with pytest.raises(SettingsError) as refused:
        plan_import(source, SPACE, best=1, rename={"wide": "unit"}, without=["sead"])
    assert [line.split(":")[0] for line in str(refused.value).splitlines()] == [
        "`--rename wide`",
        "`--without sead`",
        "`--rename wide=unit`",
    ]


def test_names_of_a_hypermodel_that_are_others_here_are_found():
    replay = Replay("my.py:build", (("units", "units:0"), ("act", "what/ever")))
    space = replace(SPACE, build=replay)
    found = translate(SourceTrial("0", {"units:0": 64, "what/ever": "tanh"}, 0.5), space)
    assert found.params is not None
    assert (found.params["units"], found.params["act"]) == (64, "tanh")


def test_of_equal_params_the_better_value_counts():
    trials = [SourceTrial(str(n), {"units": 32, "seed": n}, 0.1 * n) for n in range(3)]
    source = Source("Optuna study", "s", "cv_accuracy", True, tuple(trials))
    told = OBJECTIVES["cv_accuracy"]
    planned = plan_import(source, SPACE, best=0, told=told, without=["seed"])
    assert [entry.value for entry in planned.entries] == [0.2]


@pytest.mark.slow
def test_an_import_into_a_narrowed_space_takes_only_what_is_in_it(storage):
    url, _ = storage
    narrowed = narrow(SPACE, {"units": "16:64", "act": "relu"}).space
    source = read_source(url)
    inside = [t for t in source.trials if t.params["units"] <= 64 and t.params["act"] == "relu"]
    planned = plan_import(source, narrowed, best=20)
    assert len(planned.entries) == len(inside)
    assert len(planned.left_out) == 8 - len(inside) > 0


# What the driver is told.


def told_source(name: str = "cv_accuracy", *, larger: bool = True) -> Source:
    trials = tuple(
        SourceTrial(str(n), {"units": units, "rate": 0.5}, units / 100)
        for n, units in enumerate(range(1, 100, 4))
    )
    return Source("Optuna study", "s", name, larger, trials)


@pytest.mark.parametrize("name", ["cv_accuracy", "val_accuracy", "accuracy"])
def test_the_driver_is_told_of_all_but_the_enqueued_where_the_objective_is_the_same(name):
    planned = plan_import(told_source(name), TWO, best=2, told=OBJECTIVES["cv_accuracy"])
    assert [entry.objective for entry in planned.entries[:3]] == ["", "", name]
    assert len(planned.entries) == 25


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (told_source("val_loss"), "must be the study's, cv_accuracy or val_accuracy or accuracy"),
        (told_source(""), "has no name; if it is one of these, say so with `--source-objective`"),
        (told_source(larger=False), "larger values of cv_accuracy are better here, and worse in s"),
    ],
)
def test_values_of_another_objective_are_not_told(source, message):
    with pytest.raises(SettingsError) as refused:
        plan_import(source, TWO, best=2, told=OBJECTIVES["cv_accuracy"])
    assert message in str(refused.value)


@pytest.mark.parametrize(
    "driver",
    [
        ("optuna", "tpe"),
        pytest.param(("keras-tuner", "bayesian"), marks=pytest.mark.slow),
    ],
)
def test_told_values_guide_the_driver_and_are_no_scores_also_after_an_interruption(
    tmp_path, driver
):
    """Elsewhere few units were best, unlike here, so proposals show whom the driver believes."""
    plain, told, broken = (Kept(tmp_path / name, driver) for name in ("a", "b", "c"))
    plain.run(ScriptedExecutor(good_when_large), trials=6)
    for study in (told, broken):
        study.records += [
            TrialTold(
                at=study.records[-1].at + 1 + n,
                id=f"x:{n}",
                parameters={"units": units, "rate": 0.5},
                origin="imported:s",
                objective="cv_accuracy",
                value=1.0 - units / 100,
            )
            for n, units in enumerate(range(1, 100, 4))
        ]
    told.run(ScriptedExecutor(good_when_large), trials=6)
    with pytest.raises(KeyboardInterrupt):
        broken.run(ScriptedExecutor(good_when_large, interrupt_after=8), trials=6)
    broken.run(ScriptedExecutor(good_when_large), trials=6)
    assert told.proposals != plain.proposals
    assert broken.proposals == told.proposals
    assert len(told.history.trials) == 6
    best = told.history.best()
    assert best is not None
    assert best.value == max(t.value for t in told.history.trials.values())


def test_told_params_may_still_be_proposed():
    finite = toy_space(Choice("a", (1, 2, 3)))
    driver = make_driver("optuna", "tpe", finite, 1)
    for place, value in enumerate((1, 2, 3)):
        driver.inform(place, {"a": value}, 0.5)
    proposals = [driver.ask(number) for number in range(3)]
    assert sorted(params["a"] for params in proposals if params) == [1, 2, 3]


def test_told_values_reach_the_journal_once_beside_the_enqueued_trials(tmp_path):
    study = Kept(tmp_path)
    entries = plan_import(told_source(), TWO, best=2, told=OBJECTIVES["cv_accuracy"]).entries
    for again in (False, True):
        new, known = send(entries, study.folder, study.history, TWO, baselines={})
        assert (len(new), len(known)) == ((0, 25) if again else (25, 0))
    study.run(ScriptedExecutor(good_when_large), trials=4)
    new, _ = send(entries, study.folder, study.history, TWO, baselines={})
    assert new == []
    assert study.origins == ["baseline:small", "imported:s", "imported:s", "sampled"]
    told = study.history.told
    assert [one.value for one in told] == sorted((e.value for e in entries[2:]), reverse=True)
    assert not {one.value for one in told} & {t.value for t in study.history.trials.values()}
