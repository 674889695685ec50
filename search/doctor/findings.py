"""What was found out about a home: how bad it is, and what to do."""

import os
from dataclasses import dataclass

from search.text import shell
from search.tracker import Tracker
from tracking.home import DEFAULT_HOME, Home

OK, NOTICE, PROBLEM = "ok", "notice", "problem"

_SHOWN = 10  # numbers, before "and 5 more"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: what was looked at, one word.
        level: `ok`, `notice` (nothing is lost by leaving it) or `problem`.
        text: what was found.
        study: the study it is about; empty for the home.
        command: what to do about it, as it can be pasted into a shell; empty for nothing, or where
            `text` says it.
    """

    check: str
    level: str
    text: str
    study: str = ""
    command: str = ""


@dataclass(frozen=True)
class Place:
    """What is examined: a home, and the MLflow its studies are shown in."""

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
