"""Formats of exported models; each is written, loaded again and compared with the model."""

from search.export.formats.base import Difference, Exportable, Format, Samples
from search.export.formats.catalog import FORMATS, chosen_formats, default_formats

__all__ = [
    "FORMATS",
    "Difference",
    "Exportable",
    "Format",
    "Samples",
    "chosen_formats",
    "default_formats",
]
