"""What results depend on besides settings, and the command that repeats a study."""

import importlib.util
import json
import os
import platform
import re
import shlex
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from spaces import short_text
from tracking.history import History
from tracking.records import StudyStarted

PACKAGES = ("foldwise", "tensorflow", "keras", "optuna", "keras-tuner", "scikit-learn", "numpy")
# Packages with TensorFlow's module, builds of it; of several the first that is there counts.
_BUILDS = ("tensorflow", "tensorflow-cpu", "tensorflow-rocm", "tf-nightly", "tf-nightly-cpu")
_EXTRAS = {"tfds": "tensorflow_datasets", "ray": "ray", "gp": "torch"}  # what each is there for


def describe_environment() -> dict[str, Any]:
    """Return package versions, host, process, processor count and the git state of this folder."""
    return {
        "versions": {"python": platform.python_version(), **package_versions(PACKAGES)},
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "git": git_state(Path.cwd()),
    }


def install_line(extra: str) -> str:
    """Return the command that installs an extra of this project; any shell takes it."""
    return f'pip install "foldwise[{extra}]"'


def missing_extra(extra: str) -> str:
    """Return the command that installs an extra whose package is not there; empty if it is."""
    return "" if importlib.util.find_spec(_EXTRAS[extra]) else install_line(extra)


def package_versions(names: tuple[str, ...]) -> dict[str, str]:
    """Return the versions of the packages that are installed."""
    found = {name: installed(name) for name in names}
    return {name: known for name, known in found.items() if known is not None}


def installed(name: str) -> str | None:
    """Return a package's version without importing it; None if it is not installed.

    TensorFlow's is that of the build which is there; `python` is this Python.
    """
    if name == "python":
        return platform.python_version()
    for one in _BUILDS if name == "tensorflow" else (name,):
        with suppress(PackageNotFoundError):
            return version(one)
    return None


def git_state(folder: Path) -> dict[str, Any]:
    """Return `commit` and `dirty` of the repository around a folder; empty without one."""
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return {}
    return {"commit": commit, "dirty": bool(_git(folder, "status", "--porcelain", "-uno"))}


def _git(folder: Path, *arguments: str) -> str:
    command = ("git", "-C", str(folder), *arguments)
    try:
        done = subprocess.run(  # nosec B603 # git, which the user has, with fixed arguments
            command, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


_OPTIONS = {  # setting: option of `run`, in the order of the command
    "space": "--space",
    "dataset": "--dataset",
    "target": "--target",
    "task": "--task",
    "ignore": "--ignore",
    "types": "--types",
    "text": "--text",
    "input": "--input",
    "kind": "--kind",
    "groups": "--groups",
    "time": "--time",
    "weights": "--weights",
    "fold_column": "--fold-column",
    "header": "--header",
    "decimal": "--decimal",
    "split": "--split",
    "gap": "--gap",
    "folds": "--folds",
    "epochs": "--epochs",
    "seed": "--seed",
    "driver": "--driver",
    "sampler": "--sampler",
    "sampler_args": "--sampler-args",
    "pruner": "--pruner",
    "objective": "--objective",
    "metrics": "--metrics",
    "target_scaling": "--target-scaling",
    "threshold": "--threshold",
    "limit_samples": "--limit-samples",
    "precision": "--precision",
    "pixels": "--pixels",
}


def run_command(history: History) -> str:
    """Return the `foldwise run` that repeats the study, quoted for a shell.

    It has every setting that decides scores, defaults included, one a line, and the last session's
    total of trials.
    """
    study = history.known_study()
    options = [("--study", study.study), *_options(study), ("--trials", str(_trials(history)))]
    asked = [session for session in history.sessions if not session.auto_confirm]
    if len(asked) == len(history.sessions):  # else it is chosen again
        options.append(("--confirm", str(max((each.confirm for each in asked), default=0))))
    workers = history.sessions[-1].environment.get("workers") if history.sessions else None
    if workers:  # also where autotune chose them
        options.append(("--workers", str(workers)))
    return " \\\n  ".join(["foldwise run", *map(shlex.join, options)])


_INPUTS = {
    "image": "image.png",
    "text": "a text",
    "table": "rows.csv",
    "sequence": "sequences.npz",
    "several": "samples.npz",
}


def example_input(kind: str) -> str:
    """Return what `predict` might be given of a kind of samples, in an example."""
    return _INPUTS[kind]


# A path from a root: `/home/ada/x.csv`, `~/x.csv`, `C:\\x.csv`, also behind `csv:`; no address of a
# page. Where a blank or a bracket is before a slash, another path begins.
_FOLDERS = re.compile(
    r"(?<![^\s:=,;(\"'`])(?:~|[A-Za-z]:)?(?!//)[/\\]"
    r"(?:[^:;,\"'`\n/\\]*(?<![\s(])[/\\])*(?=[^/\\\s:;,\"'`])"
)


def without_folders(text: str) -> str:
    """Return text in which files are named without the folders of this machine."""
    return _FOLDERS.sub("", text)


def facts(history: History) -> list[tuple[str, str]]:
    """Return what else the scores depend on, as (name, value)."""
    study = history.known_study()
    data = study.dataset
    environment = history.sessions[-1].environment if history.sessions else {}
    found = [
        ("dataset", f"{data.get('name')} ({data.get('source', 'source unknown')})"),
        ("training samples used", f"{data.get('samples', 0):,}"),
        ("dataset digest (SHA-256)", str(data.get("digest", ""))),
        ("folds digest (SHA-256)", study.folds_digest),
        ("folds cut in Python by", str(study.split.get("splitter", ""))),
        ("git commit", _commit(environment.get("git") or {})),
        ("versions", _versions(environment.get("versions") or {})),
        ("machine", _machine(environment)),
        ("worker processes", _workers(environment)),
        ("study's identifier", study.id),
    ]
    return [(name, value) for name, value in found if value]


def best_params(history: History) -> list[tuple[str, str]]:
    """Return all params of the best trial, fixed ones included."""
    best = history.best()
    return [(k, short_text(v)) for k, v in best.params.items()] if best else []


def _options(study: StudyStarted) -> Iterator[tuple[str, ...]]:
    known = {"space": study.space, "driver": study.driver, **study.settings}
    known["set"] = known.get("set") or {}
    known["dataset"] = known.get("dataset") or study.dataset.get("name")
    known.setdefault("folds", study.folds)
    epochs = study.parameter("epochs")
    if known.get("epochs") is None and not epochs.get("searched") and "epochs" not in known["set"]:
        known["epochs"] = epochs.get("default")
    if "split" not in known and study.kind != "text":  # began when copies were not kept together
        known["allow_duplicates"] = True
    if "splitter" in study.split:
        known |= {"split": None, "folds": None}  # a command cannot pass it
    unless = {"gap": 0, "header": "first"}
    known["sampler_args"] = json.dumps(known["sampler_args"]) if known.get("sampler_args") else None
    for name, option in _OPTIONS.items():
        value = (";" if name == "input" else ",").join(_texts(known.get(name)))
        if value not in ("", "auto") and known[name] != unless.get(name):
            yield option, value
    yield "--learn-from", _learned_from(study)
    for name, value in sorted(known["set"].items()):
        yield "--set", f"{name}={value}"
    if known.get("baselines") is False:
        yield ("--no-baselines",)
    for name in ("drop_duplicates", "allow_duplicates", "skip_unreadable"):
        if known.get(name):
            yield (f"--{name.replace('_', '-')}",)


def _learned_from(study: StudyStarted) -> str:
    """Return the option by which a study learns what this one did, if the others are there."""
    if not study.learned:
        return "none"
    names = [one["study"] for one in study.learned["studies"]]
    return "shipped" if study.learned["shipped"] else ",".join(names)


def _texts(value: Any) -> list[str]:
    """Return the parts of a setting's value as an option takes them; none for None."""
    if isinstance(value, dict):
        return [f"{name}={one}" for name, one in value.items()]
    if isinstance(value, list | tuple):
        return list(map(str, value))
    return [] if value is None else [str(value)]


def _trials(history: History) -> int:
    return history.sessions[-1].trials if history.sessions else len(history.trials)


def _commit(git: dict[str, Any]) -> str:
    if not git.get("commit"):
        return "not in a git repository"
    return f"{git['commit']}{', with uncommitted changes' if git.get('dirty') else ''}"


def _versions(versions: dict[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def _machine(environment: dict[str, Any]) -> str:
    cpus = f"{environment['cpus']} processors" if environment.get("cpus") else ""
    return ", ".join(part for part in (str(environment.get("platform") or ""), cpus) if part)


def _workers(environment: dict[str, Any]) -> str:
    workers = environment.get("workers")
    if not workers:
        return ""
    if workers == 1:
        return "1: the same command gives the same scores on a machine like this"
    return f"{workers}: proposals depend on which trial ended first, so a repeated study differs"
