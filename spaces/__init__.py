"""Search spaces: architectures as data."""

from spaces.inputs import DataSpec, ImageInput, Input, TableInput, TextInput
from spaces.narrowing import NarrowedSpace, narrow
from spaces.parameters import Boolean, Choice, Float, Int, Parameter, Settings, SpaceError
from spaces.registry import absolute, get_space, names
from spaces.space import Identity, Published, Space, identity_of
from spaces.training import without_augmentation
from spaces.values import Value, place_of, same, short_text, value_text

__all__ = [
    "Boolean",
    "Choice",
    "DataSpec",
    "Float",
    "Identity",
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
    "get_space",
    "identity_of",
    "names",
    "narrow",
    "place_of",
    "same",
    "short_text",
    "value_text",
    "without_augmentation",
]
