"""A study's records gathered into what is known of it now."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from tracking.records import (
    EpochEnded,
    FoldEnded,
    FoldStarted,
    ModelExported,
    Record,
    SessionEnded,
    SessionStarted,
    StudyStarted,
    TestSetOpened,
    TrialEnded,
    TrialStarted,
)


@dataclass
class FoldHistory:
    """One fold of one trial: its epochs so far and, once over, its score."""

    started: FoldStarted
    epochs: dict[int, EpochEnded] = field(default_factory=dict)
    ended: FoldEnded | None = None


@dataclass
class TrialHistory:
    """One trial: its setting, its folds by number (from 1) and, once over, its outcome."""

    started: TrialStarted
    folds: dict[int, FoldHistory] = field(default_factory=dict)
    ended: TrialEnded | None = None

    @property
    def number(self) -> int:
        """The trial's number, from 0."""
        return self.started.trial

    @property
    def state(self) -> str:
        """`running` until the trial is over, then `complete`, `pruned` or `failed`."""
        return self.ended.state if self.ended else "running"

    @property
    def value(self) -> float | None:
        """Mean accuracy over all folds of a complete trial, else None."""
        return self.ended.value if self.ended and self.ended.state == "complete" else None

    def finished_folds(self) -> dict[int, FoldEnded]:
        """Return the folds that are over, by number, in order."""
        return {n: fold.ended for n, fold in sorted(self.folds.items()) if fold.ended is not None}

    def mean_curves(self) -> list[dict[str, float]]:
        """Return, per epoch from 1, each metric's mean over the folds that trained that epoch."""
        curves = []
        for epoch in range(
            1, max((max(f.epochs, default=0) for f in self.folds.values()), default=0) + 1
        ):
            rows = [f.epochs[epoch].metrics for f in self.folds.values() if epoch in f.epochs]
            names = rows[0] if rows else ()
            curves.append({name: sum(row[name] for row in rows) / len(rows) for name in names})
        return curves


@dataclass
class History:
    """Everything a journal tells, kept current by `add`."""

    study: StudyStarted | None = None
    sessions: list[SessionStarted] = field(default_factory=list)
    last_end: SessionEnded | None = None
    trials: dict[int, TrialHistory] = field(default_factory=dict)
    exports: list[ModelExported] = field(default_factory=list)
    test_openings: list[TestSetOpened] = field(default_factory=list)

    @classmethod
    def of(cls, records: Iterable[Record]) -> "History":
        """Return the history that `records`, in order, tell."""
        history = cls()
        for record in records:
            history.add(record)
        return history

    def add(self, record: Record) -> None:
        """Take in the next record.

        A fold that starts again drops the epochs of its unfinished first try.
        """
        match record:
            case StudyStarted():
                self.study = record
            case SessionStarted():
                self.sessions.append(record)
                self.last_end = None
            case SessionEnded():
                self.last_end = record
            case TrialStarted():
                self.trials.setdefault(record.trial, TrialHistory(record))
            case FoldStarted():
                self.trials[record.trial].folds[record.fold] = FoldHistory(record)
            case EpochEnded():
                self.trials[record.trial].folds[record.fold].epochs[record.epoch] = record
            case FoldEnded():
                self.trials[record.trial].folds[record.fold].ended = record
            case TrialEnded():
                self.trials[record.trial].ended = record
            case ModelExported():
                self.exports.append(record)
            case TestSetOpened():
                self.test_openings.append(record)

    def known_study(self) -> StudyStarted:
        """Return what the study is.

        Raises:
            ValueError: nothing was recorded of it.
        """
        if self.study is None:
            raise ValueError("the first record of a study must be StudyStarted; there is none")
        return self.study

    def finished(self) -> list[TrialHistory]:
        """Return the trials that are over, by number."""
        return [t for _, t in sorted(self.trials.items()) if t.ended is not None]

    def completed(self) -> list[TrialHistory]:
        """Return the complete trials, best value first, earlier ones first among equals."""
        done = [t for _, t in sorted(self.trials.items()) if t.value is not None]
        return sorted(done, key=lambda trial: -(trial.value or 0.0))

    def best(self) -> TrialHistory | None:
        """Return the complete trial with the highest value, None while there is none."""
        return next(iter(self.completed()), None)
