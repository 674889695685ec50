"""A space whose one parameter says what goes wrong with a trial."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from spaces import Choice, DataSpec, ImageInput, Params, Space

KINDS = (
    *("fine", "sleeps", "raises", "interrupts", "forks", "nothing", "too small", "diverges"),
    *("eats", "also fine", "starts"),
)


def build(parameters: Params, data: DataSpec) -> Any:
    from keras import Sequential, layers

    kind = parameters["kind"]
    if kind == "sleeps":
        time.sleep(3600)
    if kind == "raises":
        raise ValueError("this setting cannot be built")
    if kind == "interrupts":
        raise KeyboardInterrupt("of the space's own")
    if kind == "nothing":
        return None
    if kind == "forks":
        os.fork()  # both go on and evaluate the trial
    if kind == "starts":
        _start_others(Path(os.environ["STARTED"]))
    large = kind == "eats" and int(parameters["batch_size"]) > 32
    hidden = [layers.Conv2D(4, 9)] if kind == "too small" else []
    return Sequential(
        [
            layers.Input(data.input_shape),
            layers.Rescaling(float("inf") if kind == "diverges" else 1 / 255),
            *hidden,
            layers.Flatten(),
            layers.Dense(10**11 if large else 8),
            layers.Dense(data.classes, activation="softmax"),
        ]
    )


def _start_others(note: Path) -> None:
    """Start processes, one of them in a session of its own, and wait for ever."""
    wait = [sys.executable, "-c", "import time; time.sleep(3600)"]
    started = [subprocess.Popen(wait, start_new_session=far) for far in (False, True)]
    note.write_text(" ".join(str(one.pid) for one in started) + "\n")
    time.sleep(3600)


SPACE = Space(
    name="failing",
    dataset="digits",
    inputs=ImageInput(size=(8, 8), channels=1),
    parameters=(Choice("kind", KINDS),),
    baselines={},
    build=build,
)
