"""Where arrays come from: named datasets, found, checked, and kept once for all processes."""

from search.datasets.catalog import DatasetEntry, entry_of, known
from search.datasets.dataset import Dataset
from search.datasets.images import prepare_images
from search.datasets.loading import DatasetNotFound, load, locate

__all__ = [
    "Dataset",
    "DatasetEntry",
    "DatasetNotFound",
    "entry_of",
    "known",
    "load",
    "locate",
    "prepare_images",
]
