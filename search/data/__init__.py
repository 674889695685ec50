"""Datasets: find them, check them, and cache their arrays for all processes."""

from search.data.catalog import DatasetEntry, entry_of, known
from search.data.dataset import Dataset
from search.data.pictures import prepare_images
from search.data.reading import Reading
from search.data.sources import DatasetNotFound, load, locate, passed_to

__all__ = [
    "Dataset",
    "DatasetEntry",
    "DatasetNotFound",
    "Reading",
    "entry_of",
    "known",
    "load",
    "locate",
    "passed_to",
    "prepare_images",
]
