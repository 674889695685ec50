"""Notices as Python warnings, at the line of the user's call."""

import sys
import sysconfig
import warnings
from pathlib import Path
from types import FrameType
from typing import Any

from tracking.text import Notify

# Notices that only say what takes time: a display shows that.
_ROUTINE = ("Getting ", "Building models of ")
_INSTALLED = ("site-packages", "dist-packages")
_STANDARD = (sysconfig.get_path("stdlib"), "<frozen")


class Notice(UserWarning):
    """A notice for the user; the call went on."""


def warnings_at_caller() -> Notify:
    """Return a function that raises notices as Python warnings, at the line of the user's call.

    Files of installed packages do not count, so that it is also found where scikit-learn calls an
    estimator. A notice is told at every call, and once in each; those that only say what takes time
    are left out.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _is_ours(frame):
        frame = frame.f_back
    nearest = frame or sys._getframe(1)
    while frame is not None and _is_installed(frame):
        frame = frame.f_back
    found = frame or nearest
    place, line = found.f_code.co_filename, found.f_lineno
    module, told = str(found.f_globals.get("__name__", "<unknown>")), dict[Any, Any]()

    def warn(text: str) -> None:
        if not text.startswith(_ROUTINE):
            warnings.warn_explicit(text, Notice, place, line, module=module, registry=told)

    return warn


def _is_installed(frame: FrameType) -> bool:
    place = frame.f_code.co_filename
    return place.startswith(_STANDARD) or not set(_INSTALLED).isdisjoint(Path(place).parts)


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).partition(".")[0] in (
        "search",
        "spaces",
        "tracking",
    )
