"""Trial ends that the coordinator puts together, against scikit-learn on the same predictions."""

import numpy as np
import pytest
from sklearn.metrics import classification_report, confusion_matrix, f1_score

from search.data.splits import make_folds
from search.study.trial_end import Ending, OutOfFold, Spent, TrialEnds
from search.tasks.classification import ClassPredictions
from tests.studies import GivenValues
from tracking.home import StudyFolder
from tracking.records import EpochEnded, FoldEnded, FoldStarted

CLASSES = ("a", "b", "c")
LABELS = np.arange(90) % 3
FOLDS = make_folds(LABELS, folds=3, seed=0)
MODEL = {"parameters": 17, "summary": "a model"}


@pytest.fixture
def study(tmp_path):
    return Scored(StudyFolder(tmp_path))


class Scored(GivenValues):
    """A study of three folds whose predictions are on the disk."""

    def __init__(self, folder: StudyFolder, objective: str = "cv_accuracy") -> None:
        super().__init__(folds=3, objective=objective)
        self.folder = folder
        self.ends = TrialEnds(self.history, OutOfFold(folder, FOLDS, LABELS, CLASSES))
        self.source = np.random.default_rng(7)
        self.predicted: dict[int, np.ndarray] = {}

    def scored_fold(self, fold: int, **fields: object) -> None:
        labels = LABELS[FOLDS.validation[fold - 1]]
        shares = self.source.dirichlet((1, 1, 1), len(labels)) + np.eye(3)[labels] / 2
        made = ClassPredictions.of(shares, labels)
        path = self.folder.predictions(0, fold)
        made.save(path)
        self.predicted[fold] = made.predicted
        self.add(FoldStarted, trial=0, fold=fold, device="CPU")
        self.add(
            EpochEnded, trial=0, fold=fold, epoch=1, metrics={}, model=MODEL if fold == 1 else {}
        )
        self.add(
            FoldEnded,
            trial=0,
            fold=fold,
            accuracy=float(made.right.mean()),
            loss=0.1 * fold,
            macro_f1=0.5,
            seconds=2.0,
            epochs=4,
            predictions=str(path.relative_to(self.folder.root)),
            **fields,
        )

    def truth(self) -> tuple[np.ndarray, np.ndarray]:
        order = sorted(self.predicted)
        labels = [LABELS[FOLDS.validation[fold - 1]] for fold in order]
        return np.concatenate(labels), np.concatenate([self.predicted[fold] for fold in order])


def test_a_complete_trial_has_the_scores_that_scikit_learn_gives_its_predictions(study):
    study.trial(0)
    for fold in (2, 3, 1):  # they may end in any order
        study.scored_fold(fold)
    trial = study.history.trials[0]
    ended = study.ends.ended(trial, Ending("complete"))
    labels, predicted = study.truth()
    accuracies = [trial.finished_folds()[fold].accuracy for fold in (1, 2, 3)]
    assert ended.scores == pytest.approx(
        {
            "cv_accuracy": np.mean(accuracies),
            "cv_accuracy_std": np.std(accuracies, ddof=1),
            "cv_loss": 0.2,
            "macro_f1": f1_score(labels, predicted, average="macro"),
        },
        abs=1e-12,
    )
    assert ended.value == ended.scores["cv_accuracy"]
    assert ended.confusion == confusion_matrix(labels, predicted).tolist()
    report = classification_report(labels, predicted, target_names=CLASSES, output_dict=True)
    assert ended.report == report
    assert (ended.train_seconds, ended.epochs_trained) == (6.0, 12)
    assert (ended.model_parameters, ended.summary, ended.device) == (17, "a model", "CPU")


def test_a_pruned_trial_has_the_mean_of_its_folds_and_counts_what_was_begun(study):
    study.trial(0)
    study.scored_fold(1)
    trial = study.history.trials[0]
    ended = study.ends.ended(trial, Ending("pruned", "it is weak"), spent=Spent(0.5, 3))
    assert ended.value == trial.finished_folds()[1].accuracy
    assert ended.scores == {}
    assert sum(map(sum, ended.confusion)) == 30
    assert (ended.train_seconds, ended.epochs_trained) == (2.5, 7)


def test_what_a_dropped_trial_trained_ahead_has_no_part_in_its_value(study):
    study.trial(0)
    for fold in (1, 2, 3):
        study.scored_fold(fold)
    trial = study.history.trials[0]
    ended = study.ends.ended(trial, Ending("pruned", "behind", compared_folds=2))
    accuracies = [trial.finished_folds()[fold].accuracy for fold in (1, 2)]
    assert ended.value == pytest.approx(np.mean(accuracies), abs=1e-12)
    assert sum(map(sum, ended.confusion)) == 60
    assert (ended.train_seconds, ended.epochs_trained) == (6.0, 12)
    study.history.add(ended)
    assert list(trial.finished_folds()) == [1, 2]


def test_folds_without_usable_predictions_are_named_with_their_fault(study):
    study.trial(0)
    for fold in (1, 2, 3):
        study.scored_fold(fold)
    trial = study.history.trials[0]
    assert study.ends.faults(trial, (1, 2, 3)) == {}
    study.folder.predictions(0, 2).unlink()
    study.folder.predictions(0, 1).write_bytes(study.folder.predictions(0, 3).read_bytes())
    faults = study.ends.faults(trial, (1, 2, 3))
    assert list(faults) == [1, 2]
    assert "they are of other samples than the fold's 30" in faults[1]
    assert "are missing" in faults[2]


def test_an_objective_that_no_fold_has_told_of_is_missing(tmp_path):
    study = Scored(StudyFolder(tmp_path), "cv_accuracy")
    study.history.study.settings["objective"] = "cv_accuracy,latency_ms,model_parameters"
    study.trial(0)
    trial = study.history.trials[0]
    study.scored_fold(2)
    assert study.ends.missing(trial) == "latency_ms"
    study.scored_fold(3, latency_ms=2.5)
    assert study.ends.missing(trial) == "model_parameters"
    study.scored_fold(1)
    assert study.ends.missing(trial) == ""
    assert study.ends.ended(trial, Ending("complete")).scores["latency_ms"] == 2.5
