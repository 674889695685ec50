"""Training on images that do not fit in memory, beside the same model on images that do.

    python benchmarks/bigger_than_memory.py --gigabytes 2
    python benchmarks/bigger_than_memory.py --gigabytes 20 --memory 3

Made images of 128x128x3 random bytes are written to a temporary folder and deleted at the end;
there must be room for them and as much again. Each training is a process of its own, on all cores:

- memory: the first gigabyte of the images, held in memory, as small data are.
- disk: all images, read in chunks while the model trains, as a worker with `--memory` gigabytes
  reads them.

They take turns for `--rounds`. Below 5 GB an epoch comes before the one that is counted, which
builds and traces; above, there is one epoch, in which that counts for little. `--cold` drops the
images from the system's cache before each training from disk.

Memory is what the process itself holds (`RssAnon`), and all that is resident (`VmRSS`), in the
worst moment of twenty a second; the system's cache of files belongs to no process.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

SHAPE, CLASSES = (128, 128, 3), 10
IMAGE_BYTES = 128 * 128 * 3
PIECE = 1_000  # images written at once
SMALL = 5.0  # gigabytes; below it, an epoch comes before the one that is counted
PARAMS = {"epochs": 1, "batch_size": 64, "optimizer": "adam", "learning_rate": 1e-3}
AIMED_SHARE, AIMED_GB = 0.9, 3.0


def main() -> None:
    """Write the images, train in turns, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--memory", type=float, default=3.0, help="gigabytes of a worker")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made")
    parser.add_argument("--train", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train:
        print(json.dumps(trained(**json.loads(options.train))))
        return
    count = int(options.gigabytes * 1e9) // IMAGE_BYTES
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        free = shutil.disk_usage(folder).free
        if free < 2 * count * IMAGE_BYTES:
            raise SystemExit(f"{free / 1e9:.0f} GB are free in {folder}; twice the images must be")
        write(folder, count)
        epochs = 2 if options.gigabytes < SMALL else 1
        held = {"folder": name, "count": min(count, int(1e9) // IMAGE_BYTES), "epochs": 2}
        read = {"folder": name, "count": count, "epochs": epochs, "memory": options.memory}
        found: dict[str, list[Any]] = {"memory": [], "disk": []}
        for _ in range(options.rounds):
            found["memory"].append(run(held))
            if options.cold:
                drop(folder)
            found["disk"].append(run(read))
        found["memory"].append(run(held))
    print_table(found)


def write(folder: Path, count: int) -> None:
    """Write a dataset of images, and a few test images."""
    from search.data.arrays import IMAGES, LABELS, array_file, write_array
    from search.data.dataset import Manifest, Stamp

    random = np.random.Generator(np.random.SFC64(0))

    def pieces(size: int) -> Any:
        for start in range(0, size, PIECE):
            rows = min(PIECE, size - start)
            yield np.frombuffer(random.bytes(rows * IMAGE_BYTES), np.uint8).reshape(rows, *SHAPE)

    for split, size in (("train", count), ("test", 10)):
        images, labels = (array_file(folder, f"{split}_{part}") for part in ("images", "labels"))
        write_array(images, IMAGES, (size, *SHAPE), pieces(size))
        write_array(labels, LABELS, (size,), [np.arange(size) % CLASSES])
    names = tuple("abcdefghij")
    Manifest("made", "", names, (Stamp("made", ()),)).write(folder)


def drop(folder: Path) -> None:
    """Let the system forget the images."""
    with (folder / "train_images.npy").open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def run(task: dict[str, Any]) -> dict[str, float]:
    """Train in a fresh process."""
    command = [sys.executable, __file__, "--train", json.dumps(task)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    print(task | found, file=sys.stderr)
    return found


def trained(folder: str, count: int, epochs: int, memory: float | None = None) -> dict[str, float]:
    """Train on the first images and return the rate of the last epoch and the peaks of memory."""
    peaks: dict[str, float] = {}
    threading.Thread(target=watch, args=(peaks,), daemon=True).start()
    import keras
    import tensorflow as tf
    from keras import layers

    from search.data.dataset import Dataset
    from search.data.inputs import make_inputs
    from search.training.batches import Part
    from search.training.fit import fit
    from search.training.streaming import Streamed, encoded
    from spaces import ImageInput

    dataset = Dataset.open(Path(folder))
    source, rows = make_inputs(dataset, ImageInput()), np.arange(count)
    inputs = encoded(
        source, source.learn(rows, {}), rows, None if memory is None else int(memory * 1e9)
    )
    if not isinstance(inputs, Streamed):
        inputs = tf.constant(inputs)
    model = keras.Sequential(
        [
            layers.Input(SHAPE),
            layers.Rescaling(1 / 255),
            layers.Conv2D(16, 5, strides=4, activation="relu"),
            layers.Conv2D(32, 3, strides=2, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )
    times = [time.perf_counter()]
    fit(
        model,
        Part(inputs, np.asarray(dataset.train_labels)[:count]),
        None,
        PARAMS | {"epochs": epochs},
        task=dataset.task,
        seed=0,
        on_epoch=lambda _: times.append(time.perf_counter()),
    )
    streamed = isinstance(inputs, Streamed)
    return {"streamed": streamed, "rate": count / (times[-1] - times[-2]), **peaks}


def watch(peaks: dict[str, float]) -> None:
    """Note the most memory that this process has at once, in gigabytes."""
    while True:
        for line in Path("/proc/self/status").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name in ("RssAnon", "VmRSS"):
                peaks[name] = max(peaks.get(name, 0.0), int(rest.split()[0]) * 1024 / 1e9)
        time.sleep(0.05)


def print_table(found: dict[str, list[dict[str, float]]]) -> None:
    """Print medians, and the least and the most."""
    places = {"memory": "in memory", "disk": "on disk"}
    print("| images | a second | own memory | resident |\n|---|---|---|---|")
    for name, rounds in found.items():
        rates = [one["rate"] for one in rounds]
        own, resident = (max(one[key] for one in rounds) for key in ("RssAnon", "VmRSS"))
        print(
            f"| {places[name]} | {statistics.median(rates):,.0f} ({min(rates):,.0f} to"
            f" {max(rates):,.0f}) | {own:.2f} GB | {resident:.2f} GB |"
        )
    share = statistics.median(one["rate"] for one in found["disk"]) / statistics.median(
        one["rate"] for one in found["memory"]
    )
    print(f"share of the speed in memory: {share:.2f} (aim: {AIMED_SHARE}; {AIMED_GB:g} GB)")


if __name__ == "__main__":
    main()
