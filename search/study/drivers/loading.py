"""Loading a library without its effects on this process being noticed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from search.quiet import standard_error_to


@contextmanager
def unnoticed() -> Iterator[None]:
    """Keep what is imported meanwhile from the terminal and from the environment.

    TensorFlow writes to standard error from C++ and sets variables that a worker process would
    inherit.
    """
    before = dict(os.environ)
    try:
        with standard_error_to(Path(os.devnull)):
            yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)
