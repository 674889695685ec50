"""What goes between the coordinator and its workers. Imports no framework."""

from dataclasses import dataclass

from spaces import Settings
from tracking.records import FoldEnded


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
    """

    space: str
    dataset: str
    folder: str
    declarations: str
    seed: int
    precision: str


@dataclass(frozen=True)
class TrialTask:
    """One trial to evaluate.

    Attributes:
        trial: its number.
        parameters: its complete setting.
        finished: folds that need not be trained again.
        stop: why the trial is to be pruned as it is, without further training; else empty.
    """

    trial: int
    parameters: Settings
    finished: tuple[FoldEnded, ...] = ()
    stop: str = ""


@dataclass(frozen=True)
class Verdict:
    """The coordinator's answer to a report.

    Attributes:
        stop: end the trial here.
        halt: end it without an outcome: it goes on in a later session.
        reason: why, one sentence.
    """

    stop: bool = False
    halt: bool = False
    reason: str = ""


GO_ON = Verdict()
HALT = Verdict(stop=True, halt=True, reason="the session ends")
