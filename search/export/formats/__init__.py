"""Formats of exported models; each is written, loaded again and compared with the model."""

from collections.abc import Sequence

from search.environment import install_line
from search.errors import SettingsError, near_matches
from search.export.formats.base import Difference, Exportable, Format, Samples
from search.export.formats.keras_archive import KerasArchive
from search.export.formats.runtimes import Onnx, SavedModel, TFLite
from search.tasks import MULTI_OUTPUT
from tracking.records import StudyStarted

__all__ = [
    "FORMATS",
    "KERAS",
    "Difference",
    "Exportable",
    "Format",
    "Samples",
    "check_takes",
    "chosen_formats",
    "default_formats",
]

KERAS = KerasArchive.name
FORMATS: dict[str, Format] = {
    made.name: made for made in (KerasArchive(), SavedModel(), TFLite(), Onnx())
}


def default_formats(kind: str, *, outputs: int = 1) -> str:
    """Return the default formats for a kind of samples.

    Texts and rows must be encoded for a Keras model; a SavedModel does that itself.
    """
    is_plain = kind in ("image", "several") or outputs > 1
    return KERAS if is_plain else f"{KERAS},{SavedModel.name}"


def check_takes(formats: Sequence[Format], study: StudyStarted) -> None:
    """Check that formats can hold the models of a study.

    Raises:
        SettingsError: one takes no models with several inputs or outputs.
    """
    found = ["inputs"] * (study.kind == "several") + ["outputs"] * (study.task == MULTI_OUTPUT)
    others = [form.name for form in formats if form.name != KERAS]
    if found and others:
        raise SettingsError(
            f"`--format` must be {KERAS} for models with several {' and several '.join(found)}, as"
            f" other formats are written for one input and one output; got {','.join(others)}. Load"
            f" {KerasArchive.file} in Keras, whose `model.export` writes them, with"
            " the preparation of samples but without reading words"
        )


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
