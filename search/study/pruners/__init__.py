"""Pruners: what ends a trial before it has seen all epochs of all folds."""

from search.study.pruners.base import NoPruner, Pruner
from search.study.pruners.catalog import PRUNERS, make_pruner

__all__ = ["PRUNERS", "NoPruner", "Pruner", "make_pruner"]
