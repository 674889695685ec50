"""Search spaces: architectures as data."""

from spaces.narrowing import NarrowedSpace, narrow
from spaces.parameters import Boolean, Choice, Float, Int, Parameter, Settings, SpaceError, Value
from spaces.registry import absolute, get_space, names
from spaces.space import DataSpec, ImageInput, Space

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
