"""Workers that sleep instead of training, and are real otherwise. Not run by itself.

TensorFlow in 64 processes needs more memory than a small machine has. What these workers are told
to load puts stand-ins in the place of the two modules that import it.
"""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from made_trials import Report, evaluate

from search.executors.protocol import TrialTask, Work
from tracking.home import StudyFolder


@dataclass(frozen=True)
class SleepingWork(Work):
    """Work whose epochs are slept through.

    Attributes:
        folds: number of the study's folds.
        epoch_seconds: seconds of an epoch.
    """

    folds: int = 5
    epoch_seconds: float = 0.2

    def __reduce__(self) -> tuple[Any, ...]:
        return load, (asdict(self),)


def load(fields: dict[str, Any]) -> SleepingWork:
    """Return the work as it was sent, in a process that will need no TensorFlow."""
    bench, objective = ModuleType("search.training.fold_data"), ModuleType("search.training.trial")
    bench.Bench = Bench  # type: ignore[attr-defined]
    objective.evaluate_trial = evaluate_trial  # type: ignore[attr-defined]
    sys.modules |= {"search.training.fold_data": bench, "search.training.trial": objective}
    return SleepingWork(**fields)


class Bench:
    """In the place of `search.training.fold_data.Bench`."""

    @staticmethod
    def open(work: SleepingWork, *, place: int = 0) -> SleepingWork:
        """Load nothing."""
        del place
        return work


def evaluate_trial(work: SleepingWork, task: TrialTask, report: Report) -> None:
    """In the place of `search.training.trial.evaluate_trial`."""
    evaluate(
        task,
        report,
        folds=work.folds,
        epoch_seconds=work.epoch_seconds,
        folder=StudyFolder(Path(work.folder)),
    )
