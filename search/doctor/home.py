"""Findings, and those about a home's folder and disk, and about installed packages."""

import os
import shlex
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

from search.environment import installed
from search.errors import SettingsError
from search.quiet import check_backend
from search.tracker import Tracker
from tracking.files import amount, free_bytes
from tracking.home import DEFAULT_HOME, Home
from tracking.text import counted, shell

OK, NOTICE, PROBLEM = "ok", "notice", "problem"

_SHOWN = 10  # numbers, before "and 5 more"

FEW_BYTES, LOW_BYTES = 200_000_000, 2_000_000_000
SHOWN_PACKAGES = ("tensorflow", "keras", "optuna", "keras-tuner", "mlflow")
OLD_SECONDS = 3600  # a younger temporary file may be in use
_SHOWN_FILES = 20


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


def home_findings(place: Place) -> Iterator[Finding]:
    """Check the home's folder, its disk and the installed packages."""
    yield _writable(place.home.root)
    yield _room(place.home.root)
    yield from version_findings(requires_of("foldwise"))
    yield from backend_findings()
    yield from leftover_findings(place.home.leftovers())


def leftover_findings(paths: Sequence[Path], study: str = "") -> Iterator[Finding]:
    """Report temporary files that a killed process left."""
    old = [path for path in paths if _age(path) > OLD_SECONDS]
    if old:
        size = amount(sum(_size(path) for path in old))
        shown = [str(path) for path in old[:_SHOWN_FILES]]
        yield Finding(
            "leftovers",
            NOTICE,
            f"{counted(len(old), 'temporary file')} left by a crash, {size}; nothing needs them",
            study,
            shlex.join(("rm", "-r", "--", *shown)),
        )


def requires_of(package: str) -> list[str] | None:
    """Return an installed package's requirements, Python first; None if it is not installed."""
    try:
        python = metadata(package)["Requires-Python"]
        wanted = requires(package) or []
    except PackageNotFoundError:
        return None
    return [f"python{python}", *wanted]


def version_findings(wanted: Sequence[str] | None) -> Iterator[Finding]:
    """Compare what is installed with requirements such as `optuna>=4.5,<6`; extras are left out."""
    if wanted is None:
        text = "foldwise is not installed, so its requirements are not known; see CONTRIBUTING.md"
        yield Finding("versions", NOTICE, text)
        return
    are_fit = True
    for one in map(Requirement, wanted):
        if one.marker is not None and not one.marker.evaluate({"extra": ""}):
            continue
        found, needed = installed(one.name), f"{one.name}{one.specifier}"
        if found is not None and _fits(one, found):
            continue
        are_fit = False
        got = "is not installed" if found is None else f"{found} is installed"
        command = "" if one.name == "python" else _pip(needed)
        yield Finding("versions", PROBLEM, f"{one.name} {got}; {needed} is needed", command=command)
    if are_fit:
        shown = [(name, installed(name)) for name in ("python", *SHOWN_PACKAGES)]
        text = ", ".join(f"{name} {found}" for name, found in shown if found)
        yield Finding("versions", OK, text)


def backend_findings() -> Iterator[Finding]:
    """Check that Keras will compute with TensorFlow."""
    try:
        check_backend()
    except SettingsError as error:
        yield Finding("backend", PROBLEM, str(error))


def _writable(root: Path) -> Finding:
    if not root.exists():
        return Finding("home", OK, f"{root} does not exist yet; the first `run` creates it")
    try:
        with tempfile.TemporaryFile(dir=root) as probe:
            probe.write(bytes(4096))
    except OSError as error:
        text = f"{root} cannot be written ({error.strerror}); choose another with `--home DIR`"
        return Finding("home", PROBLEM, text)
    return Finding("home", OK, f"{root} can be written")


def _room(root: Path) -> Finding:
    free = free_bytes(root)
    if free < FEW_BYTES:
        text = f"{amount(free)} free: too little to continue; free some space"
        return Finding("room", PROBLEM, text)
    if free < LOW_BYTES:
        return Finding("room", NOTICE, f"{amount(free)} free: may not be enough for a long search")
    return Finding("room", OK, f"{amount(free)} free")


def _fits(wanted: Requirement, found: str) -> bool:
    """Say whether a version is one that is asked for; a preview counts as its release."""
    return wanted.specifier.contains(Version(found).base_version)


def _pip(requirement: str) -> str:
    return shlex.join(("python", "-m", "pip", "install", requirement))


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except OSError:  # deleted meanwhile
        return 0.0


def _size(path: Path) -> int:
    try:
        files = path.rglob("*") if path.is_dir() else (path,)
        return sum(file.stat().st_size for file in files if file.is_file())
    except OSError:
        return 0
