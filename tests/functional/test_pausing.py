"""Studies whose trials pause and go on, run by real processes: killed, damaged, side by side."""

import json

import pytest

from tests.faults.books import check_books
from tests.faults.processes import StudyRun

pytestmark = pytest.mark.slow

STUDY = (
    *("--space", "mlp", "--dataset", "digits", "--folds", "3", "--epochs", "8", "--study", "toy"),
    *("--limit-samples", "300", "--set", "batch_size=64", "--no-baselines", "--json"),
    *("--sampler", "random", "--trials", "6"),
)


def finished(run: StudyRun, *options: str) -> list[dict[str, object]]:
    """Run the study, or what is left of it, to its end; return its trials."""
    done = run.command("run", *STUDY, *options).wait(400)
    assert done.code == 0, done.err
    return done.json["trials"]


def outcomes(trials: list[dict[str, object]]) -> list[object]:
    return [(t["parameters"], t["state"], t["folds"], t["value"], t["reason"]) for t in trials]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The trials of a study with one worker that nothing interrupts, and with no pruner."""
    folder = tmp_path_factory.mktemp("alone")
    whole = StudyRun(folder / "racing")
    trials = finished(whole, "--workers", "1")
    check_books(whole.journal, whole.uri)
    return trials, finished(StudyRun(folder / "none"), "--workers", "1", "--pruner", "none")


@pytest.fixture
def killed(tmp_path):
    """The same study, killed when some trials wait and others have gone on."""
    run = StudyRun(tmp_path)
    command = run.command("run", *STUDY, "--workers", "1")
    run.wait_for("FoldPaused", 8, patience=400)
    command.kill_group()
    command.process.wait(30)
    yield run
    run.clean_up()


def test_the_winner_has_the_folds_that_it_has_without_a_pruner(alone):
    trials, unpruned = alone
    complete = [trial for trial in trials if trial["state"] == "complete"]
    assert complete
    for trial in complete:
        assert trial["folds"] == unpruned[trial["trial"]]["folds"]
    assert all(trial["state"] == "complete" for trial in unpruned)


def test_a_study_that_is_killed_between_pause_and_thaw_ends_as_if_it_had_not_been(alone, killed):
    known = len(killed.records("FoldStarted"))
    assert list((killed.study_folder / "checkpoints").iterdir())
    trials = finished(killed, "--workers", "1")
    assert outcomes(trials) == outcomes(alone[0])
    gone_on = [record for record in killed.records("FoldStarted")[known:] if record["fold"] == 1]
    assert gone_on
    assert all(record["kept"] for record in gone_on)
    assert not (killed.study_folder / "checkpoints").exists()
    check_books(killed.journal, killed.uri)


@pytest.mark.parametrize("damage", ["cut", "another", "gone"])
def test_what_was_kept_and_cannot_be_used_is_trained_again_and_nothing_else(alone, killed, damage):
    files = sorted((killed.study_folder / "checkpoints").glob("*.npz"))
    whole = [path.read_bytes() for path in files]
    for place, path in enumerate(files):
        if damage == "gone":
            path.unlink()
        else:
            path.write_bytes(whole[place][:500] if damage == "cut" else whole[place - 1])
    known = len(killed.records("FoldStarted"))
    trials = finished(killed, "--workers", "1")
    assert outcomes(trials) == outcomes(alone[0])
    later = killed.records("FoldStarted")[known:]
    assert not next(record["kept"] for record in later if record["fold"] == 1)
    check_books(killed.journal, killed.uri)


def test_two_workers_lose_nothing(tmp_path):
    run = StudyRun(tmp_path)
    trials = finished(run, "--workers", "2")
    assert {trial["state"] for trial in trials} == {"complete", "pruned"}
    assert not (run.study_folder / "checkpoints").exists()
    check_books(run.journal, run.uri)
    assert json.loads(run.here("show", "toy", "--json").out)
