"""How quickly a user's own files are read, and in how much memory, beside the plain ways.

Run: `python benchmarks/reading.py [--rows 100000] [--pictures 20000] [--json FILE]`. It writes a
table of made-up 28 x 28 images (2.2 kB a row) and a folder of made-up PNGs to a temporary folder,
and reads them, each way in a fresh process:

- foldwise: `search.data.load` on an empty home: reading, checking every value, setting a
  fifth aside, writing the arrays, digesting and keeping them.
- the others: from the file to one uint8 array in memory and nothing else. The slow ones read the
  first rows only.

Memory is the largest resident size, and the part of it that is the process's own: mapped files
are not, they grow with the data and give way when memory is short. On a busy machine compare the
CPU's seconds, all threads together.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil

SIDE = 28
SLOW_ROWS = 10_000


def main() -> None:
    """Make the data, read it in every way, and print one table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    parser.add_argument("--way", help=argparse.SUPPRESS)  # of the child process
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(timed(WAYS[options.way], options.data)))
        return
    with tempfile.TemporaryDirectory() as folder:
        table, pictures = Path(folder) / "table.csv", Path(folder) / "pictures"
        write_table(table, options.rows)
        write_pictures(pictures, options.pictures)
        results = [measured(way, table if "csv" in way else pictures) for way in WAYS]
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    print_table(results)


def write_table(path: Path, rows: int) -> None:
    """Write rows in the layout of Kaggle's Fashion-MNIST; half of the pixels are 0."""
    rng = np.random.default_rng(0)
    texts = np.array([str(value) for value in range(256)])
    with path.open("w") as file:
        file.write(",".join(["label", *(f"pixel{i + 1}" for i in range(SIDE * SIDE))]) + "\n")
        for start in range(0, rows, 5000):
            count = min(5000, rows - start)
            values = random_pixels(rng, count).reshape(count, -1)
            labels = np.arange(start, start + count) % 10
            lines = texts[np.column_stack([labels, values])].tolist()
            file.write("".join(",".join(line) + "\n" for line in lines))


def write_pictures(root: Path, count: int) -> None:
    """Write PNGs into ten class folders."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for label in range(10):
        (root / str(label)).mkdir(parents=True)
    for index in range(count):
        Image.fromarray(random_pixels(rng, 1)[0]).save(root / str(index % 10) / f"{index}.png")


def random_pixels(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return uint8 (count, SIDE, SIDE)."""
    values = rng.integers(0, 256, (count, SIDE, SIDE), np.uint8)
    values[rng.random(values.shape) < 0.5] = 0
    return values


def measured(way: str, data: Path) -> dict[str, float | str]:
    """Read the data in a fresh process and watch its memory."""
    command = [sys.executable, __file__, "--way", way, "--data", str(data)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    process, resident, own = psutil.Process(child.pid), 0, 0
    while child.poll() is None:
        try:
            memory = process.memory_info()
        except psutil.Error:
            break
        resident, own = max(resident, memory.rss), max(own, memory.rss - memory.shared)
        time.sleep(0.01)
    output, _ = child.communicate()
    if child.returncode:
        raise SystemExit(f"{way} failed with exit code {child.returncode}")
    memory_mb = {"resident_mb": round(resident / 1e6), "own_mb": round(own / 1e6)}
    return {"way": way, **json.loads(output), **memory_mb}


def timed(read: Callable[[Path], int], data: Path) -> dict[str, float]:
    """Return samples, seconds, samples a second and the CPU's seconds; imports count."""
    started, cpu = time.perf_counter(), time.process_time()
    count = read(data)
    seconds = time.perf_counter() - started
    return {
        "samples": count,
        "seconds": round(seconds, 2),
        "a_second": round(count / seconds),
        "cpu_seconds": round(time.process_time() - cpu, 2),
    }


def load_foldwise(reference: str) -> int:
    """Load a dataset into an empty home."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from search.data import load

    with tempfile.TemporaryDirectory() as home:
        dataset = load(reference, home=Path(home))
        return len(dataset.train_labels) + len(dataset.open_test()[1])


def csv_foldwise(path: Path) -> int:
    """Load the table."""
    return load_foldwise(f"csv:{path}")


def csv_pandas(path: Path) -> int:
    """Read the table with pandas, whole."""
    import pandas as pd

    return len(pd.read_csv(path, dtype=np.uint8).to_numpy())


def csv_numpy(path: Path) -> int:
    """Read the first rows with NumPy."""
    return len(np.loadtxt(path, np.uint8, delimiter=",", skiprows=1, max_rows=SLOW_ROWS))


def csv_module(path: Path) -> int:
    """Read the first rows with Python's csv module."""
    import csv
    from itertools import islice

    with path.open(newline="") as file:
        lines = islice(csv.reader(file), 1, SLOW_ROWS + 1)
        return len(np.array([[int(value) for value in line] for line in lines], np.uint8))


def folder_foldwise(root: Path) -> int:
    """Load the folder."""
    return load_foldwise(f"folder:{root}")


def folder_loop(root: Path) -> int:
    """Read the pictures one after the other with Pillow."""
    from PIL import Image

    return len(np.stack([np.asarray(Image.open(path)) for path in sorted(root.glob("*/*.png"))]))


WAYS = {
    "csv, foldwise": csv_foldwise,
    "csv, pandas.read_csv": csv_pandas,
    "csv, numpy.loadtxt": csv_numpy,
    "csv, csv module": csv_module,
    "folder, foldwise": folder_foldwise,
    "folder, loop over Pillow": folder_loop,
}


def print_table(results: list[dict[str, float | str]]) -> None:
    """Print the numbers for people."""
    heads = ("way", "samples", "seconds", "samples a second", "CPU s", "resident MB", "own MB")
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for result in results:
        cells = [
            f"{value:,}" if isinstance(value, int) else str(value) for value in result.values()
        ]
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
