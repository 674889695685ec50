"""Workers that sleep instead of training, and are real otherwise. Not run by itself.

TensorFlow in 64 processes needs more memory than a small machine has. What these workers are told
to load puts stand-ins in the place of the two modules that import it.
"""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from made_trials import Report, train

from search.data import Dataset
from search.data.folds import Folds
from search.executors.protocol import FoldTask, Work
from tracking.home import StudyFolder


@dataclass(frozen=True)
class SleepingWork(Work):
    """Work whose epochs are slept through.

    Attributes:
        epoch_seconds: seconds of an epoch.
    """

    epoch_seconds: float = 0.2

    def __reduce__(self) -> tuple[Any, ...]:
        return load, (asdict(self),)


def load(fields: dict[str, Any]) -> SleepingWork:
    """Return the work as it was sent, in a process that will need no TensorFlow."""
    data, fold = ModuleType("search.training.fold_data"), ModuleType("search.training.fold")
    data.FoldData = FoldData  # type: ignore[attr-defined]
    fold.train_fold = train_fold  # type: ignore[attr-defined]
    sys.modules |= {"search.training.fold_data": data, "search.training.fold": fold}
    return SleepingWork(**fields)


@dataclass(frozen=True)
class FoldData:
    """In the place of `search.training.fold_data.FoldData`."""

    work: SleepingWork
    labels: list[Any]

    @classmethod
    def open(cls, work: SleepingWork, *, place: int = 0) -> "FoldData":
        """Load the labels of the folds' validation parts, and nothing else."""
        del place
        labels = np.asarray(Dataset.open(Path(work.dataset)).train_labels)
        folder = StudyFolder(Path(work.folder))
        files = [path for path in (folder.folds, folder.confirmation_folds) if path.exists()]
        parts = [part for path in files for part in Folds.load(path).validation]
        return cls(work, [labels[part] for part in parts])


def train_fold(data: FoldData, task: FoldTask, report: Report) -> None:
    """In the place of `search.training.fold.train_fold`."""
    train(
        task,
        report,
        StudyFolder(Path(data.work.folder)),
        data.labels,
        epoch_seconds=data.work.epoch_seconds,
    )
