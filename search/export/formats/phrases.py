"""What goes into a model, in words."""

from search.export.folder import Labels
from search.training.encoders import ImageEncoder


def encoded_phrase(labels: Labels) -> str:
    """Return what the model proper takes: samples that are encoded already."""
    shape = " x ".join(map(str, labels.encoder.input_shape))
    match labels.kind:
        case "text":
            return f"up to {shape} token numbers a text, int32, 0 where it has ended"
        case "table":
            return f"{shape} columns, standardised, float32"
        case _:
            return f"images {shape}, pixels {_scale(labels)}"


def raw_phrase(labels: Labels, shape: tuple[int, ...]) -> str:
    """Return what a model with its preprocessing takes.

    Args:
        labels: the model's.
        shape: of one sample.
    """
    match labels.kind:
        case "text":
            return "texts"
        case "table":
            return f"rows of {len(labels.columns)} columns as in the file, float32"
        case _:
            return f"images {' x '.join(map(str, shape))}, pixels 0..255, uint8"


def _scale(labels: Labels) -> str:
    scaled = isinstance(labels.encoder, ImageEncoder) and labels.encoder.scaled
    return "0..1, float32" if scaled else "0..255"
