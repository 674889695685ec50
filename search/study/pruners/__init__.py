"""Pruners, which end a trial before it has trained on all epochs of all folds.

A new one needs its entry in `PRUNERS`: `--pruner`, its help and the tests of what every pruner must
do go by that.
"""

from search.study.pruners.base import NoPruner, Pruner
from search.study.pruners.folds import MedianPruner, WilcoxonPruner
from search.study.pruners.halving import HyperbandPruner
from search.study.pruners.racing import RacingPruner
from tracking.objectives import Objective

PRUNERS: dict[str, type[Pruner]] = {
    "racing": RacingPruner,
    "none": NoPruner,
    "median": MedianPruner,
    "hyperband": HyperbandPruner,
    "wilcoxon": WilcoxonPruner,
}


def make_pruner(name: str, objective: Objective, *, winners: int = 1) -> Pruner:
    """Return a pruner.

    Args:
        name: one of `PRUNERS`.
        objective: the study's first.
        winners: how many trials, at least, should see all folds, if so many get that far.
    """
    return PRUNERS[name](objective, winners=winners)


__all__ = ["PRUNERS", "NoPruner", "Pruner", "make_pruner"]
