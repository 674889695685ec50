"""Trial ends that the coordinator puts together, against scikit-learn on the same predictions."""

import numpy as np
import pytest
from sklearn.metrics import (
    brier_score_loss,
    classification_report,
    confusion_matrix,
    f1_score,
    hamming_loss,
    mean_absolute_error,
    r2_score,
    root_mean_squared_error,
)

from search import tasks
from search.data.splits import make_folds
from search.study.objectives import Goals
from search.study.trial_end import Ending, OutOfFold, Spent, TrialEnds
from search.tasks import Classification, MultiLabel, Regression
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
        self.ends = TrialEnds(
            self.history, OutOfFold(folder, FOLDS, LABELS, Classification(CLASSES))
        )
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


class OtherTask(GivenValues):
    """A trial of two folds of another task, with its predictions on the disk."""

    def __init__(self, folder, task, targets, weights=None, objective=None):
        super().__init__(folds=2)
        goals = Goals.of(objective, [], task)
        object.__setattr__(self.history.study, "task", task.name)
        object.__setattr__(
            self.history.study, "objectives", [each.to_json() for each in goals.objectives]
        )
        self.task, self.targets, self.weights = task, targets, weights
        self.folds = make_folds(np.arange(len(targets)) % 2, folds=2, seed=0)
        self.folder = folder
        self.ends = TrialEnds(self.history, OutOfFold(folder, self.folds, targets, task, weights))

    def trial_of(self, values):
        """Train the folds; return, of each, targets, values and weights."""
        self.trial(0)
        parts = []
        for fold, rows in enumerate(self.folds.validation, start=1):
            weights = None if self.weights is None else self.weights[rows]
            parts.append((values[rows], self.targets[rows], weights))
            path = self.folder.predictions(0, fold)
            self.task.predicted(values[rows], self.targets[rows]).save(path)
            self.add(FoldStarted, trial=0, fold=fold)
            scored = tasks.Scored(*parts[-1])
            metrics = {name: self.task.metric(name).of(scored) for name in self.task.scored}
            self.add(
                FoldEnded,
                trial=0,
                fold=fold,
                loss=0.5 * fold,
                metrics=metrics,
                seconds=1.0,
                predictions=str(path.relative_to(self.folder.root)),
            )
        return parts

    def ended(self):
        return self.ends.ended(self.history.trials[0], Ending("complete"))


@pytest.mark.parametrize("is_weighted", [False, True])
def test_a_regression_has_means_and_spread_of_its_metrics_and_a_report_in_its_unit(
    tmp_path, is_weighted
):
    source = np.random.default_rng(3)
    targets = source.normal(250_000, 40_000, (60, 1))
    weights = source.uniform(0.5, 2, 60) if is_weighted else None
    study = OtherTask(StudyFolder(tmp_path), Regression(("price",)), targets, weights)
    parts = study.trial_of(targets + source.normal(0, 9_000, (60, 1)))
    ended = study.ended()
    rmse = [root_mean_squared_error(y, v, sample_weight=w) for v, y, w in parts]
    mae = [mean_absolute_error(y, v, sample_weight=w) for v, y, w in parts]
    r2 = [r2_score(y, v, sample_weight=w) for v, y, w in parts]
    assert ended.scores == pytest.approx(
        {
            "cv_loss": 0.75,
            "cv_rmse": np.mean(rmse),
            "cv_rmse_std": np.std(rmse, ddof=1),
            "cv_mae": np.mean(mae),
            "cv_r2": np.mean(r2),
        },
        rel=1e-12,
    )
    assert ended.value == ended.scores["cv_rmse"]
    values, true = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    over_all = None if weights is None else np.concatenate([w for _, _, w in parts])
    assert ended.report["numbers"]["price"]["rmse"] == pytest.approx(
        root_mean_squared_error(true, values, sample_weight=over_all), rel=1e-12
    )
    assert ended.confusion == []


def test_labels_have_the_report_of_all_folds_and_the_spread_of_the_objective(tmp_path):
    source = np.random.default_rng(3)
    targets = source.integers(0, 2, (60, 3)).astype(np.uint8)
    task = MultiLabel(("a", "b", "c"))
    study = OtherTask(StudyFolder(tmp_path), task, targets, objective="hamming_loss")
    parts = study.trial_of(np.clip(targets + source.normal(0, 0.6, targets.shape), 0, 1))
    ended = study.ended()
    wrong = [hamming_loss(y, v > 0.5) for v, y, _ in parts]
    assert ended.value == pytest.approx(np.mean(wrong))
    assert set(ended.scores) == {
        *("cv_loss", "cv_macro_f1", "cv_macro_f1_std", "cv_exact_match"),
        *("cv_hamming_loss", "cv_hamming_loss_std", "cv_ece", "cv_brier"),
    }
    values, true = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    brier = [brier_score_loss(true[:, i], values[:, i]) for i in range(3)]
    assert ended.scores["cv_brier"] == pytest.approx(np.mean(brier))
    assert sum(map(sum, ended.report["confusion"]["b"])) == 60


def test_the_f1_of_all_predictions_counts_samples_by_their_weights(tmp_path):
    study = Scored(StudyFolder(tmp_path))
    weights = np.random.default_rng(5).uniform(0.1, 3, len(LABELS))
    task = Classification(CLASSES)
    study.ends = TrialEnds(
        study.history, OutOfFold(StudyFolder(tmp_path), FOLDS, LABELS, task, weights)
    )
    study.trial(0)
    for fold in (1, 2, 3):
        study.scored_fold(fold)
    ended = study.ends.ended(study.history.trials[0], Ending("complete"))
    labels, predicted = study.truth()
    over_all = np.concatenate([weights[part] for part in FOLDS.validation])
    expected = f1_score(labels, predicted, average="macro", sample_weight=over_all)
    assert ended.scores["macro_f1"] == pytest.approx(expected, abs=1e-12)


def test_a_fold_that_does_not_tell_the_objective_cannot_be_used(tmp_path):
    targets = np.arange(60.0)[:, np.newaxis]
    study = OtherTask(StudyFolder(tmp_path), Regression(("n",)), targets)
    study.trial_of(targets + 1)
    trial = study.history.trials[0]
    assert study.ends.faults(trial, (1, 2)) == {}
    trial.folds[2].ended.metrics.pop("rmse")
    assert study.ends.faults(trial, (1, 2)) == {2: "the journal does not tell its rmse"}
