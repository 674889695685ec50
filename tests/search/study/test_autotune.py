"""Which way to compute is chosen, and for which studies it is worth measuring."""

import numpy as np
import pytest

from search.data.folds import Folds
from search.errors import FoldwiseError
from search.executors.protocol import ProbeResult
from search.study.autotune import (
    ExecutionRequest,
    _samples_held,
    key_for,
    plan_for,
    recall,
    remember,
)
from search.study.execution import ExecutionMode, ExecutionPlan, Load, fastest

LONG = Load(folds=1000, epochs=10, samples=10_000)
SMALL = Load(folds=6, epochs=2, samples=1_000)


def mode(workers=1, precision="float32", rate=100.0, accuracy=0.8, checked=1000):
    return ExecutionMode(workers, 0 if workers == 1 else 1, precision, rate, accuracy, checked)


class Machine:
    """Stands in for worker processes; tells the rates it was made with."""

    def __init__(self, rates, accuracies=None, broken=()):
        self.rates, self.accuracies, self.broken = rates, accuracies or {}, broken
        self.started, self.closed, self.probes = [], [], []

    def start(self, asked):
        machine = self
        self.started.append(asked.workers)

        class Workers:
            adopted = ""

            def load(self):
                if "load" in machine.broken:
                    raise FoldwiseError("the space cannot be imported")

            def probe(self, probes, *, longest):
                assert longest <= 60
                assert len(probes) == asked.workers
                precision = probes[0].precision
                machine.probes.append((asked.workers, precision, [one.steps for one in probes]))
                if (asked.workers, precision) in machine.broken:
                    raise FoldwiseError("a layer cannot compute in this precision")
                rate = machine.rates[asked.workers, precision]
                accuracy = machine.accuracies.get(precision, 0.8)
                return [
                    ProbeResult(int(rate), asked.workers, 7 + number, accuracy, 1000)
                    for number in range(asked.workers)
                ]

            def adopt(self, precision):
                self.adopted = precision

            def close(self):
                machine.closed.append(asked.workers)

        return Workers()


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setattr("search.study.autotune.auto_workers", lambda samples: 2)
    monkeypatch.setattr("search.study.autotune.cores", lambda: 2)


def unheard(text):
    pass


def made(
    machine, *, workers=None, precision=None, trials=20, load=LONG, remembered=(), stage=unheard
):
    request = ExecutionRequest(workers, precision, trials)
    return plan_for(request, load, {}, remembered=remembered, start=machine.start, stage=stage)


RATES = {
    (1, "float32"): 100.0,
    (1, "mixed_bfloat16"): 140.0,
    (2, "float32"): 150.0,
    (2, "mixed_bfloat16"): 230.0,
}


def test_it_says_what_is_loaded_and_measured_when_it_is():
    told = []
    made(Machine(RATES), precision="float32", stage=told.append)
    assert told == [
        "loading TensorFlow in 2 workers",
        "measuring 2 workers x 1 thread, float32",
        "loading TensorFlow in 1 worker",
        "measuring 1 worker, float32",
    ]


def test_the_quickest_way_is_taken_and_its_workers_go_on():
    machine = Machine(RATES)
    plan, workers = made(machine)
    assert (plan.mode.workers, plan.mode.threads, plan.mode.precision) == (2, 1, "mixed_bfloat16")
    assert plan.mode.rate == pytest.approx(230)
    assert plan.origin == "measured"
    assert len(plan.measured) == 4
    assert workers.adopted == "mixed_bfloat16"
    assert (machine.started, machine.closed) == ([2, 1], [1])


def test_a_worker_trains_the_same_number_of_steps_in_all_ways():
    machine = Machine(RATES)
    made(machine)
    assert [steps for *_, steps in machine.probes] == [[0, 0], [7, 8], [7], [7]]


def test_a_way_that_cannot_be_computed_in_is_left_out():
    machine = Machine(RATES, broken=[(2, "mixed_bfloat16")])
    plan, workers = made(machine)
    assert (plan.origin, plan.mode.workers, plan.mode.precision) == ("measured", 2, "float32")
    assert workers is None  # those that failed are gone; others are started
    assert machine.closed == [2, 1]
    assert [(w.workers, w.precision) for w in plan.measured] == [
        (2, "float32"),
        (1, "float32"),
        (1, "mixed_bfloat16"),
    ]


def test_workers_score_the_same_samples_so_that_more_workers_do_not_make_scores_surer():
    plan, _ = made(Machine(RATES))
    assert {mode.checked for mode in plan.measured} == {1000}


def test_a_precision_that_scores_worse_is_not_taken_however_quick():
    plan, _ = made(Machine(RATES, accuracies={"mixed_bfloat16": 0.74}))
    assert (plan.mode.workers, plan.mode.precision) == (2, "float32")
    plan, _ = made(Machine(RATES, accuracies={"mixed_bfloat16": 0.79}))
    assert plan.mode.precision == "mixed_bfloat16"


def test_what_is_hardly_quicker_is_left_alone():
    rates = {**RATES, (2, "float32"): 105.0, (2, "mixed_bfloat16"): 108, (1, "mixed_bfloat16"): 99}
    plan, _ = made(Machine(rates))
    assert (plan.mode.workers, plan.mode.precision) == (1, "float32")


def test_nothing_is_measured_for_a_session_of_less_than_a_minute():
    machine = Machine(RATES)
    plan, _ = made(machine, load=Load(folds=1000, epochs=10, samples=10_000, limit=40.0))
    assert (plan.origin, machine.started) == ("usual", [])


def test_nothing_is_measured_for_a_small_study():
    machine = Machine(RATES)
    plan, workers = made(machine, load=SMALL)
    assert (plan.origin, plan.mode.workers, plan.mode.precision) == ("usual", 1, "float32")
    assert (machine.started, workers) == ([], None)


def test_a_study_of_middling_length_is_measured_for_with_the_workers_it_needs_anyway(monkeypatch):
    import search.study.autotune

    class Clock:
        now = 0.0

        def monotonic(self):
            Clock.now += 1.0
            return Clock.now

    monkeypatch.setattr(search.study.autotune, "time", Clock())
    machine = Machine({key: rate * 100 for key, rate in RATES.items()})
    load = Load(folds=50, epochs=4, samples=4_000)  # 61 s at 15,000 samples a second
    plan, _ = made(machine, load=load)
    assert machine.started == [2]
    assert {found.precision for found in plan.measured} == {"float32", "mixed_bfloat16"}
    assert plan.seconds <= 0.05 * load.seconds(15_000, workers=2)


@pytest.mark.parametrize(("workers", "precision"), [(1, "float32"), (3, "mixed_bfloat16")])
def test_what_the_user_says_is_not_measured(workers, precision):
    machine = Machine(RATES)
    plan, _ = made(machine, workers=workers, precision=precision)
    assert (plan.origin, plan.mode.workers, plan.mode.precision) == ("asked", workers, precision)
    assert machine.started == []


def test_only_what_the_user_left_open_is_chosen():
    machine = Machine(RATES)
    plan, _ = made(machine, workers=1)
    assert (plan.mode.workers, plan.mode.precision) == (1, "mixed_bfloat16")
    assert machine.started == [1]
    plan, _ = made(Machine(RATES), precision="float32")
    assert (plan.mode.workers, plan.mode.precision) == (2, "float32")


def test_there_are_no_more_workers_than_trials():
    plan, _ = made(Machine(RATES), trials=1)
    assert plan.mode.workers == 1


def test_what_was_measured_before_is_remembered_even_for_a_small_study(tmp_path):
    first, _ = made(Machine(RATES))
    path, key = tmp_path / "plans.json", key_for("lenet", "0123", {"batch_size": 32}, "")
    remember(path, key, first.measured)
    machine = Machine(RATES)
    for load in (LONG, SMALL):
        plan, workers = made(machine, load=load, remembered=recall(path, key))
        assert (plan.origin, plan.mode, workers) == ("remembered", first.mode, None)
    assert machine.started == []
    assert recall(path, key_for("mlp", "0123", {"batch_size": 32}, "")) == []
    assert recall(path, key_for("lenet", "0123", {"batch_size": 512}, "")) == []
    assert [found.name for found in tmp_path.iterdir()] == ["plans.json"]


def test_what_is_remembered_serves_those_who_leave_the_same_to_choose():
    wishes = [
        ExecutionRequest(None, None, 9),
        ExecutionRequest(None, "mixed_bfloat16", 9),
        ExecutionRequest(1, None, 9),
    ]
    keys = {key_for("lenet", "0123", {}, str(request)) for request in wishes}
    assert len(keys) == 3  # bfloat16 asked for was never held against float32
    assert key_for("lenet", "0123", {}, str(ExecutionRequest(None, None, 5))) in keys


def test_a_space_in_a_file_that_has_changed_is_measured_anew(tmp_path):
    file = tmp_path / "own.py"
    file.write_text("SPACE = 1")
    before = key_for(f"{file}:SPACE", "0123", {}, "")
    assert before == key_for(f"{file}:SPACE", "0123", {}, "")
    file.write_text("SPACE = 2")
    assert before != key_for(f"{file}:SPACE", "0123", {}, "")


def test_a_memory_that_cannot_be_written_leaves_nothing_behind(tmp_path):
    (tmp_path / "plans.json").mkdir()
    remember(tmp_path / "plans.json", "key", [mode()])
    assert [found.name for found in tmp_path.iterdir()] == ["plans.json"]


def test_what_was_left_out_for_want_of_time_is_measured_for_a_longer_study():
    known = [mode(2, rate=15_000.0)]
    middling = Load(folds=50, epochs=4, samples=4_000)
    machine = Machine({key: rate * 100 for key, rate in RATES.items()})
    plan, _ = made(machine, load=middling, remembered=known)
    assert (plan.origin, plan.mode.workers, machine.started) == ("remembered", 2, [])
    plan, _ = made(machine, load=LONG, remembered=known)
    assert (plan.origin, len(plan.measured)) == ("measured", 4)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"key": [{"workers": 1}]}', '{"key": 3}'])
def test_a_damaged_memory_is_no_fault(tmp_path, text):
    path = tmp_path / "plans.json"
    path.write_text(text)
    assert recall(path, "key") == []
    remember(path, "key", [mode()])
    assert recall(path, "key") == [mode()]


def test_where_nothing_can_be_measured_the_usual_way_is_taken():
    machine = Machine(RATES, broken=("load",))
    plan, workers = made(machine)
    assert (plan.origin, plan.mode.workers, workers) == ("usual", 1, None)
    assert machine.closed == [2]


def test_measuring_that_is_interrupted_leaves_no_workers():
    machine = Machine({})  # has no rates: a KeyError stands for Ctrl-C
    with pytest.raises(KeyError):
        made(machine)
    assert machine.closed == [2]


class Reached(Exception):
    """The plan of a session was about to be made."""


def reached(tmp_path, monkeypatch, **asked):
    """Return the study as it is when workers are about to load it, and what the user was told."""
    from search import run_study

    told = []

    def of(opened, history, budget, stage):
        raise Reached(opened)

    monkeypatch.setattr("search.study.session.SessionWorkers.of", of)
    asked = {"space": "mlp", "dataset": "digits", "folds": 2, "confirm": 1} | asked
    with pytest.raises(Reached) as found:
        run_study(home=tmp_path, notify=told.append, **asked)
    return found.value.args[0], told


@pytest.mark.slow
def test_the_folds_that_confirm_are_there_before_workers_load(tmp_path, monkeypatch):
    opened, told = reached(tmp_path, monkeypatch, limit_samples=100)
    assert opened.folder.folds.exists()
    confirmation_folds = Folds.load(opened.folder.confirmation_folds)
    assert not np.intersect1d(confirmation_folds.used, opened.folds.used).size
    assert told[-1] == "--confirm: its folds are of 100 samples that the search does not use"
    assert _samples_held(opened) == 200
    again, told = reached(tmp_path, monkeypatch, limit_samples=100)  # the file is kept
    assert Folds.load(again.folder.confirmation_folds).digest == confirmation_folds.digest
    assert not any("--confirm" in text for text in told)


@pytest.mark.slow
def test_where_few_samples_are_left_confirmation_says_that_it_is_not_quite_independent(
    tmp_path, monkeypatch
):
    opened, told = reached(tmp_path, monkeypatch, limit_samples=1200)
    count = len(opened.dataset.train_labels)
    assert f"{count - 1200:,} of these are filled up to 1,200 with samples that it uses" in told[-1]
    assert _samples_held(opened) == count


@pytest.mark.slow
def test_a_session_records_what_its_confirmation_folds_are(tmp_path):
    from search import run_study

    asked = {"dataset": "digits", "folds": 2, "limit_samples": 100, "trials": 1, "epochs": 1}
    asked |= {"notify": lambda _: None, "home": tmp_path, "executor": "inline"}
    result = run_study(space="mlp", study="one", confirm=1, **asked)
    confirmation_folds = Folds.load(tmp_path / "studies" / "one" / "further_folds.npz")
    assert result.history.confirmation == {
        "digest": confirmation_folds.digest,
        "samples": 100,
        "unused": 100,
        "told": "the best and the best baseline on 4 more folds each: 8 folds, beside about 2"
        " folds of the search",
    }
    [trial] = result.history.confirmed()
    assert len(trial.finished_confirmation_folds()) == 4
    plain = run_study(space="mlp", study="two", **asked)
    assert plain.history.confirmation == {}


def test_the_plan_is_told_in_one_line():
    measured = (mode(2, rate=1500.0), mode(2, "mixed_bfloat16", rate=2300.4))
    plan = ExecutionPlan(fastest(measured), "measured", measured, seconds=7.2)
    assert plan.told() == (
        "2 workers x 1 thread, mixed_bfloat16: 2,300 samples/s (2 workers x 1 thread, float32"
        " 1,500), measured in 7 s"
    )
    assert ExecutionPlan(mode(rate=0.0), "usual").told() == "1 worker, float32"


def test_the_time_of_a_study_is_no_longer_than_it_may_run():
    assert LONG.seconds(1_000) > 100_000
    assert Load(folds=1000, epochs=10, samples=10_000, limit=60.0).seconds(1_000) == 60
