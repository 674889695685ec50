"""Writes down what the processes of a study spend their time on.

With this folder on PYTHONPATH, Python imports the module as it starts, in every process of a
command. Where TRACER names a folder, each process writes a file there, one JSON line a span: its
name, begin and end (seconds since 1970), processor seconds of the whole process within it and up
to its end, and the name of the thread. Spans lie within each other; who reads them takes what is
inside off. The product knows nothing of it: functions are wrapped as soon as their modules have
been imported.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

FOLDER = os.environ.get("TRACER")
_here = threading.local()


@contextmanager
def span(name: str) -> Iterator[None]:
    """Write down how long what is done in this context takes."""
    began, cpu = time.time(), time.process_time()
    depth = _here.depth = getattr(_here, "depth", 0) + 1
    try:
        yield
    finally:
        _here.depth = depth - 1
        write(name, began, time.time(), time.process_time() - cpu, depth)


def write(name: str, began: float, ended: float, cpu: float, depth: int) -> None:
    """Write a span."""
    thread = threading.current_thread()
    line = {
        "name": name,
        "began": began,
        "ended": ended,
        "cpu": cpu,
        "process": time.process_time(),
        "depth": depth,
        "thread": "main" if thread is threading.main_thread() else thread.name,
    }
    with open(f"{FOLDER}/{os.getpid()}.jsonl", "a") as file:  # noqa: PTH123
        file.write(json.dumps(line) + "\n")


def wrap(owner: Any, method: str, name: str) -> None:
    """Have every call of a function written down under a name."""
    plain = getattr(owner, method)

    def wrapped(*arguments: Any, **named: Any) -> Any:
        with span(name):
            return plain(*arguments, **named)

    wrapped.__name__, wrapped.__doc__ = method, plain.__doc__
    setattr(owner, method, wrapped)


def watch(*places: tuple[str, str, str]) -> Callable[[Any], None]:
    """Return what wraps functions of a module: class or nothing, function, name."""

    def wrap_all(module: Any) -> None:
        for owner, method, name in places:
            wrap(getattr(module, owner) if owner else module, method, name)

    return wrap_all


def watch_programs(module: Any) -> None:
    """Tell tracing, the first run of a graph (on no batches), and steps from each other."""
    watch(
        ("Program", "train", "steps"),
        ("Program", "outputs", "validation"),
        ("Program", "__init__", "building"),
        ("Program", "_make_variables", "building"),
        ("Programs", "take", "building"),
        ("Programs", "keep", "building"),
    )(module)
    plain = module._Traced._traced

    def traced(self: Any, tensors: Any) -> Any:
        with span("tracing"):
            made = plain(self, tensors)
        with span("optimising"):  # TensorFlow does it at the first run; here of next to nothing
            made(*(one_row if len(tensors) == 3 else no_batches)(*tensors))
        return made

    module._Traced._traced = traced


def no_batches(inputs: Any, targets: Any, order: Any, ends: Any, longest: Any, *rest: Any) -> Any:
    """Return what an epoch of no batches is called with."""
    return inputs, targets, order[:0], ends[:1], longest[:0], *rest


def one_row(inputs: Any, rows: Any, longest: Any) -> Any:
    """Return what the prediction of a single sample is called with."""
    return inputs, rows[:1], longest


def watch_worker(module: Any) -> None:
    """Tell loading, and what a task takes."""
    wrap(module.Training, "__init__", "loading")
    wrap(module.Training, "train", "building")


def watch_fold(module: Any) -> None:
    """Tell the parts of a fold."""
    watch(
        ("_Fold", "_send", "messages"),
        ("_Fold", "_ended", "scoring"),
        ("_Fold", "_fitted", "around the steps"),
        ("", "measure", "measuring"),
    )(module)
    wrap(module.gc, "collect", "clearing")


PLACES = {
    "search.executors.worker": watch_worker,
    "search.training.fold": watch_fold,
    "search.training.program": watch_programs,
    "search.training.fit": watch(
        ("", "compile_model", "building"), ("EpochReporter", "_scored", "scoring")
    ),
    "search.training.fold_data": watch(
        ("FoldData", "export_doubt", "trying to save"), ("FoldData", "parts", "samples")
    ),
    "search.training.building": watch(("Models", "_find_out", "building twice")),
    "search.cli.run": watch(("", "run_study", "ending")),
    "search.study.opening": watch(("", "open_study", "opening")),
    "search.study.session": watch(("", "_planned", "plan"), ("", "_run", "loop")),
    "search.executors.local": watch(("LocalExecutor", "wait", "training")),
    "search.tracker": watch(("Tracker", "drain", "bringing the rest to MLflow")),
}


class Finder:
    """Finds the modules of PLACES as Python does, and wraps them as soon as they are there."""

    @classmethod
    def find_spec(cls, name: str, path: Any = None, _target: Any = None) -> ModuleSpec | None:
        """Return the module's own specification, with the wrapping behind it."""
        if name not in PLACES:
            return None
        spec = PathFinder.find_spec(name, path)
        assert spec is not None
        assert spec.loader is not None
        execute = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            execute(module)
            PLACES[name](module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


if FOLDER:
    sys.meta_path.insert(0, Finder)  # type: ignore[arg-type]
