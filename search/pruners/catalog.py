"""Which pruners there are, by the names `--pruner` takes; the first is the default."""

from collections.abc import Callable

from search.pruners.base import NoPruner, Pruner
from search.pruners.folds import MedianPruner, WilcoxonPruner
from search.pruners.halving import HyperbandPruner
from search.pruners.racing import RacingPruner
from tracking.objectives import Objective

_PRUNERS: dict[str, Callable[[Objective], Pruner]] = {
    "racing": RacingPruner,
    "none": NoPruner,
    "median": MedianPruner,
    "hyperband": HyperbandPruner,
    "wilcoxon": WilcoxonPruner,
}
PRUNERS = tuple(_PRUNERS)


def make_pruner(name: str, objective: Objective) -> Pruner:
    """Return the pruner of a name, one of `PRUNERS`, for a study's first objective."""
    return _PRUNERS[name](objective)
