"""A home with two studies of one dataset, in MLflow: trials of every end, and no training."""

from dataclasses import replace
from pathlib import Path

from tests.browser.serving import search
from tests.studies import StudyBuilder
from tracking.home import Home
from tracking.records import SessionEnded

RACED, OTHER = "lenet-digits", "mlp-digits"


def make_home(root: Path) -> None:
    """Write both studies' journals to a home at `root`, and bring them to its MLflow."""
    home = Home(root)
    for study in (raced(), other()):
        study.write(home.study(study.records[0].study).journal)
    search(root.parent, "sync", "--home", str(root))


def raced() -> StudyBuilder:
    """Return a study with a baseline, two better trials, one pruned and one failed."""
    study = StudyBuilder(RACED)
    study.records[0].settings["pruner"] = "racing"
    study.session(trials=5)
    study.complete_trial(0, level=0.80, origin="baseline:lenet5")
    study.complete_trial(1, level=0.85)
    study.complete_trial(2, level=0.83)
    study.start_trial(3)
    study.fold(3, 1, epochs=2, level=0.7)
    reason = "in fold 1 after epoch 2: accuracy 0.7000 is not in the better half of 4 trials"
    study.end_trial(3, "pruned", reason=reason, confusion=[], report={})
    study.start_trial(4)
    study.fold(4, 1, epochs=1, level=0.6)
    study.end_trial(4, "failed", reason="out of memory", error="Traceback ...\nMemoryError")
    study.add(SessionEnded, reason="complete")
    return study


def other() -> StudyBuilder:
    """Return a study of another space with a baseline and two more trials."""
    study = StudyBuilder(OTHER, "fedcba9876543210" * 2)
    study.records[0] = replace(study.records[0], space="mlp")
    study.session(trials=3)
    study.complete_trial(0, level=0.75, origin="baseline:small")
    study.complete_trial(1, level=0.78)
    study.complete_trial(2, level=0.84)
    study.add(SessionEnded, reason="complete")
    return study
