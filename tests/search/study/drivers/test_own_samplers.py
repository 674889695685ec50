"""Samplers that a user names by their class."""

from pathlib import Path

import optuna
import pytest

from search.errors import SettingsError
from search.study.drivers import Outcome, check_driver, make_driver
from search.study.drivers.samplers import SamplerFailed
from search.study.settings import validate
from spaces import Float, Int
from tests.search.study.drivers.proposing import OWN, SPACES, outcome, run, space_of

TPE = "optuna.samplers:TPESampler"
NUMBERS = SPACES["numbers"]


def fault(sampler: object, **arguments: object) -> str:
    """What is said when a study with this sampler is opened."""

    def opened() -> None:
        settings = validate({"space": "lenet", "sampler": sampler, "sampler_args": arguments})
        check_driver("optuna", str(settings.sampler), NUMBERS, arguments=settings.sampler_args)

    with pytest.raises(SettingsError) as caught:
        opened()
    return str(caught.value)


def test_arguments_reach_the_sampler():
    few = make_driver("optuna", TPE, NUMBERS, 3, arguments={"n_startup_trials": 2})
    many = make_driver("optuna", TPE, NUMBERS, 3, arguments={"n_startup_trials": 20})
    first, second = run(few, range(6)), run(many, range(6))
    assert first[:2] == second[:2]
    assert first[2:] != second[2:]


def test_a_seed_of_the_users_own_takes_precedence():
    proposals = [
        run(make_driver("optuna", TPE, NUMBERS, seed, arguments={"seed": 1}), range(3))
        for seed in (3, 4)
    ]
    assert proposals[0] == proposals[1]


def test_a_sampler_learns_from_pruned_trials_by_what_they_would_have_come_to():
    space = space_of(Float("x", 0.0, 1.0), Int("n", 1, 9))
    driver = make_driver("optuna", TPE, space, 0, arguments={"n_startup_trials": 5})
    found = []
    for number in range(30):
        params = driver.ask(number)
        assert params is not None
        found.append(params["x"])
        driver.tell(number, params, Outcome("pruned", (-abs(params["x"] - 0.8),)))
    assert sum(abs(x - 0.8) < 0.2 for x in found[15:]) > 9


def test_several_objectives_are_told():
    driver = make_driver("optuna", "optuna.samplers:NSGAIISampler", NUMBERS, 0, objectives=2)
    for number in range(4):
        params = driver.ask(number)
        assert params is not None
        driver.tell(number, params, Outcome("complete", (1.0, float(number))))


def test_a_sampler_without_a_seed_is_said_to_go_on_otherwise():
    told: list[str] = []
    space = NUMBERS
    driver = make_driver("optuna", f"{OWN}:Unseeded", space, 3, notify=told.append)
    assert "takes no seed" in told[0]
    trials = run(driver, range(3))
    again = make_driver("optuna", f"{OWN}:Unseeded", space, 3, notify=told.append)
    for number, params in enumerate(trials):
        again.adopt(number, params, sampled=True)
        again.tell(number, params, outcome(params, number))
    proposals = run(again, range(3, 6))
    assert not [params for params in proposals if params in trials]
    assert len(told) == 2  # once a session


def test_a_sampler_that_proposes_otherwise_when_asked_again_is_noticed_once():
    told: list[str] = []
    others = run(make_driver("optuna", TPE, NUMBERS, 4), range(4))
    driver = make_driver("optuna", TPE, NUMBERS, 3, notify=told.append)
    for number, params in enumerate(others):
        driver.adopt(number, params, sampled=True)
    assert len(told) == 1
    assert "asked again for trial 0, proposes other params" in told[0]


@pytest.mark.slow
def test_faults_of_a_sampler_are_told_before_the_study_begins(tmp_path):
    assert "It takes" in fault(TPE, n_start=3)
    assert "n_startup_trials" in fault(TPE, n_start=3)
    assert "must be a class of optuna.samplers.BaseSampler" in fault(f"{OWN}:no_sampler")
    assert "only spaces of two numbers" in fault(f"{OWN}:Failing")
    assert "has nothing called 'Nothing'" in fault(f"{OWN}:Nothing")
    assert "there is no file" in fault(f"{tmp_path}/no.py:Sampler")
    assert "must be a class; got dict" in fault(f"{OWN}:TABLE")


def test_a_sampler_that_fails_later_ends_the_session_with_one_line():
    driver = make_driver("optuna", f"{OWN}:FailsLate", NUMBERS, 0)
    with pytest.raises(SamplerFailed, match="failed when it was asked for trial 4: ValueError: no"):
        run(driver, range(6))


def test_a_class_is_named_by_its_module_and_a_file_by_its_path(monkeypatch):
    monkeypatch.chdir(OWN.parent)
    of_class = validate({"space": "lenet", "sampler": optuna.samplers.RandomSampler})
    assert str(of_class.sampler).endswith(":RandomSampler")
    of_file = validate({"space": "lenet", "sampler": f"{OWN.name}:Walker"})
    assert of_file.sampler == f"{OWN}:Walker"
    assert of_file.identity()["sampler_args"] == {}


def test_what_could_not_be_made_again_is_refused():
    instance = optuna.samplers.RandomSampler()
    assert "an instance has a state" in fault(instance)

    class Local(optuna.samplers.RandomSampler):
        pass

    assert "put it into a file" in fault(Local)


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"sampler": TPE, "driver": "keras-tuner"}, "a class of samplers is Optuna's"),
        ({"sampler": "tpe", "sampler_args": '{"seed": 1}'}, "given by its class"),
        ({"sampler": TPE, "sampler_args": "seed=1"}, "must be a mapping"),
        ({"sampler": TPE, "sampler_args": '{"x": NaN}'}, "must be a mapping"),
        ({"sampler": TPE, "sampler_args": "[1]"}, "must be a mapping"),
    ],
)
def test_samplers_and_arguments_that_do_not_fit_are_refused(given, rule):
    with pytest.raises(SettingsError, match=rule):
        validate({"space": "lenet", **given})


@pytest.mark.slow
def test_arguments_are_part_of_what_a_study_is(tmp_path: Path):
    from search.study.opening import open_study
    from tests.studies import lines_of
    from tracking.home import Home

    asked = {"space": "mlp", "dataset": "digits", "study": "s"}
    asked |= {"sampler": TPE, "sampler_args": {"n_startup_trials": 5}}

    def opened(**more: object) -> object:
        return open_study(asked | more, home=Home(tmp_path), data_dir=None, notify=print)

    study = open_study(asked, home=Home(tmp_path), data_dir=None, notify=print)
    study.folder.root.mkdir(parents=True)
    study.folder.journal.write_bytes(b"".join(lines_of([study.start])))
    again = open_study({"study": "s"}, home=Home(tmp_path), data_dir=None, notify=print)
    assert again.settings.sampler_args == {"n_startup_trials": 5}
    with pytest.raises(SettingsError, match="`--sampler-args`: study 's' began with"):
        opened(sampler_args={"n_startup_trials": 6})
    with pytest.raises(SettingsError, match="`--sampler`: study 's' began with"):
        open_study(
            {"study": "s", "sampler": "tpe"}, home=Home(tmp_path), data_dir=None, notify=print
        )
