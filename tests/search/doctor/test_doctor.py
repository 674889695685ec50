import itertools
import json
import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from search.data.splits import make_folds
from search.doctor import examine_home
from search.doctor.home import FEW_BYTES, LOW_BYTES, NOTICE, OK, PROBLEM, Place, version_findings
from search.doctor.mlflow import differences
from search.errors import SettingsError
from search.studies import study_history
from search.study.budget import Budget
from search.study.drivers import make_driver
from search.study.loop import Study
from search.study.pruners import NoPruner
from search.tasks.classification import ClassPredictions
from search.tracker import Tracker
from spaces import Int
from tests.fakes import ScriptedExecutor, toy_space
from tests.studies import StudyBuilder, consistent, lines_of
from tracking.event_log import EventLog
from tracking.history import History
from tracking.home import Home
from tracking.journal import Journal, encode, read_journal
from tracking.lock import StudyLock
from tracking.mlflow.delivery import Offset, address_key
from tracking.mlflow.store import TrialRun
from tracking.objectives import OBJECTIVES
from tracking.records import (
    EpochEnded,
    FoldEnded,
    FoldStarted,
    JournalRepaired,
    ModelExported,
    SessionEnded,
    StudyStarted,
    TestSetOpened,
    TrialEnded,
    TrialStarted,
)
from tracking.secrets import place_of


class Ward:
    """A home with studies, and what `doctor` says of it."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root / "mlruns")
        self.place = Place(self.home, Tracker(self.home))

    def add(self, study: StudyBuilder, *, told: bool = True) -> "Ward":
        """Write a study with its files, as if MLflow was told of it."""
        folder = self.home.study(study.records[0].study)
        study.records = consistent(study.records, folder)
        study.write(folder.journal)
        key = address_key(place_of(self.place.tracker.uri))
        if told:
            end = Offset(folder.journal.stat().st_size)
            end.store(folder.shipped, key)
        return self

    def examine(self, *names: str, repair: bool = False):
        return list(examine_home(self.place, names, repair=repair, notify=print))

    def find(self, check: str, *names: str, repair: bool = False):
        """Return the findings of one check, sound ones left out."""
        found = self.examine(*names, repair=repair)
        return [f for f in found if f.check == check and f.level != OK]

    @property
    def folder(self):
        return self.home.study("lenet-digits")

    @property
    def lines(self) -> list[bytes]:
        return self.folder.journal.read_bytes().splitlines(keepends=True)

    def rewrite(self, lines) -> None:
        self.folder.journal.write_bytes(b"".join(lines))

    def damage(self, kind: type, number: int = 0) -> int:
        """Change a byte in a line of the record's kind; return its index."""
        records = read_journal(self.folder.journal)
        index = [n for n, record in enumerate(records) if isinstance(record, kind)][number]
        lines = self.lines
        lines[index] = lines[index].replace(b'"at": 1', b'"at": 2')
        self.rewrite(lines)
        return index


@pytest.fixture
def ward(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return Ward(tmp_path)


def raced() -> StudyBuilder:
    study = StudyBuilder().every_kind_of_trial()
    study.add(SessionEnded, reason="interrupted")
    return study


# The home.


def test_a_home_that_is_well_has_no_finding_but_sound_ones(ward, monkeypatch):
    monkeypatch.setattr("search.doctor.home.free_bytes", lambda _: 10**12)
    ward.add(raced(), told=False)
    levels = {finding.check: finding.level for finding in ward.examine()}
    assert levels.pop("shipped") == NOTICE
    assert set(levels.values()) == {OK}
    assert set(levels) == {
        "home",
        "room",
        "versions",
        "journal",
        "lock",
        "session",
        "predictions",
        "scores",
    }


def test_a_home_that_does_not_exist_is_not_made(tmp_path):
    ward = Ward(tmp_path / "nowhere")
    assert "does not exist yet" in ward.examine()[0].text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("free", "level"),
    [(FEW_BYTES - 1, PROBLEM), (FEW_BYTES, NOTICE), (LOW_BYTES - 1, NOTICE), (LOW_BYTES, OK)],
)
def test_little_room_is_told_by_how_little(ward, monkeypatch, free, level):
    monkeypatch.setattr("search.doctor.home.free_bytes", lambda _: free)
    [room] = [f for f in ward.examine() if f.check == "room"]
    assert room.level == level


def test_a_full_disk_is_no_home(small_disk):
    ward = Ward(small_disk(64))
    ward.home.root.mkdir()
    (ward.home.root / "ballast").write_bytes(bytes(62_000))
    [home] = ward.find("home")
    assert (home.level, "No space left" in home.text) == (PROBLEM, True)
    assert ward.find("room")[0].level == PROBLEM


@pytest.mark.parametrize(
    ("wanted", "level", "words"),
    [
        (["python>=3.11,<4", "numpy<90,>=2.0"], OK, "python 3"),
        (["numpy>=99.1"], PROBLEM, "is installed; numpy>=99.1 is needed"),
        (["numpy>=1.0,<2"], PROBLEM, "is installed; numpy<2,>=1.0 is needed"),
        (["no-such-package>=1.0"], PROBLEM, "no-such-package is not installed"),
        (["no-such-package>=1.0; extra == 'more'"], OK, "python 3"),
        (["no-such-package>=1.0; python_version < '3'"], OK, "python 3"),
        (["python>=4.0"], PROBLEM, "python>=4.0 is needed"),
        (None, NOTICE, "foldwise is not installed"),
    ],
)
def test_versions_are_compared_with_what_is_asked_for(wanted, level, words):
    [finding] = version_findings(wanted)
    assert finding.level == level
    assert words in finding.text


def test_a_version_is_compared_by_its_numbers(monkeypatch):
    monkeypatch.setattr("search.environment.version", lambda _: "2.10.0rc1")
    assert [f.level for f in version_findings(["x>=2.9"])] == [OK]
    assert [f.level for f in version_findings(["x>=2.10"])] == [OK]
    assert [f.command for f in version_findings(["x>=2.11"])] == ["python -m pip install 'x>=2.11'"]


def test_an_unknown_study_is_refused_with_the_near_ones(ward):
    ward.add(raced())
    with pytest.raises(SettingsError, match="did you mean lenet-digits"):
        ward.examine("lenet-digit")


# A study.


def test_a_torn_end_is_a_notice_unless_the_study_is_being_run(ward):
    ward.add(raced())
    ward.rewrite([*ward.lines, b'{"crc":"12'])
    [finding] = ward.find("journal")
    assert finding.level == NOTICE
    assert "ends in 10 bytes left by a crash" in finding.text
    with StudyLock(ward.folder.lock):
        assert ward.find("journal") == []
        [lock] = ward.find("lock")
        assert f"process {os.getpid()}" in lock.text


def test_a_closed_journal_that_was_emptied_is_a_problem_that_no_repair_mends(ward):
    ward.add(raced())
    with Journal(ward.folder.journal) as journal:
        journal.append(SessionEnded(at=1_800_000_000.0, reason="complete"))
    ward.folder.journal.write_bytes(b"")
    [finding] = ward.find("journal")
    assert finding.level == PROBLEM
    assert "holds no record, but did when it was last closed" in finding.text
    assert finding.command == ""


def test_a_damaged_line_is_a_problem_with_its_position_and_remedy(ward):
    ward.add(raced())
    index = ward.damage(FoldEnded)
    [finding] = ward.find("journal")
    assert finding.level == PROBLEM
    position = sum(map(len, ward.lines[:index]))
    assert f"line {index + 1} (at byte {position:,}): its checksum" in finding.text
    assert "(FoldEnded of trial 0, fold 1)" in finding.text
    assert finding.command.startswith("foldwise doctor lenet-digits --repair --home ")


def test_a_lock_file_that_nobody_holds_is_harmless(ward):
    ward.add(raced())
    ward.folder.lock.write_text('{"pid": 1, "host": "box"}')
    [lock] = [f for f in ward.examine() if f.check == "lock"]
    assert (lock.level, "no process holds" in lock.text) == (OK, True)


def test_a_session_that_broke_off_is_told_with_what_is_unfinished(ward):
    ward.add(StudyBuilder().every_kind_of_trial())
    [finding] = ward.find("session")
    assert finding.level == NOTICE
    assert "unfinished: trial 4 (no fold finished)" in finding.text
    assert "run --study lenet-digits --trials 6" in finding.command


def test_folds_without_whole_predictions_are_to_be_trained_again_unless_their_trial_dropped_out(
    ward,
):
    study = raced()
    study.session()
    study.fold(4, 1)
    ward.add(study)
    study.fold(2, 1)
    ward.add(study)
    for trial in (0, 2, 4):
        ward.folder.predictions(trial, 1).write_bytes(b"")
    problem, notice = ward.find("predictions")
    assert (problem.level, notice.level) == (PROBLEM, NOTICE)
    assert "trial 0 fold 1, trial 4 fold 1" in problem.text
    assert "trial 2 fold 1" in notice.text
    assert "--repair" in problem.command
    ward.examine(repair=True)
    history = study_history(ward.folder)
    assert [sorted(history.trials[n].finished_folds()) for n in (0, 2, 4)] == [[2], [1], []]
    assert history.trials[0].reopened


def test_old_temporary_files_are_told_and_young_ones_left_alone(ward):
    ward.add(raced())
    names = ["shipped.json.12.tmp", ".folds.npz.1a2b3c4d", "predictions/.trial-0.npz.1a2b3c4d"]
    for name in [*names, "notes.txt", ".hidden"]:
        (ward.folder.root / name).write_bytes(b"12")
    dataset = ward.home.root / "datasets" / "digits-12"
    dataset.mkdir(parents=True)
    (dataset / ".train.npy.1a2b3c4d").touch()
    assert ward.find("leftovers") == []
    for path in ward.home.root.rglob("*"):
        os.utime(path, (0, time.time() - 7200))
    of_home, of_study = ward.find("leftovers")
    assert of_home.command == f"rm -r -- {dataset / '.train.npy.1a2b3c4d'}"
    assert "3 temporary files left by a crash, 6 bytes" in of_study.text
    assert all(str(ward.folder.root / name) in of_study.command for name in names)


def test_a_journal_without_its_first_record_cannot_be_repaired(ward):
    ward.add(raced())
    ward.damage(StudyStarted)
    before = ward.folder.journal.read_bytes()
    found = ward.find("journal", repair=True) + ward.find("repair", repair=True)
    assert [finding.level for finding in found] == [PROBLEM, PROBLEM]
    assert all("what the study is" in finding.text for finding in found)
    assert ward.folder.journal.read_bytes() == before


def test_a_study_that_never_began_is_a_notice(ward):
    ward.folder.root.mkdir(parents=True)
    ward.folder.journal.write_bytes(b"")
    assert [f.level for f in ward.examine() if f.study] == [NOTICE, OK]


# Repairs.


def test_a_repair_sets_aside_the_damaged_line_and_what_builds_on_it(ward):
    ward.add(raced())
    before = read_journal(ward.folder.journal)
    index = ward.damage(FoldStarted, 2)  # of trial 1: its epochs and its score go too
    damaged = ward.folder.journal.read_bytes()
    [told] = ward.find("repair", repair=True)
    assert told.level == NOTICE
    records = History.of(read_journal(ward.folder.journal))
    assert list(records.trials[1].folds) == [2]
    assert f"line {index + 1} (FoldStarted of trial 1, fold 1: its checksum" in told.text
    assert "with 4 records that depend on lost ones" in told.text
    assert ward.folder.journal.with_name("journal.jsonl.before-repair").read_bytes() == damaged
    text = ward.folder.journal.with_name("journal.jsonl.damaged").read_text()
    aside = [json.loads(line) for line in text.splitlines()]
    assert [entry["line"] for entry in aside] == list(range(index + 1, index + 6))
    assert aside[1]["reason"] == "it tells of fold 1 of trial 1, which never began"
    *kept, told = read_journal(ward.folder.journal)
    assert isinstance(told, JournalRepaired)
    lost = set(range(index, index + 5))
    assert kept == [record for n, record in enumerate(before) if n not in lost]
    assert not ward.folder.shipped.exists()
    assert ward.find("journal") == []


@pytest.mark.slow
def test_each_repair_keeps_a_copy_of_its_own(ward):
    ward.add(raced())
    for _ in range(3):
        ward.damage(EpochEnded)
        ward.examine(repair=True)
    names = sorted(path.name for path in ward.folder.root.glob("journal.jsonl.b*"))
    endings = ["before-repair", "before-repair-2", "before-repair-3"]
    assert names == [f"journal.jsonl.{ending}" for ending in endings]


def test_a_sound_record_that_is_glued_to_a_torn_one_is_kept(ward):
    ward.add(raced())
    lines, before = ward.lines, read_journal(ward.folder.journal)
    lines[5] = lines[5][:40]
    ward.rewrite(lines)
    [told] = ward.find("repair", repair=True)
    assert "1 record lost" in told.text
    assert read_journal(ward.folder.journal)[:-1] == before[:5] + before[6:]


def test_a_sound_journal_is_not_repaired(ward):
    ward.add(raced(), told=False)
    before = sorted(ward.folder.root.rglob("*"))
    assert ward.find("repair", repair=True) == []
    assert sorted([*before, ward.folder.lock]) == sorted(ward.folder.root.rglob("*"))


@pytest.mark.slow
def test_a_study_that_is_being_run_is_not_repaired(ward):
    ward.add(raced())
    ward.damage(FoldEnded)
    before = ward.folder.journal.read_bytes()
    with StudyLock(ward.folder.lock):
        [told] = ward.find("repair", repair=True)
    assert told.level == PROBLEM
    assert "not repaired: the study is being run by process" in told.text
    assert ward.folder.journal.read_bytes() == before


def test_a_repair_without_room_leaves_everything_as_it_was(small_disk):
    ward = Ward(small_disk(64)).add(raced())
    index = ward.damage(FoldEnded)
    ballast = ward.home.root / "ballast"
    with ballast.open("wb", buffering=0) as file:
        while file.write(bytes(1024)) == 1024:
            if ward_free(ward) < 8192:
                break
    before = {p: p.read_bytes() for p in ward.folder.root.rglob("*") if p.is_file()}
    [told] = ward.find("repair", repair=True)
    assert (told.level, index > 0) == (PROBLEM, True)
    assert "was not repaired: the disk is full" in told.text
    after = {p: p.read_bytes() for p in ward.folder.root.rglob("*") if p.is_file()}
    after.pop(ward.folder.lock)
    assert after == before


def ward_free(ward: Ward) -> int:
    disk = os.statvfs(ward.home.root)
    return disk.f_bavail * disk.f_frsize


def test_folds_whose_predictions_are_lost_are_trained_again(ward):
    study = raced()
    study.session()
    study.fold(4, 1)
    ward.add(study)
    ward.folder.predictions(4, 1).unlink()
    [told] = ward.find("repair", repair=True)
    assert "its predictions is missing or damaged" in told.text
    history = study_history(ward.folder)
    assert history.trials[4].finished_folds() == {}
    assert ward.find("predictions") == []


def test_an_export_of_a_lost_trial_is_left_out_and_the_numbers_of_others_stay(ward):
    study = raced()
    fields = {"curves": [], "train_seconds": 1.0, "model_parameters": 1, "requirements": []}
    study.add(ModelExported, trial=1, folder="/x", model_sha256="ab", **fields)
    ward.add(study)
    ward.damage(TrialStarted, 1)
    [told] = ward.find("repair", repair=True)
    history = study_history(ward.folder)
    assert sorted(history.trials) == [0, 2, 3, 4]
    assert history.exports == []
    assert "trial 1, from the start; trial 4 (no fold finished)" in told.text


SPACE = toy_space(Int("units", 1, 100))


def go_on(folder, trials: int) -> list[tuple[int, int]]:
    """Run a study on, as `run` would; return what was trained."""
    executor = ScriptedExecutor(lambda params, fold: params["units"] / 200 + fold / 100)
    with EventLog.open(folder, lambda: study_history(folder)) as log:
        study = Study(
            history=log.history,
            record=log.append,
            driver=make_driver("optuna", "tpe", SPACE, seed=3),
            pruner=NoPruner(OBJECTIVES["cv_accuracy"]),
            executor=executor,
            budget=Budget(trials=trials),
        )
        assert study.run() == "complete"
    return executor.trained


@pytest.fixture
def toy(ward):
    """A study of six complete trials of three folds, run by the study's own loop."""
    start = StudyBuilder("lenet-digits", folds=3).records[0]
    ward.folder.root.mkdir(parents=True)
    ward.folder.journal.write_bytes(encode(start))
    go_on(ward.folder, 6)
    for trial, fold in itertools.product(range(6), range(1, 4)):
        whole = ClassPredictions.of(np.eye(3), np.arange(3))
        whole.save(ward.folder.predictions(trial, fold))
    return ward


@pytest.mark.parametrize(
    ("kind", "number", "again"),
    [
        (FoldStarted, 7, [(2, 2)]),
        (FoldEnded, 4, [(1, 2)]),
        (TrialEnded, 3, []),
        (TrialStarted, 2, [(2, 1), (2, 2), (2, 3)]),
        (TrialStarted, 5, [(5, 1), (5, 2), (5, 3)]),
    ],
)
def test_a_repaired_study_goes_on_to_the_same_number_of_trials(toy, kind, number, again):
    toy.damage(kind, number)
    toy.examine(repair=True)
    assert go_on(toy.folder, 6) == again
    history = study_history(toy.folder)
    assert sorted(history.trials) == [0, 1, 2, 3, 4, 5]
    assert [trial.state for trial in history.finished()] == ["complete"] * 6


def test_folds_that_a_repair_lost_of_an_unfinished_trial_are_trained_again(toy):
    lost = toy.damage(FoldEnded, 10)  # trial 3, fold 2
    lines = toy.lines
    ended = [n for n, r in enumerate(lines) if b'"TrialEnded"' in r and b'"trial": 3' in r]
    del lines[ended[0]]
    toy.rewrite(lines)
    assert lost < ended[0]
    toy.examine(repair=True)
    assert go_on(toy.folder, 6) == [(3, 2)]


# What the records say.


def change(ward: Ward, kind: type, number: int = 0, **fields) -> None:
    """Change a record in a journal that stays sound."""
    records = read_journal(ward.folder.journal)
    index = [n for n, record in enumerate(records) if isinstance(record, kind)][number]
    records[index] = replace(records[index], **fields)
    ward.rewrite(lines_of(records))


def lose(ward: Ward, kind: type, number: int = 0) -> None:
    """Take a record out of a journal that stays sound."""
    records = read_journal(ward.folder.journal)
    del records[[n for n, record in enumerate(records) if isinstance(record, kind)][number]]
    ward.rewrite(lines_of(records))


def off(ward: Ward, name: str) -> dict:
    ended = next(r for r in read_journal(ward.folder.journal) if isinstance(r, TrialEnded))
    return {"scores": ended.scores | {name: ended.scores[name] + 1e-6}}


@pytest.mark.parametrize(
    ("harm", "check", "words"),
    [
        (lambda w: change(w, TrialEnded, **off(w, "cv_accuracy")), "scores", "its cv_accuracy is"),
        (lambda w: change(w, TrialEnded, **off(w, "cv_loss")), "scores", "the mean of its folds"),
        (lambda w: change(w, TrialEnded, value=0.5), "scores", "its value is 0.5, its cv_acc"),
        (lambda w: change(w, TrialEnded, **off(w, "macro_f1")), "predictions", "macro_f1 is"),
        (lambda w: change(w, TrialEnded, confusion=[[9]]), "predictions", "confusion matrix"),
        (lambda w: change(w, FoldEnded, accuracy=0.1), "predictions", "fold 1 has accuracy 0.1"),
        (lambda w: lose(w, FoldEnded, 1), "folds", "trial 0 lacks fold 2"),
    ],
)
def test_scores_that_do_not_come_of_their_folds_are_a_problem(ward, harm, check, words):
    ward.add(raced(), told=False)
    assert all(finding.level != PROBLEM for finding in ward.examine() if finding.study)
    harm(ward)
    [finding] = [f for f in ward.find(check) if words in f.text]
    assert finding.level == PROBLEM
    assert words in finding.text


@pytest.mark.parametrize(("share", "faults"), [(1, 0), (3 / 4, 0), (2 / 3, 1)])
def test_macro_f1_may_count_an_absent_class_as_0_as_in_earlier_versions(ward, share, faults):
    ward.add(raced(), told=False)
    started, *records = read_journal(ward.folder.journal)
    ended = next(record for record in records if isinstance(record, TrialEnded))
    absent = [[*row, 0] for row in ended.confusion] + [[0, 0, 0, 0]]
    f1 = ended.scores["macro_f1"] * share
    classes = [*started.classes, "Coat"]
    change(ward, StudyStarted, dataset={**started.dataset, "classes": classes})
    change(ward, TrialEnded, scores=ended.scores | {"macro_f1": f1}, confusion=absent)
    found = [f for f in ward.find("predictions") if "trial 0 " in f.text]
    assert len(found) == faults


def test_rounding_in_the_last_digits_is_no_difference(ward):
    ward.add(raced())
    ended = next(r for r in read_journal(ward.folder.journal) if isinstance(r, TrialEnded))
    scores = {name: score * (1 + 1e-12) for name, score in ended.scores.items()}
    change(ward, TrialEnded, scores=scores)
    assert ward.find("scores") == ward.find("predictions") == []


def test_a_lost_epoch_is_a_notice(ward):
    ward.add(raced())
    lose(ward, EpochEnded, 1)
    [finding] = ward.find("epochs")
    assert (finding.level, "trial 0 fold 1" in finding.text) == (NOTICE, True)


def test_predictions_for_other_samples_than_the_folds_are_to_be_made_anew(ward):
    folds = make_folds(np.arange(60) % 3, folds=2, seed=0)
    study = raced()
    study.records[0] = replace(study.records[0], folds_digest=folds.digest)
    ward.add(study)
    folds.save(ward.folder.folds)
    assert ward.find("predictions") == []
    short = ClassPredictions.load(ward.folder.predictions(1, 2))
    ClassPredictions.of(np.eye(3)[short.labels[:-1]], short.labels[:-1]).save(
        ward.folder.predictions(1, 2)
    )
    finding = ward.find("predictions")[0]
    assert "29 predictions for the fold's 30 samples" in finding.text
    make_folds(np.arange(60) % 3, folds=2, seed=1).save(ward.folder.folds)
    assert "original folds" in ward.find("folds")[0].text


def test_an_opening_of_the_test_set_without_its_export_is_a_problem(ward):
    study = raced()
    fields = {"accuracy": 0.9, "loss": 0.1, "macro_f1": 0.9, "confusion": [], "report": {}}
    study.add(TestSetOpened, trial=1, by="export", model_sha256="ab" * 32, **fields)
    ward.add(study)
    [finding] = ward.find("exports")
    assert (finding.level, "abababababab" in finding.text) == (PROBLEM, True)


def test_an_export_whose_opening_of_the_test_set_is_not_recorded_is_a_notice(ward):
    study = raced()
    fields = {"curves": [], "train_seconds": 1.0, "model_parameters": 1, "requirements": []}
    study.add(ModelExported, trial=1, folder="/x", model_sha256="ab", **fields)
    ward.add(study)
    assert [finding.level for finding in ward.find("exports")] == [NOTICE]


# Lines that do not follow each other.


@pytest.mark.slow
def test_a_missing_line_is_a_problem_and_the_repair_stays_visible(ward):
    ward.add(raced())
    lines = ward.lines
    ward.rewrite(lines[:7] + lines[8:])
    [finding] = ward.find("journal")
    assert "line 8 does not follow line 7: lines are missing" in finding.text
    ward.examine(repair=True)
    assert ward.find("journal") == []
    [repaired] = study_history(ward.folder).repairs
    assert (repaired.left_out, repaired.gaps) == (0, 1)
    assert (
        "with gaps that cannot be filled: line 8 does not follow" in ward.find("repaired")[0].text
    )
    assert ward.folder.journal.with_name("journal.jsonl.before-repair").read_bytes() == b"".join(
        lines[:7] + lines[8:]
    )


@pytest.mark.parametrize("number", [1, 6, 12])
@pytest.mark.parametrize("harm", ["doubled", "moved", "inserted"])
def test_lines_that_are_out_of_place_are_put_right_by_a_repair(ward, harm, number):
    ward.add(raced())
    lines, before = ward.lines, read_journal(ward.folder.journal)
    other = lines_of([*before[:3], replace(before[3], at=7.0)])[3]
    ward.rewrite(
        {
            "doubled": [*lines[:9], lines[number], *lines[9:]],
            "moved": [*lines[:number], lines[number + 1], lines[number], *lines[number + 2 :]],
            "inserted": [*lines[:number], encode(before[1]), other, *lines[number:]],
        }[harm]
    )
    assert ward.find("journal")[0].level == PROBLEM
    ward.examine(repair=True)
    assert read_journal(ward.folder.journal)[:-1] == before
    [repaired] = study_history(ward.folder).repairs
    assert repaired.left_out == {"doubled": 1, "moved": 0, "inserted": 2}[harm]


@pytest.mark.slow
def test_a_lost_end_is_a_problem_until_it_is_given_up(ward):
    ward.add(raced())
    with Journal(ward.folder.journal) as journal:
        journal.append(read_journal(ward.folder.journal)[-1])
    ward.rewrite(ward.lines[:-1])
    [finding] = ward.find("journal")
    assert "its end is missing: it has" in finding.text
    ward.examine(repair=True)
    assert ward.find("journal") == []
    assert study_history(ward.folder).repairs[0].gaps == 1


# MLflow.


def runs_of(history: History) -> list[TrialRun]:
    status = {"failed": "FAILED", "pruned": "KILLED", "running": "SCHEDULED"}
    return [
        TrialRun(n, trial.state, status.get(trial.state, "FINISHED"), f"id{n}")
        for n, trial in history.trials.items()
    ]


def test_books_that_agree_have_no_differences():
    history = raced().history
    assert differences(history, runs_of(history)) == []


@pytest.mark.parametrize(
    ("number", "run", "words"),
    [
        (0, [], "missing: trial 0"),
        (1, ["complete FINISHED"] * 2, "more than once: trial 1"),
        (1, ["running RUNNING"], "still running in MLflow: trial 1"),
        (4, ["running RUNNING"], "still running in MLflow: trial 4"),
        (
            3,
            ["failed FINISHED"],
            "different outcome: trial 3 is failed in MLflow, failed in the journal",
        ),
        (
            2,
            ["complete FINISHED"],
            "different outcome: trial 2 is complete in MLflow, pruned in the journal",
        ),
    ],
)
def test_each_difference_between_the_books_is_told(number, run, words):
    history = raced().history
    others = [each for each in runs_of(history) if each.number != number]
    changed = [TrialRun(number, *each.split(), f"new{n}") for n, each in enumerate(run)]
    assert differences(history, others + changed) == [words]


def test_trials_of_a_session_that_broke_off_may_be_shown_as_running():
    history = StudyBuilder().every_kind_of_trial().history
    runs = [each for each in runs_of(history) if each.number != 4]
    assert differences(history, [*runs, TrialRun(4, "running", "RUNNING", "x")]) == []


def test_a_store_that_vanished_is_a_problem_and_is_not_made_by_looking(ward):
    ward.add(raced())
    [finding] = ward.find("mlflow")
    assert finding.level == PROBLEM
    assert "missing: trial 0, 1, 2, 3, 4" in finding.text
    assert not ward.home.database.exists()


def test_a_database_that_cannot_be_asked_is_one_problem_with_its_remedy(ward, monkeypatch):
    asked = []

    def refuse(uri, study_id):
        asked.append(study_id)
        raise ConnectionError("refused by http://me:secret@host/")

    monkeypatch.setattr("search.tracker.trial_runs", refuse)
    ward.home.root.mkdir()
    ward.home.database.touch()
    ward.add(raced()).add(StudyBuilder("other", "f" * 32))
    [finding] = ward.find("mlflow")
    assert (finding.level, finding.study, len(asked)) == (PROBLEM, "", 1)
    assert "cannot be read (refused by http://***@host/)" in finding.text
    assert f"Move {ward.home.database} away" in finding.text
    assert "doctor" in finding.command


def test_a_server_that_cannot_be_asked_is_one_notice(tmp_path, monkeypatch):
    def refuse(uri, study_id):
        raise ConnectionError("refused")

    monkeypatch.setattr("search.tracker.trial_runs", refuse)
    ward = Ward(tmp_path)
    ward.place = Place(ward.home, Tracker(ward.home, "http://127.0.0.1:9"))
    ward.add(raced()).add(StudyBuilder("other", "f" * 32))
    [finding] = ward.find("mlflow")
    assert (finding.level, finding.study) == (NOTICE, "")


def test_runs_that_the_journal_does_not_know_are_a_notice(ward, monkeypatch):
    study = raced()
    more = [*runs_of(study.history), TrialRun(9, "complete", "FINISHED", "x")]
    monkeypatch.setattr("search.tracker.trial_runs", lambda *_: more)
    ward.add(study).home.database.touch()
    [finding] = ward.find("mlflow")
    assert finding.level == NOTICE
    assert "runs of trials that the journal lacks: trial 9" in finding.text


def test_a_damaged_end_does_not_wait_for_mlflow(ward):
    ward.add(raced())
    ward.rewrite([*ward.lines, b"garbage\n", b"more\n"])
    assert ward.find("shipped") == []


def test_records_that_were_refused_are_a_notice(ward):
    ward.add(raced())
    key = address_key(place_of(ward.place.tracker.uri))
    size = ward.folder.journal.stat().st_size
    Offset(size, 2).store(ward.folder.shipped, key)
    [finding] = ward.find("shipped")
    assert "refused 2 records" in finding.text


@pytest.mark.slow
def test_what_mlflow_lost_is_told_again_by_a_repair(ward):
    ward.add(raced(), told=False)
    assert ward.place.tracker.sync(ward.folder, print) == 0
    assert ward.find("mlflow") == ward.find("shipped") == []
    from tracking.mlflow.sink import open_store, trial_runs

    study = raced().records[0]
    client = open_store(ward.place.tracker.uri, artifacts=None).client
    runs = trial_runs(ward.place.tracker.uri, study.id)
    assert [(run.number, run.state) for run in runs][:2] == [(0, "complete"), (1, "complete")]
    client.delete_run(runs[1].id)
    client.update_run(runs[2].id, status="RUNNING")
    [finding] = ward.find("mlflow")
    assert finding.level == PROBLEM
    assert "missing: trial 1; still running in MLflow: trial 2" in finding.text
    [told] = ward.find("repair", repair=True)
    assert (told.level, told.text) == (NOTICE, "everything was published to MLflow again")
    assert ward.find("mlflow") == []
    assert trial_runs(ward.place.tracker.uri, "no such study") is None
