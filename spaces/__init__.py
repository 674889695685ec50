"""Search spaces: architectures as data."""

from spaces.causes import cause_of
from spaces.hypermodel import given_pixels, with_pixels
from spaces.inputs import PIXEL_RANGES, DataSpec, ImageInput, Input, TableInput, TextInput
from spaces.narrowing import NarrowedSpace, narrow
from spaces.parameters import Boolean, Choice, Float, Int, Parameter, Settings, SpaceError
from spaces.registry import absolute, get_space, names, run_code
from spaces.space import Identity, Published, Space, identity_of
from spaces.training import without_augmentation
from spaces.values import Value, place_of, same, short_text, value_text

__all__ = [
    "PIXEL_RANGES",
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
    "cause_of",
    "get_space",
    "given_pixels",
    "identity_of",
    "names",
    "narrow",
    "place_of",
    "run_code",
    "same",
    "short_text",
    "value_text",
    "with_pixels",
    "without_augmentation",
]
