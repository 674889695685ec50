"""The test set, opened once for a final model and recorded each time."""

import json
import time

import numpy as np

from search.analysis.comparison.intervals import over_folds, wilson
from search.data import Dataset
from search.data.folds import validation_share
from search.errors import DataError
from search.export.card import model_card
from search.export.code import open_model
from search.export.folder import CARD, METRICS, Code, ModelFolder
from search.export.predict import class_values
from search.tasks.outputs import SCORES
from search.tasks.scores import (
    Predictions,
    classification_report,
    confusion_matrix,
    macro_f1,
    score,
)
from tracking.history import History, TrialHistory
from tracking.records import TestSetOpened


def open_test_set(
    folder: ModelFolder, dataset: Dataset, trial: TrialHistory, *, by: str, code: Code | None = None
) -> TestSetOpened:
    """Score an exported model on the dataset's test set.

    Args:
        folder: the model.
        dataset: whose test set is opened.
        trial: the trial whose setting the model has.
        by: the command that opens it.
        code: registers the model's own classes, as `ModelFolder.load` takes it.

    Raises:
        DataError: the model is damaged, or is not for this dataset.
    """
    labels = folder.labels()
    if labels.classes != dataset.classes:
        raise DataError(f"{folder.path} knows other classes than dataset {dataset.name}")
    model = open_model(folder, labels, code)
    samples, truth = dataset.open_test()
    inputs = labels.encoder.encode(samples)
    values = class_values(model, inputs, labels)
    true_classes = np.asarray(truth)
    scores = score(values, true_classes)
    predictions = Predictions.of(values, true_classes)
    return TestSetOpened(
        at=time.time(),
        trial=trial.number,
        by=by,
        model_sha256=folder.model_sha256(),
        accuracy=scores.accuracy,
        loss=None if labels.outputs == SCORES else scores.loss,
        macro_f1=macro_f1(predictions, len(labels.classes)),
        confusion=confusion_matrix(predictions, len(labels.classes)),
        report=classification_report(predictions, labels.classes),
    )


def write_results(folder: ModelFolder, history: History) -> None:
    """Write the folder's `metrics.json` and `MODEL_CARD.md` from what the study knows now."""
    export = next(e for e in reversed(history.exports) if e.model_sha256 == folder.model_sha256())
    trial = history.trials[export.trial]
    ended = trial.ended
    folds = [fold.accuracy for fold in trial.finished_folds().values()]
    openings = [o for o in history.test_openings if o.model_sha256 == export.model_sha256]
    test = None
    if openings:
        last = openings[-1]
        interval = wilson(last.accuracy, sum(map(sum, last.confusion)))
        test = {
            "accuracy": last.accuracy,
            "accuracy_interval": interval,
            "loss": last.loss,
            "macro_f1": last.macro_f1,
        }
    metrics = {
        "model_sha256": export.model_sha256,
        "study": history.study.study if history.study else "",
        "space": history.known_study().space,
        "trial": export.trial,
        "parameters": trial.setting,
        "objectives": [objective.name for objective in history.objectives],
        "cross_validation": {
            **(ended.scores if ended else {}),
            "folds": folds,
            "cv_accuracy_interval": over_folds(
                folds, test_share=validation_share(history.known_study().folds)
            ),
        },
        "confirmed": trial.confirmed.scores if trial.confirmed else None,
        "test": test,
        "test_set_openings": len(history.test_openings),
        "model_parameters": export.model_parameters,
        "train_seconds": export.train_seconds,
        "models": export.models,
        "formats": export.formats,
        "alias": export.alias,
        "alias_reason": export.alias_reason,
    }
    folder.write(METRICS, json.dumps(metrics, indent=2) + "\n")
    folder.write(CARD, model_card(history, export, openings[-1] if openings else None))
