"""What a space's models take in: images, texts or rows of a table."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, TypeAlias

from spaces.declaring.parameters import SpaceError

Pixels: TypeAlias = Literal["raw", "scaled"]  # uint8 0..255, and float32 0..1
ONE_RANGE = (
    "let all of them rescale, or none, or say what pixels they all take with `--pixels raw`, 0 to"
    " 255, or `--pixels scaled`, 0 to 1"
)
PIXEL_RANGES: dict[Pixels, str] = {"raw": "0 to 255", "scaled": "0 to 1"}


@dataclass(frozen=True)
class ImageInput:
    """Images, padded or resized to one size.

    Models receive uint8 pixels 0..255, or float32 0..1 with `scaled`.

    Attributes:
        size: (height, width) in pixels; None: the dataset's own.
        channels: 1 (grey) or 3 (colour); None: the dataset's own.
        scaled: divide pixels by 255 before the model sees them.
    """

    kind: ClassVar[str] = "image"
    size: tuple[int, int] | None = None
    channels: int | None = None
    scaled: bool = False

    def shape(self, native: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of one sample, `(height, width, channels)`.

        Args:
            native: that of the dataset's own images.
        """
        height_width = native[:2] if self.size is None else self.size
        return (*height_width, native[2] if self.channels is None else self.channels)


@dataclass(frozen=True)
class TextInput:
    """Texts as token numbers, int32 `(length,)`, padded at the end.

    0 is padding, 1 a word outside the vocabulary; the vocabulary is learned on training parts. A
    space's parameters called `vocabulary` and `length` take the place of these numbers.

    Attributes:
        vocabulary: number of tokens, padding and unknown included; at least 3.
        length: tokens kept of a text, from its beginning; at least 1.
    """

    kind: ClassVar[str] = "text"
    vocabulary: int = 10_000
    length: int = 50

    def __post_init__(self) -> None:
        if self.vocabulary < 3 or self.length < 1:
            raise SpaceError(
                "a text input needs a vocabulary of at least 3 and a length of at least 1;"
                f" got {self.vocabulary} and {self.length}"
            )

    def of_setting(self, setting: Mapping[str, Any]) -> "TextInput":
        """Return the input with the setting's `vocabulary` and `length` where it has them."""
        return replace(
            self,
            vocabulary=int(setting.get("vocabulary", self.vocabulary)),
            length=int(setting.get("length", self.length)),
        )


@dataclass(frozen=True)
class TableInput:
    """Rows of numbers, float32 `(columns,)`, each column standardised on the training part."""

    kind: ClassVar[str] = "table"


Input: TypeAlias = ImageInput | TextInput | TableInput


@dataclass(frozen=True)
class DataSpec:
    """What a model is built for.

    Attributes:
        input_shape: shape of one sample as the model receives it, for example `(32, 32, 1)`.
        classes: number of classes, at least 2.
        kind: `image`, `text` or `table`.
        vocabulary: number of tokens of a text input, padding (0) and unknown (1) included; else 0.
    """

    input_shape: tuple[int, ...]
    classes: int
    kind: str = "image"
    vocabulary: int = 0
