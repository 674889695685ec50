"""Search spaces: architectures as data."""

import sys

from spaces.declaring import parameters as _parameters
from spaces.declaring import space as _space
from spaces.declaring.callbacks import (
    OF_CALLBACKS,
    acts_on_batches,
    fold_callbacks,
    is_kerass,
    watches_validation,
    written_path,
)
from spaces.declaring.fingerprint import Fingerprint, fingerprint_of
from spaces.declaring.importing import Code, Passed, adopt, cause_of, passed_as
from spaces.declaring.parameters import Boolean, Choice, Float, Int, Parameter, Params, SpaceError
from spaces.declaring.registry import (
    NarrowedSpace,
    absolute,
    code_of,
    get_space,
    is_built_in,
    names,
    narrow,
    reference_to,
    run_anew,
    run_code,
    space_fingerprint,
)
from spaces.declaring.space import (
    FIT_ARGUMENTS,
    PIXEL_RANGES,
    DataSpec,
    Identity,
    ImageInput,
    Input,
    Published,
    SequenceInput,
    SeveralInputs,
    Space,
    TableInput,
    TextInput,
    identity_of,
    not_taken,
)
from spaces.declaring.training import as_began, without_augmentation, without_classes
from spaces.declaring.values import Value, place_of, same, short_text, value_text
from spaces.keras_tuner.hypermodel import given_pixels, with_pixels

__all__ = [
    "FIT_ARGUMENTS",
    "OF_CALLBACKS",
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
    "Params",
    "Passed",
    "Published",
    "SequenceInput",
    "SeveralInputs",
    "Space",
    "SpaceError",
    "TableInput",
    "TextInput",
    "Value",
    "absolute",
    "acts_on_batches",
    "adopt",
    "as_began",
    "cause_of",
    "code_of",
    "fingerprint_of",
    "fold_callbacks",
    "get_space",
    "given_pixels",
    "identity_of",
    "is_built_in",
    "is_kerass",
    "names",
    "narrow",
    "not_taken",
    "passed_as",
    "place_of",
    "reference_to",
    "run_anew",
    "run_code",
    "same",
    "short_text",
    "space_fingerprint",
    "value_text",
    "watches_validation",
    "with_pixels",
    "without_augmentation",
    "without_classes",
    "written_path",
]

# Names that these modules had in earlier versions, for spaces of users' own that import them.
sys.modules.update(
    {
        "spaces.inputs": _space,
        "spaces.parameters": _parameters,
        "spaces.space": _space,
    }
)
