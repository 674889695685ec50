"""Params of a user's own: read, checked, sent to a study, and evaluated there."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from search.errors import SettingsError
from search.study.budget import Budget
from search.study.drivers import make_driver
from search.study.enqueuing import Entry, Intake, Request, complete, read_params, send
from search.study.loop import Study
from search.study.pruners import make_pruner
from spaces import Boolean, Choice, Float, Int, Params, Space, narrow
from tests.fakes import ScriptedExecutor, toy_space
from tracking.event_log import EventLog
from tracking.history import History
from tracking.home import StudyFolder
from tracking.journal_lines import decode, encode
from tracking.objectives import OBJECTIVES
from tracking.records import Record, StudyStarted, TrialEnqueued, TrialTold

SPACE = toy_space(Int("units", 1, 100), Float("rate", 1e-4, 1.0, log=True))
RICH = toy_space(
    Int("units", 8, 64, step=8, default=16),
    Float("rate", 0.0, 0.5, step=0.1),
    Choice("kernel", (3, 5, (1, 3), "3")),
    Boolean("extra"),
    Int("more", 1, 4, when=("extra", True)),
    Int("epochs", 1, 100, default=10, fixed=True),
)
BASELINES: dict[str, Params] = {"small": {"units": 10, "rate": 0.1}}
OWN = ({"units": 70, "rate": 0.5}, {"units": 3, "rate": 0.25})
DRIVERS = [
    ("optuna", "tpe"),
    ("optuna", "cmaes"),
    pytest.param(("keras-tuner", "bayesian"), marks=pytest.mark.slow),
]


def good_when_large(params: Params, fold: int) -> float:
    return float(params["units"]) / 200 + fold / 100


class Kept:
    """A study whose journal and requests outlast its sessions."""

    def __init__(self, root: Path, driver: tuple[str, str] = ("optuna", "tpe")) -> None:
        self.folder = StudyFolder(root)
        self.notices: list[str] = []
        self._driver = driver
        self.records: list[Record] = [
            StudyStarted(
                at=time.time(),
                id="0" * 32,
                study="toy",
                space="toy",
                driver=driver[0],
                settings={},
                parameters=[],
                dataset={},
                folds=3,
                folds_digest="",
            )
        ]

    def run(
        self,
        executor: ScriptedExecutor,
        *,
        trials: int,
        enqueue: Sequence[Params] = (),
        pruner: str = "none",
    ) -> str:
        log = EventLog(self.history, None, self.records.append)
        intake = Intake(
            self.folder,
            SPACE,
            log.history,
            log.append,
            baselines=BASELINES,
            notify=self.notices.append,
        )
        intake.take(Request([Entry(params) for params in enqueue]))
        intake.collect()
        study = Study(
            history=log.history,
            record=log.append,
            driver=make_driver(*self._driver, SPACE, seed=3),
            pruner=make_pruner(pruner, OBJECTIVES["cv_accuracy"]),
            executor=executor,
            budget=Budget(baselines=BASELINES, trials=trials),
            collect=intake.collect,
        )
        return study.run()

    def send(self, *params: Params) -> list[str]:
        entries = [Entry(one) for one in params]
        return send(entries, self.folder, self.history, SPACE, baselines=BASELINES)[1]

    @property
    def history(self) -> History:
        return History.of(self.records)

    @property
    def origins(self) -> list[str]:
        return [trial.started.origin for _, trial in sorted(self.history.trials.items())]

    @property
    def proposals(self) -> list[Params]:
        return [trial.started.parameters for _, trial in sorted(self.history.trials.items())]


def test_enqueued_params_come_after_the_baselines_and_count_towards_the_trials(tmp_path):
    study = Kept(tmp_path)
    assert study.run(ScriptedExecutor(good_when_large), trials=5, enqueue=OWN) == "complete"
    assert study.origins == ["baseline:small", "enqueued", "enqueued", "sampled", "sampled"]
    assert study.proposals[1:3] == list(OWN)
    assert study.history.enqueued == []


def test_what_does_not_fit_into_the_trials_waits_for_more_of_them(tmp_path):
    study = Kept(tmp_path)
    study.run(ScriptedExecutor(good_when_large), trials=2, enqueue=OWN)
    assert study.origins == ["baseline:small", "enqueued"]
    assert [waiting.parameters for waiting in study.history.enqueued] == [OWN[1]]
    study.run(ScriptedExecutor(good_when_large), trials=4)
    assert study.origins == ["baseline:small", "enqueued", "enqueued", "sampled"]


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("interrupt_after", [1, 3, 5, 13])
def test_a_study_interrupted_after_enqueuing_goes_on_as_if_it_had_not_been(
    tmp_path, interrupt_after, driver
):
    whole, broken = Kept(tmp_path / "whole", driver), Kept(tmp_path / "broken", driver)
    whole.run(ScriptedExecutor(good_when_large), trials=8, enqueue=OWN)
    with pytest.raises(KeyboardInterrupt):
        broken.run(
            ScriptedExecutor(good_when_large, interrupt_after=interrupt_after),
            trials=8,
            enqueue=OWN,
        )
    broken.run(ScriptedExecutor(good_when_large), trials=8)
    assert broken.proposals == whole.proposals
    assert broken.origins == whole.origins


@pytest.mark.parametrize("driver", DRIVERS)
def test_params_sent_while_a_study_runs_are_its_next_trial_and_again_in_a_continuation(
    tmp_path, driver
):
    study = Kept(tmp_path, driver)

    def send_in_trial_3(params: Params, fold: int) -> float:
        if len(study.history.trials) == 4 and fold == 1:
            study.send(OWN[0])
        return good_when_large(params, fold)

    study.run(ScriptedExecutor(send_in_trial_3), trials=9)
    assert study.origins == ["baseline:small", *["sampled"] * 3, "enqueued", *["sampled"] * 4]
    assert list(study.folder.requests.iterdir()) == []
    again = Kept(tmp_path / "again", driver)  # a session that ended after trial 6
    again.records = [r for r in study.records if getattr(r, "trial", 0) <= 6]
    again.run(ScriptedExecutor(good_when_large), trials=9)
    assert again.proposals == study.proposals


def test_a_request_that_came_while_nobody_ran_the_study_is_taken_by_the_next_run(tmp_path):
    study = Kept(tmp_path)
    study.run(ScriptedExecutor(good_when_large), trials=2)
    assert study.send(*OWN) == []
    study.run(ScriptedExecutor(good_when_large), trials=5)
    assert study.origins[2:] == ["enqueued", "enqueued", "sampled"]


def test_a_crash_between_the_record_and_the_end_of_its_request_takes_nothing_twice(tmp_path):
    study = Kept(tmp_path)
    study.send(OWN[0])
    (request,) = study.folder.requests.iterdir()
    content = request.read_bytes()
    study.run(ScriptedExecutor(good_when_large), trials=3)
    request.write_bytes(content)
    study.run(ScriptedExecutor(good_when_large), trials=4)
    assert study.origins.count("enqueued") == 1
    assert study.notices == []
    assert not request.exists()


def test_known_params_are_told_of_and_not_evaluated_twice(tmp_path):
    study = Kept(tmp_path)
    study.run(ScriptedExecutor(good_when_large), trials=3, enqueue=[OWN[0], BASELINES["small"]])
    assert study.origins == ["baseline:small", "enqueued", "sampled"]
    (notice,) = study.notices
    assert notice == "params units=10, rate=0.1 are those of baseline small: they are not" + (
        " evaluated twice"
    )
    told = study.send(OWN[0], OWN[1], OWN[1])
    assert [one.split(" are ")[1].split(":")[0] for one in told] == [
        "those of trial 1",
        "enqueued already",
    ]
    assert study.send(OWN[1])[0].endswith("enqueued already: they are not evaluated twice")


def test_a_driver_does_not_propose_what_was_enqueued(tmp_path):
    study = Kept(tmp_path, ("fixed", "grid"))
    first = next(iter(SPACE.grid()))
    study.run(ScriptedExecutor(good_when_large), trials=4, enqueue=[first])
    assert study.origins == ["baseline:small", "enqueued", "sampled", "sampled"]
    assert study.proposals.count(first) == 1


def test_a_file_that_is_no_request_is_told_of_once_and_stops_nothing(tmp_path):
    study = Kept(tmp_path)
    study.folder.requests.mkdir(parents=True)
    (study.folder.requests / "0.json").write_text("{")
    study.send(OWN[0])
    study.run(ScriptedExecutor(good_when_large), trials=4)
    assert study.origins == ["baseline:small", "enqueued", "sampled", "sampled"]
    (notice,) = study.notices
    assert "0.json is no request" in notice


def test_params_that_no_longer_fit_the_space_are_left_out_with_the_reason(tmp_path):
    study = Kept(tmp_path)
    given = [{"units": 400, "rate": rate} for rate in (0.1, 0.2, 0.3)]
    given.append({"units": 500, "rate": 0.1})
    Request([*map(Entry, given), Entry(OWN[0])]).write(study.folder)
    study.run(ScriptedExecutor(good_when_large), trials=2)
    assert study.origins == ["baseline:small", "enqueued"]
    assert study.notices == [  # a line for each reason
        "params units=400, rate=0.1 and 2 others are left out: `units` must be within 1..100;"
        " got 400",
        "params units=500, rate=0.1 are left out: `units` must be within 1..100; got 500",
    ]


def test_enqueued_params_race_as_sampled_ones_do(tmp_path):
    study = Kept(tmp_path)
    own = [{"units": units, "rate": 0.5} for units in (90, 80, 70, 1, 2, 3)]
    study.run(ScriptedExecutor(good_when_large), trials=7, enqueue=own, pruner="racing")
    states = [trial.state for _, trial in sorted(study.history.trials.items())]
    assert states[0] == "complete"
    assert states[1] == "complete"
    assert states[6] == "pruned"


def test_the_records_keep_tuples_and_types():
    parameters = {"kernel": (1, 3), "rate": 0.5, "extra": True}
    for record in (
        TrialEnqueued(at=1.0, id="a:0", parameters=parameters, origin="enqueued"),
        TrialTold(
            at=1.0, id="a:0", parameters=parameters, origin="imported:a", objective="o", value=1.0
        ),
    ):
        assert decode(encode(record).rstrip(b"\n")) == record


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("units=32", {"units": 32}),
        ("units=32, rate=0.2", {"units": 32, "rate": 0.2}),
        ("kernel=(1, 3),units=8", {"kernel": (1, 3), "units": 8}),
        ('kernel="3"', {"kernel": "3"}),
        ("kernel=3", {"kernel": 3}),
        ("extra=on,more=2", {"extra": True, "more": 2}),
    ],
)
def test_params_are_read_as_set_reads_values(text, expected):
    (found,) = read_params(text, RICH)
    assert found == complete(expected, RICH)
    assert found["epochs"] == 10
    for name, value in expected.items():
        assert found[name] == value
        assert type(found[name]) is type(value)


def test_a_json_file_holds_one_setting_or_a_list_of_them(tmp_path):
    one, several = tmp_path / "one.json", tmp_path / "several.json"
    one.write_text(json.dumps({"units": 32.0, "kernel": [1, 3], "extra": 1}))
    several.write_text(json.dumps([{"units": 8}, {}]))
    found = read_params([str(one), several, {"units": 64}], RICH)
    assert [params["units"] for params in found] == [32, 8, 16, 64]
    assert found[0]["kernel"] == (1, 3)
    assert found[0]["extra"] is True
    assert type(found[0]["units"]) is int


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("units=33", "`units` must be within 8..64 step 8; got 33"),
        ("units=many", "`units` must be within 8..64 step 8; got 'many'"),
        ("unit=32", "toy has no parameter `unit`; did you mean units?"),
        ("more=2", "`more` is active only if `extra` is True"),
        ("kernel=4", "`kernel` must be within 3 | 5 | (1, 3) | \"3\"; got '4'"),
        ("units=8,units=16", "`units` is given twice"),
        ("units", "must be NAME=VALUE, several separated by commas, or a JSON file"),
        ('kernel="3', "quotes"),
        ({"extra": "yes"}, "`extra` must be within off | on; got 'yes'"),
        ({"units": True}, "`units` must be within 8..64 step 8; got True"),
        ({"rate": float("nan")}, "`rate` must be within"),
        (7, "must be params, a name and a value each, or a list of them; got 7"),
        ("missing.json", "cannot be read"),
    ],
)
def test_wrong_params_are_refused_with_rule_and_value(given, message):
    with pytest.raises(SettingsError) as refused:
        read_params(given, RICH)
    assert message in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_all_wrong_params_are_told_at_once():
    with pytest.raises(SettingsError) as refused:
        read_params(["units=33", "units=8", "rate=7"], RICH)
    assert [line.split(":")[0] for line in str(refused.value).splitlines()] == [
        "`--enqueue` units=33",
        "`--enqueue` rate=7",
    ]


@pytest.mark.parametrize("content", ["[]", "3", "[3]", "{", '"units"'])
def test_a_file_without_params_is_refused(tmp_path, content):
    path = tmp_path / "own.json"
    path.write_text(content)
    with pytest.raises(SettingsError, match=r"own\.json"):
        read_params(str(path), RICH)


def test_a_value_that_the_study_holds_for_all_trials_cannot_be_enqueued_otherwise():
    narrowed: Space = narrow(RICH, {"epochs": "3", "extra": "on"}).space
    assert read_params("epochs=3", narrowed)[0]["epochs"] == 3
    with pytest.raises(SettingsError, match="`epochs` is 3 for all trials of the study; got 5"):
        read_params("epochs=5", narrowed)
    with pytest.raises(SettingsError, match="`extra` is on for all trials of the study; got 'off'"):
        read_params("extra=off", narrowed)
