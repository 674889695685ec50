"""Studies whose scores follow from their settings, to see whether figures find that."""

import random

from tests.studies import StudyBuilder
from tracking.records import TrialStarted

PARAMETERS = [
    {"name": "decides", "kind": "float", "range": "0..1", "searched": True, "when": None},
    {"name": "idle", "kind": "float", "range": "0..1", "searched": True, "when": None},
    {"name": "switch", "kind": "boolean", "range": "off | on", "searched": True, "when": None},
    {"name": "inner", "kind": "int", "range": "1..9", "searched": True, "when": "switch=True"},
    {"name": "batch_size", "kind": "int", "range": "32", "searched": False, "when": None},
]


def made_study(
    trials=40, *, stopped=(), one_fold=(), driver="optuna", objective=None, folds=2, seed=1
) -> StudyBuilder:
    """Return a study whose accuracy is `0.6 + 0.3 * decides`.

    Trials in `stopped` were pruned after an epoch, those in `one_fold` after their first fold.
    """
    chance = random.Random(seed)  # noqa: S311 # no secret
    study = StudyBuilder("made", folds=folds, objective=objective)
    study.records[0].parameters[:] = PARAMETERS
    object.__setattr__(study.records[0], "driver", driver)
    study.session(trials)
    for trial in range(trials):
        params = {"decides": chance.random(), "idle": chance.random(), "batch_size": 32}
        params |= {"switch": chance.random() < 0.5, "epochs": study.epochs}
        if params["switch"]:
            params["inner"] = chance.randint(1, 9)
        level = 0.6 + 0.3 * params["decides"]
        study.add(TrialStarted, trial=trial, parameters=params, origin="sampled")
        if trial in stopped or trial in one_fold:
            study.fold(trial, 1, epochs=1 if trial in stopped else None, level=level)
            study.end_trial(trial, "pruned", epochs_trained=1, train_seconds=1.0, confusion=[])
            continue
        for fold in range(1, folds + 1):
            study.fold(trial, fold, level=level)
        study.end_trial(trial, "complete", level, epochs_trained=study.epochs * folds)
    return study
