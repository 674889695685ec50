"""Which drivers there are, with their samplers; the first sampler is a driver's default."""

from importlib.util import find_spec

from search.drivers.base import Driver
from search.drivers.fixed import FixedDriver
from search.errors import SettingsError
from spaces import Space

DRIVERS: dict[str, tuple[str, ...]] = {
    "optuna": ("tpe", "random", "gp", "qmc", "cmaes", "grid"),
    "fixed": ("baselines", "grid"),
}


def default_sampler(driver: str) -> str:
    """Return the sampler a driver uses where the user names none."""
    return DRIVERS[driver][0]


def make_driver(name: str, sampler: str, space: Space, seed: int) -> Driver:
    """Return a driver over a narrowed space.

    Args:
        name: one of `DRIVERS`.
        sampler: one of that driver's samplers.
        space: the parameters to decide; fixed ones keep their defaults.
        seed: the study's seed.

    Raises:
        SettingsError: the sampler needs a package that is not installed.
    """
    if sampler == "grid":
        return FixedDriver(space.grid())
    if not space.searched():
        return FixedDriver([space.complete({})])  # there is one setting
    if name == "fixed":
        return FixedDriver(())  # the study evaluates the baselines before it asks
    if sampler == "gp" and find_spec("torch") is None:
        raise SettingsError(
            "`--sampler gp` needs PyTorch, which is not installed."
            " Install it with `pip install foldwise[gp]`, or use `--sampler tpe`."
        )
    from search.drivers.optuna import OptunaDriver

    return OptunaDriver(space, sampler=sampler, seed=seed)
