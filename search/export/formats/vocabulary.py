"""The words of a model of texts, a line each, for programs that cannot read `labels.json`."""

from pathlib import Path

from search.export.folder import Labels
from search.training.encoders import TextEncoder

VOCABULARY = "vocabulary.txt"


def write_vocabulary(labels: Labels, folder: Path) -> None:
    """Write a model's words, UTF-8; the word of line n (from 1) is token n + 1.

    Models of other samples have none.
    """
    if isinstance(labels.encoder, TextEncoder):
        content = "".join(f"{word}\n" for word in labels.encoder.words)
        (folder / VOCABULARY).write_text(content, encoding="utf-8", newline="\n")
