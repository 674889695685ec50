"""Formats of exported models; each is written, loaded again and compared with the model."""

from search.environment import install_line
from search.errors import SettingsError, near_matches
from search.export.formats.base import Difference, Exportable, Format, Samples
from search.export.formats.keras_archive import KerasArchive
from search.export.formats.runtimes import Onnx, TFLite
from search.export.formats.saved_model import SavedModel

__all__ = [
    "FORMATS",
    "KERAS",
    "Difference",
    "Exportable",
    "Format",
    "Samples",
    "chosen_formats",
    "default_formats",
]

KERAS = KerasArchive.name
FORMATS: dict[str, Format] = {
    made.name: made for made in (KerasArchive(), SavedModel(), TFLite(), Onnx())
}


def default_formats(kind: str, *, outputs: int = 1) -> str:
    """Return the default formats for a kind of samples.

    Texts and rows must be encoded for a Keras model; a SavedModel does that itself, and MLflow
    serves several outputs of it.
    """
    return KERAS if kind == "image" and outputs == 1 else f"{KERAS},{SavedModel.name}"


def chosen_formats(text: str) -> tuple[Format, ...]:
    """Return the formats for names separated by commas; `keras` is always included.

    Raises:
        SettingsError: a name is unknown, or a format's packages are not installed.
    """
    names = {name.strip().lower() for name in text.split(",") if name.strip()}
    unknown = sorted(names - set(FORMATS))
    if unknown:
        raise SettingsError(
            f"`--format` must be one or several of {','.join(FORMATS)};"
            f" got {unknown[0]!r}, {near_matches(unknown[0], FORMATS)}"
        )
    chosen = tuple(made for name, made in FORMATS.items() if name in names | {KERAS})
    for made in chosen:
        missing = made.missing()
        if missing:
            raise SettingsError(
                f"`--format {made.name}` needs packages that are not installed:"
                f" {', '.join(missing)}. Install them with `{install_line('formats')}`, or"
                f" leave {made.name} out."
            )
    return chosen
