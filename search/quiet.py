"""Loading TensorFlow, as Keras's backend, and tqdm in notebooks without their messages."""

import json
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from search.errors import SettingsError
from tracking.files import private_file

BACKEND = "tensorflow"
BACKEND_VARIABLE = "KERAS_BACKEND"


def check_backend() -> None:
    """Check that Keras computes with TensorFlow, or will when it is imported; does not import it.

    What counts is what Keras itself goes by: KERAS_BACKEND, else `backend` in its `keras.json`.

    Raises:
        SettingsError: it computes with another backend.
    """
    loaded = sys.modules.get("keras")
    asked = os.environ.get(BACKEND_VARIABLE, "")
    home = Path.home() if os.access(Path.home(), os.W_OK) else Path("/tmp")  # noqa: S108 # nosec B108 # as Keras
    file = Path(os.environ.get("KERAS_HOME") or home / ".keras").expanduser() / "keras.json"
    if loaded is not None and hasattr(loaded, "config"):
        found, where = loaded.config.backend(), "which this Python has imported Keras with"
        remedy = f"Restart it with `{BACKEND_VARIABLE}={BACKEND}`"
    elif asked:
        found, where = asked, f"from the environment's {BACKEND_VARIABLE}"
        remedy = f"Enter `export {BACKEND_VARIABLE}={BACKEND}`"
    else:
        found, where = _configured(file), f"from {file}"
        remedy = f"Change it there, or enter `export {BACKEND_VARIABLE}={BACKEND}`"
    if found != BACKEND:
        raise SettingsError(
            f"Keras's backend must be {BACKEND}, with which Foldwise trains; got {found!r},"
            f" {where}. {remedy}."
        )


def _configured(file: Path) -> str:
    """Return the backend that Keras's own file names; TensorFlow where it names none."""
    try:
        written = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # Keras, too, goes on without it
        return BACKEND
    return str(written.get("backend", BACKEND)) if isinstance(written, dict) else BACKEND


def load_tqdm() -> None:
    """Import tqdm in a notebook without its advice to install widgets for progress bars.

    Optuna and MLflow import it; no bar of theirs is shown.
    """
    if "ipykernel" in sys.modules:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import tqdm.auto  # noqa: F401 # the warning comes at its first import alone


@contextmanager
def without_displays() -> Iterator[None]:
    """Keep what libraries display of their own accord from the user's notebook meanwhile."""
    if "ipykernel" not in sys.modules:
        yield
        return
    from IPython.utils.capture import capture_output

    with capture_output(stdout=False, stderr=False, display=True):
        yield


def load_tensorflow(log: Path | None = None) -> None:
    """Import TensorFlow and start its runtime with its messages in `log`, or nowhere.

    They come from C++ and pass by Python's streams, so the file descriptor itself is redirected
    meanwhile.

    Args:
        log: file they are appended to.

    Raises:
        SettingsError: Keras would compute with another backend.
    """
    check_backend()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # what matters is raised
    with standard_error_to(log or Path(os.devnull)):
        import tensorflow as tf

        tf.config.list_logical_devices()  # looks for GPUs, which is what is noisy


@contextmanager
def without_remarks() -> Iterator[None]:
    """Keep back what TensorFlow logs below a warning meanwhile.

    In a notebook it prints such remarks, the files of a SavedModel for one, to both of Python's
    streams, which are not those of the process that `standard_error_to` redirects.
    """
    logger = logging.getLogger("tensorflow")
    before = logger.level
    logger.setLevel(max(before, logging.WARNING))
    try:
        yield
    finally:
        logger.setLevel(before)


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
