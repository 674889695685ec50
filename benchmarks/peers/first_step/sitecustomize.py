"""Notes when Keras's first training epoch begins and when its first step is computed.

With this folder on PYTHONPATH, Python imports the module as it starts, in every process of a
command and whatever the command is; so all are timed at the same places and none is changed. Where
FIRST_STEP names a file, times are written, seconds since 1970: to `FILE.begun` when callbacks are
told of the first epoch, to `FILE.computed` when the gradients of its first step are there and go to
the optimizer, noted by an operation of the graph itself. Steps before any epoch, as this project
takes to measure how fast its workers are, go to `FILE.tried`.
"""

import os
import sys
import time
from importlib.machinery import ModuleSpec, PathFinder
from typing import Any

FILE = os.environ.get("FIRST_STEP")


class Finder:
    """Finds the modules of PLACES as Python does, and has each watched as soon as it is there."""

    @classmethod
    def find_spec(cls, name: str, path: Any = None, _target: Any = None) -> ModuleSpec | None:
        """Return the module's own specification, with the watch behind it."""
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


def watch_epochs(module: Any) -> None:
    """Have the first epoch's beginning noted."""
    method = module.CallbackList.on_epoch_begin

    def on_epoch_begin(self: Any, *arguments: Any, **named: Any) -> Any:
        module.CallbackList.on_epoch_begin = method
        note("begun")
        return method(self, *arguments, **named)

    module.CallbackList.on_epoch_begin = on_epoch_begin


def watch_steps(module: Any) -> None:
    """Have the first step's gradients noted when they are computed, not when they are traced."""
    method = module.BaseOptimizer.apply

    def apply(self: Any, gradients: Any, *arguments: Any, **named: Any) -> Any:
        import tensorflow as tf

        tf.py_function(note_step, [gradients[0]], [])
        return method(self, gradients, *arguments, **named)

    module.BaseOptimizer.apply = apply


def note_step(_: Any) -> None:
    """Note a step, by whether an epoch has begun."""
    note("computed" if is_there(f"{FILE}.begun") else "tried")


def is_there(path: str) -> bool:
    """Say whether there is such a file; pathlib would be imported for this alone."""
    return os.path.exists(path)  # noqa: PTH110


def note(event: str) -> None:
    """Write the file, whole; the first to do so is right."""
    path = f"{FILE}.{event}"
    if not is_there(path):
        partial = f"{path}.{os.getpid()}"
        with open(partial, "w") as file:  # noqa: PTH123
            file.write(repr(time.time()))
        os.rename(partial, path)  # noqa: PTH104


PLACES = {
    "keras.src.callbacks.callback_list": watch_epochs,
    "keras.src.optimizers.base_optimizer": watch_steps,
}

if FILE:
    sys.meta_path.insert(0, Finder)  # type: ignore[arg-type]
