"""The files an exported model can have, each written, loaded again and compared with the model."""

from search.formats.base import Difference, Exportable, Format, Samples
from search.formats.catalog import FORMATS, chosen_formats, default_formats

__all__ = [
    "FORMATS",
    "Difference",
    "Exportable",
    "Format",
    "Samples",
    "chosen_formats",
    "default_formats",
]
