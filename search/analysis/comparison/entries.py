"""What a comparison consists of: each contender's scores, and how each two differ."""

from dataclasses import dataclass

from search.analysis.comparison.cells import Confusion
from search.analysis.comparison.statistics import Difference, McNemar

LEVEL = 0.95


@dataclass(frozen=True)
class Entry:
    """What one contender scores, as means over its folds.

    Attributes:
        label: what it is called.
        study: name of its study.
        trial: its number.
        origin: `sampled` or `baseline:NAME`.
        rivals: from how many trials its scores chose it; 1 where they did not.
        folds: accuracy on each fold that takes part.
        accuracy: their mean.
        spread: their sample standard deviation; None for one fold.
        macro_f1: of the study's own folds' out-of-fold predictions together, as `show` has it.
        loss: mean cross-entropy over the same folds, nats.
        train_seconds: of the study's folds together.
        model_parameters: number of weights.
        latency_ms: to predict one sample; None where it was not measured.
        confusion: of the out-of-fold predictions.
    """

    label: str
    study: str
    trial: int
    origin: str
    rivals: int
    folds: tuple[float, ...]
    accuracy: float
    spread: float | None
    macro_f1: float
    loss: float
    train_seconds: float
    model_parameters: int
    latency_ms: float | None
    confusion: Confusion


@dataclass(frozen=True)
class Pair:
    """How two entries differ, in accuracy.

    Attributes:
        first: number of the entry with the higher mean.
        second: number of the other.
        paired: whether they were compared fold by fold, as they share folds.
        difference: of the means, with interval and p.
        holm_p: p corrected for the number of pairs; None where there is no p.
        mcnemar: of the out-of-fold predictions; None where they cannot be had or are of other
            folds.
        wilcoxon_p: None for unpaired ones, and where too few folds differ.

    All p allow for how the two were chosen; see `search.analysis.comparison.evidence`.
    """

    first: int
    second: int
    paired: bool
    difference: Difference
    holm_p: float | None
    mcnemar: McNemar | None
    wilcoxon_p: float | None

    def is_claimed(self, level: float) -> bool:
        """Say whether a difference can be claimed, after the correction for many pairs."""
        return self.holm_p is not None and self.holm_p < 1 - level
