"""Search spaces: architectures as data."""

from spaces.causes import cause_of
from spaces.inputs import DataSpec, ImageInput, Input, TableInput, TextInput
from spaces.narrowing import NarrowedSpace, narrow
from spaces.parameters import Boolean, Choice, Float, Int, Parameter, Settings, SpaceError, Value
from spaces.registry import absolute, get_space, names, run_code
from spaces.space import Published, Space
from spaces.training import without_augmentation

__all__ = [
    "Boolean",
    "Choice",
    "DataSpec",
    "Float",
    "ImageInput",
    "Input",
    "Int",
    "NarrowedSpace",
    "Parameter",
    "Published",
    "Settings",
    "Space",
    "SpaceError",
    "TableInput",
    "TextInput",
    "Value",
    "absolute",
    "cause_of",
    "get_space",
    "names",
    "narrow",
    "run_code",
    "without_augmentation",
]
