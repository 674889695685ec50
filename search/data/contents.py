"""What a source turned out to hold."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Contents:
    """What a source turned out to hold.

    Attributes:
        kind: `image`, `text` or `table`.
        classes: class names; a label is an index into them.
        columns: a table's column names.
        notices: what the user should know, for example how many images were resized.
    """

    kind: str
    classes: tuple[str, ...]
    columns: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
