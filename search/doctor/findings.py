"""Findings about a home: how serious each is, and what to do about it."""

import os
from dataclasses import dataclass

from search.text import shell
from search.tracker import Tracker
from tracking.home import DEFAULT_HOME, Home

OK, NOTICE, PROBLEM = "ok", "notice", "problem"

_SHOWN = 10  # numbers, before "and 5 more"


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        check: what was checked, one word.
        level: `ok`, `notice` (can be left as it is) or `problem`.
        text: the result.
        study: the study it is about; empty for the home.
        command: the command that helps, quoted for a shell; empty if there is none, or if `text`
            gives it.
    """

    check: str
    level: str
    text: str
    study: str = ""
    command: str = ""


@dataclass(frozen=True)
class Place:
    """What is checked: a home, and the MLflow store its studies are published to."""

    home: Home
    tracker: Tracker

    def command(self, *words: str, tracked: bool = False) -> str:
        """Return a command line for this home.

        Args:
            words: the command and its arguments.
            tracked: whether the command takes `--tracking-uri`.
        """
        more: list[str] = []
        if self.home.root != DEFAULT_HOME:
            more += ["--home", str(self.home.root)]
        address = self.tracker.address
        if tracked and address is not None and address != os.environ.get("MLFLOW_TRACKING_URI"):
            more += ["--tracking-uri", self.tracker.shown_uri]
        return shell(*words, *more)
