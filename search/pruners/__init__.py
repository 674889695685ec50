"""Pruners: what ends a trial before it has seen all epochs of all folds."""

from search.pruners.base import NoPruner, Pruner
from search.pruners.catalog import PRUNERS, make_pruner

__all__ = ["PRUNERS", "NoPruner", "Pruner", "make_pruner"]
