"""Search spaces: architectures as data."""

from spaces.causes import cause_of
from spaces.fingerprint import Fingerprint, fingerprint_of
from spaces.hypermodel import given_pixels, with_pixels
from spaces.importing import Code
from spaces.inputs import PIXEL_RANGES, DataSpec, ImageInput, Input, TableInput, TextInput
from spaces.narrowing import NarrowedSpace, narrow
from spaces.parameters import Boolean, Choice, Float, Int, Parameter, Settings, SpaceError
from spaces.registry import (
    absolute,
    code_of,
    get_space,
    names,
    run_anew,
    run_code,
    space_fingerprint,
)
from spaces.space import Identity, Published, Space, identity_of
from spaces.training import without_augmentation
from spaces.values import Value, place_of, same, short_text, value_text

__all__ = [
    "PIXEL_RANGES",
    "Boolean",
    "Choice",
    "Code",
    "DataSpec",
    "Fingerprint",
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
    "code_of",
    "fingerprint_of",
    "get_space",
    "given_pixels",
    "identity_of",
    "names",
    "narrow",
    "place_of",
    "run_anew",
    "run_code",
    "same",
    "short_text",
    "space_fingerprint",
    "value_text",
    "with_pixels",
    "without_augmentation",
]
