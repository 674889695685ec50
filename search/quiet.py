"""Keeping TensorFlow's start-up messages from the user's terminal."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tracking.files import private_file


def load_tensorflow(log: Path | None = None) -> None:
    """Import TensorFlow and start its runtime with its messages in `log`, or nowhere.

    They come from C++ and pass by Python's streams, so the file descriptor itself is redirected
    meanwhile.

    Args:
        log: file they are appended to.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what matters is raised
    with standard_error_to(log or Path(os.devnull)):
        import tensorflow as tf

        tf.config.list_logical_devices()  # looks for GPUs, which is what is noisy


@contextmanager
def standard_error_to(path: Path) -> Iterator[None]:
    """Send what this process writes to standard error to a file meanwhile.

    Args:
        path: file it is appended to.
    """
    sys.stderr.flush()
    saved = os.dup(2)
    target = private_file(path)
    os.dup2(target, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(target)
