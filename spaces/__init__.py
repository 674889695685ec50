"""Search spaces: architectures as data."""

from spaces.narrowing import NarrowedSpace, narrow
from spaces.registry import absolute, get_space, names
from spaces.space import (
    Boolean,
    Choice,
    DataSpec,
    Float,
    ImageInput,
    Int,
    Parameter,
    Settings,
    Space,
    SpaceError,
    Value,
)

__all__ = [
    "Boolean",
    "Choice",
    "DataSpec",
    "Float",
    "ImageInput",
    "Int",
    "NarrowedSpace",
    "Parameter",
    "Settings",
    "Space",
    "SpaceError",
    "Value",
    "absolute",
    "get_space",
    "names",
    "narrow",
]
