"""What goes between the coordinator and its workers, on this machine and on others.

A worker that has its turn says `Loading` and then `Ready`. It is given a task, and answers with a
`Report` for each record, to which a `Verdict` comes back, and with `Done`. A `Probe` is answered by
`Probed` or `ProbeFailed`, an `Adopt` by nothing. Imports no framework.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from spaces import Fingerprint, Params, Passed
from tracking.records import Record

FoldKey: TypeAlias = tuple[int, int]  # a trial and one of its folds, from 0 and from 1


NEED = 2_500_000_000  # bytes; what a worker with TensorFlow and a middling model needs


MOST_PROGRAMS = 64  # that a worker keeps, of the params it was given last


def fits(samples: int, memory: int) -> bool:
    """Say whether a worker holds samples in memory: two of them, while they are copied there.

    Args:
        samples: bytes of all samples as models receive them.
        memory: bytes that the worker may hold; at least two thirds are for samples.
    """
    return 2 * samples <= memory - min(NEED, memory // 3)


@dataclass(frozen=True)
class Work:
    """What a worker must load to evaluate a study's trials.

    Attributes:
        space: reference that means the same in any folder.
        dataset: folder of the dataset's arrays.
        folder: the study's folder.
        declarations: folder of what was learned of hypermodels.
        seed: the study's seed.
        precision: Keras's dtype policy, `float32` or `mixed_bfloat16`.
        objectives: names of what the study searches for, the most important first.
        metrics: objectives and further metrics that are recorded of every fold, as
            `search.tasks.metrics.objective_of` reads them; an objective that is not among them is
            read from its name.
        target_scaling: whether numbers to predict may be standardised: `auto` or `off`.
        threshold: of the probability of a class of two, or of a label: `0.5` or `tuned`.
        weighs_metrics: whether samples' weights count in metrics as they do in losses; they did not
            in studies that were begun with an earlier version.
        pixels: what a hypermodel's models for images are given, as the setting says.
        code: fingerprint of the space's code, which must be what is run; empty to run any.
        passed: what the reference stands for, if it was passed from Python.
        memory: bytes that the worker may hold, as its executor says; None for any.
        callbacks: the Keras callbacks that were passed from Python; None without.
    """

    space: str
    dataset: str
    folder: str
    declarations: str
    seed: int
    precision: str
    objectives: tuple[str, ...]
    metrics: tuple[str, ...] = ()
    target_scaling: str = "auto"
    threshold: str = "0.5"
    weighs_metrics: bool = True
    pixels: str = "auto"
    code: Fingerprint = field(default_factory=dict)
    passed: Passed | None = None
    memory: int | None = None
    callbacks: Passed | None = None


@dataclass(frozen=True)
class FoldTask:
    """One fold of one trial, to be trained and scored.

    Attributes:
        trial: number of the trial.
        params: complete.
        fold: its number from 1; the study's folds come first, then those that confirm trials.
        describe: whether to report what the model is, and to measure of it what is an objective;
            for one fold a trial is enough.
        seconds_before: how long the trial was trained so far.
        until: after which epoch to pause; 0 for not before the end.
        kept: after how many epochs it paused: the state that was kept then is gone on from, if it
            can be used.
        state: what was kept, for a worker that does not see the study's folder.
    """

    trial: int
    params: Params
    fold: int
    describe: bool = True
    seconds_before: float = 0.0
    until: int = 0
    kept: int = 0
    state: bytes = field(default=b"", repr=False)

    @property
    def key(self) -> "FoldKey":
        """Trial and fold."""
        return self.trial, self.fold


@dataclass(frozen=True)
class Probe:
    """A short training by which a worker tells how fast it is.

    Attributes:
        params: a complete one.
        precision: Keras's dtype policy.
        seconds: how long it trains, at least, where `steps` is 0.
        steps: number of batches to train; 0 for as many as `seconds` take.
    """

    params: Params
    precision: str
    seconds: float = 1.0
    steps: int = 0


@dataclass(frozen=True)
class ProbeResult:
    """What came of a probe.

    Attributes:
        samples: number of samples trained on while the time was taken.
        seconds: the time.
        steps: number of batches trained.
        score: of the model afterwards, on part of the first fold's validation part; larger is
            better: the accuracy of classes, else the loss with a minus before it.
        checked: number of samples in that part; every worker scores the same ones.
    """

    samples: int
    seconds: float
    steps: int
    score: float
    checked: int

    @property
    def rate(self) -> float:
        """Samples a second."""
        return self.samples / self.seconds


@dataclass(frozen=True)
class Adopt:
    """From now on, compute in a precision.

    Attributes:
        precision: Keras's dtype policy.
    """

    precision: str


@dataclass(frozen=True)
class Verdict:
    """The coordinator's answer to a report.

    Attributes:
        stop: break the fold off without an outcome.
    """

    stop: bool = False


GO_ON = Verdict()
HALT = Verdict(stop=True)


@dataclass(frozen=True)
class Loading:
    """It is the worker's turn to load what trials need."""


@dataclass(frozen=True)
class Ready:
    """Everything is loaded; the answer is the first task.

    Attributes:
        node: what a cluster calls the worker's machine; empty beside the coordinator.
        host: the machine's name.
        versions: of what scores depend on.
    """

    node: str = ""
    host: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """Something happened; the answer is a verdict.

    Attributes:
        record: what.
        files: those it speaks of that are not on the coordinator's machine, by their names in the
            study's folder.
    """

    record: Record
    files: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Done:
    """The task is over; the answer is the next one."""


@dataclass(frozen=True)
class ProbeFailed:
    """What was to be trained for a moment cannot be.

    Attributes:
        reason: why, one sentence.
    """

    reason: str


@dataclass(frozen=True)
class Failed:
    """No worker can be brought to work there; no answer is awaited.

    Attributes:
        reason: why, for the user.
    """

    reason: str


FromWorker: TypeAlias = Loading | Ready | Report | Done | ProbeResult | ProbeFailed | Failed
