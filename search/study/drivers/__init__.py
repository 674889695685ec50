"""Drivers, which propose params. Importing this package imports no search library."""

from search.study.drivers.base import Driver, FixedDriver, Outcome
from search.study.drivers.catalog import DRIVERS, check_driver, default_sampler, make_driver
from search.study.drivers.samplers import is_reference

__all__ = [
    "DRIVERS",
    "Driver",
    "FixedDriver",
    "Outcome",
    "check_driver",
    "default_sampler",
    "is_reference",
    "make_driver",
]
