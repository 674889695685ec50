"""A realistic study in records, one second after the other."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from search.tasks import CLASSIFICATION, MULTI_LABEL, REGRESSION, MultiLabel, Regression, Task
from search.tasks.classification import ClassPredictions, confusion_matrix, macro_f1
from search.tasks.metrics import objective_of
from search.tasks.multi_label import LabelPredictions
from search.tasks.regression import NumberPredictions
from tracking.history import History
from tracking.home import StudyFolder
from tracking.journal import encode
from tracking.journal_lines import START, crc_of
from tracking.objectives import OBJECTIVES, Objective, objectives_of
from tracking.records import (
    EpochEnded,
    FoldEnded,
    FoldPaused,
    FoldStarted,
    Record,
    SessionEnded,
    SessionStarted,
    StudyStarted,
    TrialConfirmed,
    TrialEnded,
    TrialStarted,
)

STUDY_ID = "0123456789abcdef" * 2
CLASSES = ["T-shirt/top", "Trouser", "Bag"]
PARAMETERS = [
    {"name": "filters", "kind": "int", "range": "32..64", "searched": True, "when": None},
    {"name": "extra", "kind": "boolean", "range": "on|off", "searched": True, "when": None},
    {"name": "more", "kind": "int", "range": "8..16", "searched": True, "when": ["extra", True]},
    {"name": "batch_size", "kind": "int", "range": "32", "searched": False, "when": None},
    {"name": "epochs", "kind": "int", "range": "3", "searched": False, "when": None},
]


class StudyBuilder:
    """Makes a study's records, one second after the other; of another task in subclasses.

    The `level` of a trial says how good it is, from 0 to 1, whatever the task.
    """

    task = CLASSIFICATION
    names: Sequence[str] = CLASSES
    space, data, kind = "lenet", "digits", "image"
    objectives: tuple[Objective, ...] = ()  # of the first record; none as in earlier journals
    measured: tuple[Objective, ...] = ()  # likewise

    def __init__(
        self,
        name: str = "lenet-digits",
        study_id: str = STUDY_ID,
        *,
        objective: str | None = None,
        folds: int = 2,
        epochs: int = 3,
    ) -> None:
        self.records: list[Record] = []
        self.folds, self.epochs = folds, epochs
        chosen = {} if objective is None else {"objective": objective}
        self._at = 1_790_000_000.0
        self.add(
            StudyStarted,
            id=study_id,
            study=name,
            space=self.space,
            driver="optuna",
            settings={"seed": 0, "epochs": self.epochs, "sampler": "tpe"} | chosen,
            parameters=copy.deepcopy(PARAMETERS),
            dataset={
                "name": self.data,
                "source": "scikit-learn",
                "digest": "ab" * 32,
                "classes": list(self.names),
                "samples": 90,
            }
            | ({} if self.task == CLASSIFICATION else {"kind": self.kind}),
            folds=self.folds,
            folds_digest="cd" * 32,
            task=self.task,
            objectives=[each.to_json() for each in self.objectives],
            metrics=[each.to_json() for each in self.measured],
        )

    def add(self, kind: type[Record], **fields: Any) -> Any:
        self._at += 1.0
        record = kind(at=self._at, **fields)
        self.records.append(record)
        return record

    def set_clock_back(self, seconds: float) -> None:
        self._at -= seconds

    def session(self, trials: int = 4) -> None:
        environment = {
            "versions": {"keras": "3.15.1"},
            "host": "box",
            "git": {"commit": "f" * 40, "dirty": True},
        }
        self.add(SessionStarted, trials=trials, environment=environment)

    def start_trial(self, trial: int, origin: str = "sampled") -> None:
        parameters = {"filters": 32 + trial, "extra": trial % 2 == 1, "batch_size": 32}
        parameters["epochs"] = self.epochs
        if trial % 2 == 1:
            parameters["more"] = 8 + trial
        self.add(TrialStarted, trial=trial, parameters=parameters, origin=origin)

    def fold(self, trial: int, fold: int, epochs: int | None = None, level: float = 0.8) -> None:
        self.add(FoldStarted, trial=trial, fold=fold)
        for epoch in range(1, (epochs or self.epochs) + 1):
            loss = 1.0 / epoch + 0.01 * fold
            metrics = {"loss": loss, "val_loss": loss + 0.1} | self.epoch_metrics(level, loss)
            self.add(EpochEnded, trial=trial, fold=fold, epoch=epoch, metrics=metrics)
        if epochs is None:
            self.add(
                FoldEnded,
                trial=trial,
                fold=fold,
                loss=1.3 - level,
                seconds=3.0,
                epochs=self.epochs,
                predictions=f"predictions/trial-{trial:05d}-fold-{fold:02d}.npz",
                **self.fold_scores(level, fold),
            )

    def piece(
        self, trial: int, fold: int, *, kept: int = 0, until: int, pauses: bool = True
    ) -> None:
        """Add a part of a fold, which pauses at its end unless it is killed there or over."""
        self.add(FoldStarted, trial=trial, fold=fold, kept=kept)
        for epoch in range(kept + 1, until + 1):
            metrics = {"loss": 1.0 / epoch, "val_loss": 1.1 / epoch, "val_accuracy": epoch / 10}
            self.add(EpochEnded, trial=trial, fold=fold, epoch=epoch, metrics=metrics)
        key = {"trial": trial, "fold": fold}
        if until == self.epochs:
            scores = {"loss": 0.5, "seconds": 9.0, "epochs": until, "predictions": "there.npz"}
            self.add(FoldEnded, **key, **scores, **self.fold_scores(0.8, fold))
        elif pauses:
            self.add(FoldPaused, **key, epoch=until, seconds=1.0 + until - kept)

    def epoch_metrics(self, level: float, loss: float) -> dict[str, float]:
        """Return what an epoch of a loss tells beside it."""
        return {"accuracy": level - loss / 10, "val_accuracy": level - loss / 5}

    def fold_scores(self, level: float, fold: int) -> dict[str, Any]:
        """Return the fields of a fold's record that hold its metrics."""
        return {"accuracy": level + fold / 1000, "macro_f1": level - 0.01}

    def trial_scores(self, level: float) -> dict[str, float]:
        """Return the scores of a complete trial."""
        scores = {"cv_accuracy": level, "cv_accuracy_std": 0.01, "cv_loss": 1.3 - level}
        return scores | {"macro_f1": level - 0.1, "latency_ms": 2.5}

    def described(self, level: float) -> dict[str, Any]:
        """Return the fields of a trial's end that tell of its predictions."""
        return {
            "confusion": [[28, 2, 0], [1, 29, 0], [0, 5, 25]],
            "report": {"accuracy": level},
        }

    def end_trial(self, trial: int, state: str, level: float = 0.8, **fields: Any) -> None:
        scores = self.trial_scores(level) | fields.pop("scores", {})
        outcome: dict[str, Any] = (
            {"value": self._value(scores), "scores": scores}
            if state == "complete"
            else {"value": None}
        )
        if state != "failed":
            outcome |= {"summary": "Model: lenet", "model_parameters": 504_342}
            outcome |= self.described(level)
        self.add(
            TrialEnded,
            **{"trial": trial, "state": state, "train_seconds": 6.0, "epochs_trained": 6}
            | outcome
            | fields,
        )

    def _value(self, scores: dict[str, float]) -> float:
        return scores[objectives_of(self.records[0])[0].name]

    def complete_trial(
        self, trial: int, level: float = 0.8, origin: str = "sampled", **fields: Any
    ) -> None:
        self.start_trial(trial, origin)
        for fold in range(1, self.folds + 1):
            self.fold(trial, fold, level=level)
        self.end_trial(trial, "complete", level, **fields)

    def confirm_trial(self, trial: int, level: float = 0.8) -> None:
        for fold in range(self.folds + 1, 3 * self.folds + 1):
            self.fold(trial, fold, level=level)
        scores = self.confirmed_scores(level)
        self.add(TrialConfirmed, trial=trial, repeats=2, scores=scores)

    def confirmed_scores(self, level: float) -> dict[str, float]:
        """Return the scores of a trial on its confirmation folds."""
        return {"cv_accuracy": level, "cv_accuracy_std": 0.004, "cv_loss": 0.4, "macro_f1": 0.7}

    def race(self) -> "StudyBuilder":
        """Add a baseline, trials that stop in fold 1, and the first of those that raced on.

        Trial 1 is complete, 2 stopped in fold 1 after epoch 2, 3 after fold 2, 4 waits, 5 trains.
        """
        self.session(trials=8)
        self.complete_trial(0, level=0.80, origin="baseline:lenet5")
        for trial in (1, 3, 4, 5):
            self.start_trial(trial)
            self.fold(trial, 1, level=0.80 + trial / 100)
        self.start_trial(2)
        self.fold(2, 1, epochs=2)
        reason = "in fold 1 after epoch 2: accuracy 0.7000 is not in the better half of 5 trials"
        self.end_trial(2, "pruned", reason=reason, confusion=[], report={})
        self.fold(3, 2, level=0.83)
        self.end_trial(3, "pruned", value=0.83, reason="after 2 folds: it is behind 4 of 5 trials")
        for fold in range(2, self.folds + 1):
            self.fold(1, fold, level=0.81)
        self.end_trial(1, "complete", level=0.81)
        self.fold(5, 2, epochs=1)
        return self

    def every_kind_of_trial(self) -> "StudyBuilder":
        """Add a baseline, a better one, a pruned, a failed and a running trial."""
        self.session()
        self.complete_trial(0, level=0.80, origin="baseline:lenet5")
        self.complete_trial(1, level=0.85)
        self.start_trial(2)
        self.fold(2, 1, epochs=2)
        self.end_trial(2, "pruned", reason="after 2 epochs it was below the median")
        self.start_trial(3)
        self.fold(3, 1, epochs=1)
        self.end_trial(3, "failed", reason="out of memory", error="Traceback ...\nMemoryError")
        self.add(SessionEnded, reason="interrupted")
        self.session(trials=6)
        self.start_trial(4)
        self.fold(4, 1, epochs=1)
        return self

    @property
    def history(self) -> History:
        return History.of(self.records)

    def write(self, journal: Path) -> Path:
        journal.parent.mkdir(parents=True, exist_ok=True)
        journal.write_bytes(b"".join(lines_of(self.records)))
        return journal


def _scores_of(task: Task) -> tuple[Objective, ...]:
    return tuple(objective_of(name, task)[0] for name in task.scored)


class OtherTaskBuilder(StudyBuilder):
    """Makes a study of another task than classification, in which folds have metrics by name."""

    main: str  # metric of epochs, whose spread over folds is told

    def metrics(self, level: float) -> dict[str, float]:
        """Return every metric of predictions of a level."""
        raise NotImplementedError

    def epoch_metrics(self, level: float, loss: float) -> dict[str, float]:
        return {f"val_{self.main}": self.metrics(level - loss / 5)[self.main]}

    def fold_scores(self, level: float, fold: int) -> dict[str, Any]:
        return {"metrics": self.metrics(level + fold / 1000)}

    def trial_scores(self, level: float) -> dict[str, float]:
        parts = [self.metrics(level + fold / 1000) for fold in range(1, self.folds + 1)]
        means = {f"cv_{n}": float(np.mean([part[n] for part in parts])) for n in parts[0]}
        spread = float(np.std([part[self.main] for part in parts], ddof=1))
        return means | {f"cv_{self.main}_std": spread, "cv_loss": 1.3 - level}

    def confirmed_scores(self, level: float) -> dict[str, float]:
        return self.trial_scores(level)


class RegressionStudyBuilder(OtherTaskBuilder):
    """Makes a study of a regression: the price of a flat, in euros."""

    task, names, main = REGRESSION, ("price",), "rmse"
    space, data, kind = "mlp", "flats", "table"
    measured = _scores_of(Regression(names))
    objectives = measured[:1]

    def metrics(self, level: float) -> dict[str, float]:
        rmse = 100_000 * (1 - level)
        return {"rmse": rmse, "mae": 0.75 * rmse, "r2": 1 - (rmse / 120_000) ** 2}

    def predictions(self, level: float) -> NumberPredictions:
        """Return made predictions: dear flats are found too cheap."""
        source = np.random.default_rng(7)
        actual = source.lognormal(12.4, 0.5, (600, 1))
        off = source.normal(0, 100_000 * (1 - level), actual.shape) * actual / actual.mean()
        return NumberPredictions(actual, actual + off - 0.15 * (actual - actual.mean()))

    def described(self, level: float) -> dict[str, Any]:
        return {"report": Regression(tuple(self.names)).report(self.predictions(level))}


class MultiLabelStudyBuilder(OtherTaskBuilder):
    """Makes a study of several labels: what a film is."""

    task, main = MULTI_LABEL, "macro_f1"
    names = ("comedy", "drama", "love story", "western")
    space, data, kind = "mlp", "films", "table"
    measured = _scores_of(MultiLabel(names))
    objectives = measured[:1]

    def metrics(self, level: float) -> dict[str, float]:
        return {"macro_f1": level, "exact_match": level**2, "hamming_loss": (1 - level) / 2}

    def predictions(self, level: float) -> LabelPredictions:
        """Return made predictions, of which about `level` of those a label are right."""
        source = np.random.default_rng(7)
        labels = (source.random((600, 4)) < (0.4, 0.5, 0.2, 0.05)).astype(np.uint8)
        right = source.random(labels.shape) < level
        sure = source.uniform(0.5, 1, labels.shape)
        return LabelPredictions(
            labels, np.where(right == labels, sure, 1 - sure).astype(np.float32)
        )

    def described(self, level: float) -> dict[str, Any]:
        return {"report": MultiLabel(tuple(self.names)).report(self.predictions(level))}


def lines_of(records: Iterable[Record]) -> list[bytes]:
    """Return the lines of a journal of these records, each linked to the one before."""
    lines: list[bytes] = []
    for record in records:
        lines.append(encode(record, crc_of(lines[-1]) if lines else START))
    return lines


def consistent(records: list[Record], folder: StudyFolder) -> list[Record]:
    """Write predictions of each finished fold; return the records with the scores these give."""
    parts: dict[tuple[int, int], ClassPredictions] = {}
    changed: list[Record] = []
    for record in records:
        if isinstance(record, FoldEnded):
            labels = np.arange(30) % len(CLASSES)
            source = np.random.default_rng(100 * record.trial + record.fold)
            shares = source.dirichlet((1, 1, 1), 30) + np.eye(len(CLASSES))[labels]
            made = parts[record.trial, record.fold] = ClassPredictions.of(shares / 2, labels)
            made.save(folder.root / record.predictions)
            record = replace(record, accuracy=float(made.right.mean()))
        elif isinstance(record, TrialEnded) and record.state == "complete":
            folds = {n: part for (trial, n), part in parts.items() if trial == record.trial}
            joined = ClassPredictions.joined(list(folds.values()))
            scores = record.scores | {
                "cv_accuracy": float(np.mean([part.right.mean() for part in folds.values()])),
                "macro_f1": macro_f1(joined, len(CLASSES)),
            }
            known = objectives_of(records[0])[0].name
            record = replace(
                record,
                scores=scores,
                value=scores[known],
                confusion=confusion_matrix(joined, len(CLASSES)),
            )
        changed.append(record)
    return changed


class GivenValues:
    """A study's history, made of trials that showed given values."""

    def __init__(self, *, folds: int = 4, objective: str = "cv_accuracy") -> None:
        self.at = 1_790_000_000.0
        self.objective = OBJECTIVES[objective]
        self.history = History()
        self.add(
            StudyStarted,
            id="0" * 32,
            study="told",
            space="toy",
            driver="fixed",
            settings={"objective": objective},
            parameters=[],
            dataset={},
            folds=folds,
            folds_digest="",
        )

    def add(self, kind: type[Record], **fields: Any) -> None:
        self.at += 1.0
        self.history.add(kind(at=self.at, **fields))

    def trial(
        self,
        number: int,
        values: Sequence[float] = (),
        *,
        shown: Mapping[int, float] | None = None,
        state: str = "",
        score: float | None = None,
        origin: str = "sampled",
        epochs: int = 20,
    ) -> None:
        """Add a trial: its folds' values, what epochs of the first show, and how it ended."""
        self.add(TrialStarted, trial=number, parameters={"epochs": epochs}, origin=origin)
        for fold, value in enumerate(values, start=1):
            self.fold(number, fold, value, shown if fold == 1 else None)
        if not values and shown:
            self.epochs(number, 1, shown)
        if state:
            scores = {} if score is None else {self.objective.name: score}
            self.add(TrialEnded, trial=number, state=state, value=score, scores=scores)

    def pause(self, number: int, shown: Mapping[int, float], *, epochs: int = 20) -> None:
        """Add a trial that has paused in its first fold after the last epoch that it shows."""
        self.trial(number, shown=shown, epochs=epochs)
        self.add(FoldPaused, trial=number, fold=1, epoch=max(shown))

    def fold(
        self,
        trial: int,
        fold: int,
        value: float,
        shown: Mapping[int, float] | None = None,
        *,
        ahead: bool = False,
    ) -> None:
        self.epochs(trial, fold, shown, ahead=ahead)
        measures = {"accuracy": 0.5, "loss": 0.5, "macro_f1": 0.5, self.objective.fold: value}
        self.add(FoldEnded, trial=trial, fold=fold, seconds=1.0, predictions="", **measures)

    def epochs(
        self, trial: int, fold: int, shown: Mapping[int, float] | None, *, ahead: bool = False
    ) -> None:
        self.add(FoldStarted, trial=trial, fold=fold, ahead=ahead)
        for epoch, value in (shown or {}).items():
            metrics = {self.objective.epoch: value}
            self.add(EpochEnded, trial=trial, fold=fold, epoch=epoch, metrics=metrics)
