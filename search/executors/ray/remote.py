"""What happens on a machine that lends a worker: place what it needs, then evaluate tasks.

The worker is a supervised process as on the coordinator's machine, so a death, a hanging trial,
memory and time mean the same everywhere. Knows nothing of how messages travel.
"""

import os
import shutil
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from search.environment import package_versions
from search.errors import StudyFileError, machine_cause, own_files
from search.executors.base import Limits, PerTrial, cores
from search.executors.local import LocalExecutor
from search.executors.protocol import (
    HALT,
    Done,
    FoldTask,
    FromWorker,
    Ready,
    Report,
    Verdict,
    Work,
)
from search.executors.ray.bundles import CODE, Bundle, place, reference_at
from tracking.files import make_folder
from tracking.home import Home, StudyFolder
from tracking.records import AttemptFailed, FoldEnded, FoldPaused, Record

Files: TypeAlias = dict[str, bytes]

# Scores of one study must come from the same versions of these.
COMPARED = ("foldwise", "tensorflow", "keras", "keras-tuner", "numpy", "scikit-learn")


@dataclass(frozen=True)
class Order:
    """What a machine is asked for: one worker of a study.

    Attributes:
        work: what it loads; its paths are the coordinator's.
        dataset: the dataset's files.
        study: the study's files.
        limits: what the worker may take.
        per_trial: processors it computes with, and GPUs it may use; without any they are hidden.
    """

    work: Work
    dataset: Bundle
    study: Bundle
    limits: Limits
    per_trial: PerTrial


@dataclass(frozen=True)
class Wanted:
    """The machine lacks a bundle and asks for its pieces; the answer is `Fetched`."""

    bundle: Bundle


Said: TypeAlias = FromWorker | Wanted


class Line(ABC):
    """The way to the coordinator.

    Attributes:
        node: what the cluster calls this machine.
    """

    node: str = ""

    @abstractmethod
    def tell(self, said: Said) -> None:
        """Say something."""

    @abstractmethod
    def hear(self) -> FoldTask | Verdict:
        """Wait for the answer."""

    @abstractmethod
    def fetch(self, bundle: Bundle) -> Iterable[tuple[str, bytes]]:
        """Ask for a bundle and yield names and bytes of its files as they come."""


def lend(order: Order, line: Line, root: Path, folder: Path) -> None:
    """Lend the coordinator one worker, for as long as this thread lives.

    Args:
        order: what is wanted.
        line: to the coordinator.
        root: the machine's cache.
        folder: empty and this worker's own.

    Raises:
        FoldwiseError: no worker can be brought to work here.
        OSError: the cache cannot be written.
    """
    worker = _started(order, line, root, folder)
    versions = package_versions(COMPARED)
    line.tell(Ready(line.node, socket.gethostname(), versions))
    while True:
        given = line.hear()
        assert isinstance(given, FoldTask)  # noqa: S101 # nosec B101 # narrows the line's type
        _evaluate(given, worker, line, StudyFolder(folder))


def _started(order: Order, line: Line, root: Path, folder: Path) -> LocalExecutor:
    dataset = place(order.dataset, root, line.fetch)
    study = place(order.study, root, line.fetch)
    for name, _ in order.study.sizes:
        if "/" not in name:
            (folder / name).symlink_to(study / name)
    if (study / CODE).is_dir():
        os.chdir(study / CODE)  # the worker begins there and finds the user's modules
    if order.per_trial.gpus:
        os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"  # others may have a share of the same one
    else:
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    work = replace(
        order.work,
        space=reference_at(order.work.space, study / CODE),
        dataset=str(dataset),
        folder=str(folder),
        declarations=str(Home(root).declarations),
    )
    share = min(1.0, order.per_trial.cpus / cores())
    return LocalExecutor(
        work,
        StudyFolder(folder).worker_log,
        limits=order.limits.on_share(share),
        threads=order.per_trial.cpus,
    )


def _evaluate(task: FoldTask, worker: LocalExecutor, line: Line, folder: StudyFolder) -> None:
    shutil.rmtree(folder.all_predictions, ignore_errors=True)
    shutil.rmtree(folder.checkpoints, ignore_errors=True)
    kept = folder.checkpoint(*task.key)
    if task.state:
        make_folder(kept.parent)
        kept.write_bytes(task.state)

    def on_record(record: Record) -> Verdict:
        files = {}
        if isinstance(record, FoldEnded):
            try:
                with own_files():
                    files[record.predictions] = (folder.root / record.predictions).read_bytes()
            except StudyFileError as error:
                line.tell(Report(_lost_file(record, error)))
                line.hear()
                return HALT
        if isinstance(record, FoldPaused) and kept.exists():
            files[str(kept.relative_to(folder.root))] = kept.read_bytes()
        line.tell(Report(record, files))
        verdict = line.hear()
        assert isinstance(verdict, Verdict)  # noqa: S101 # nosec B101 # narrows the line's type
        return verdict

    worker.submit(replace(task, state=b""))
    worker.wait(on_record)
    line.tell(Done())


def _lost_file(record: FoldEnded, error: StudyFileError) -> AttemptFailed:
    reason = f"{type(error).__name__}: {error}"
    return AttemptFailed(
        at=time.time(),
        trial=record.trial,
        fold=record.fold,
        cause=machine_cause(error),
        reason=reason,
        error=reason,
    )
