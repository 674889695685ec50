"""Every published baseline, trained here and compared with its published score.

    python benchmarks/published.py --json results.json                    # all, three seeds each
    python benchmarks/published.py --json results.json --only cnn/compact --seeds 5
    python benchmarks/published.py --json results.json --write docs/results.md

A baseline whose score was published on a test set is trained on all training data and scored on
the test set, once a seed, nothing being chosen by it. One that was published on validation data
is trained on four fifths and scored on the rest, another stratified split each seed. One that was
published on the last fifth of the training data (Keras's `validation_split=0.2`) is scored on both,
a row each. Epochs are those of the publication. Trainings that the JSON file has
already are not repeated, so an interrupted run goes on. The table's times are processor seconds of
building, training and scoring, summed over cores: what else the machine does hardly changes them.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from page import put

from search.study.notation import parse_overrides
from spaces import Params, Published, Space, get_space, names, narrow


@dataclass(frozen=True)
class Case:
    """One baseline on one dataset."""

    space: str
    baseline: str
    dataset: str
    scored_on: str

    @property
    def name(self) -> str:
        """The baseline, as `--only` takes it."""
        return f"{self.space}/{self.baseline}"

    @property
    def published(self) -> Published:
        """What was published of it."""
        return get_space(self.space).published[self.baseline]

    def params(self, overrides: dict[str, str]) -> tuple[Space, Params]:
        """Return the space and the baseline's setting; what is overridden goes before it."""
        space = get_space(self.space)
        narrowed = narrow(space, {"epochs": str(self.published.epochs), **overrides}).space
        own = {n: v for n, v in space.baselines[self.baseline].items() if n not in overrides}
        return narrowed, narrowed.complete(own)


@dataclass(frozen=True)
class Training:
    """One finished training."""

    space: str
    baseline: str
    dataset: str
    scored_on: str
    seed: int
    accuracy: float
    seconds: float
    model_parameters: int
    confusion: list[list[int]]
    cpu_seconds: float
    samples: int = 0
    overrides: dict[str, str] = field(default_factory=dict)


def cases(only: list[str] | None) -> Iterator[Case]:
    """Yield all published baselines, or those named."""
    for space in names():
        for baseline, published in get_space(space).published.items():
            for dataset in published.scores:
                for scored_on in _parts(published):
                    case = Case(space, baseline, dataset, scored_on)
                    if only is None or case.name in only or f"{case.name}@{dataset}" in only:
                        yield case


def _parts(published: Published) -> tuple[str, ...]:
    on = published.measured_on
    return (on, "validation") if on == "last fifth" else (on,)


def train(case: Case, seed: int, asked: argparse.Namespace) -> Training:
    """Train a case once and score it."""
    import keras

    from search.data import load
    from search.data.folds import stratified_part
    from search.data.inputs import make_inputs, spec_of
    from search.seeds import derive
    from search.tasks.classification import ClassPredictions, confusion_matrix
    from search.training.batches import Part
    from search.training.fit import fit, predict

    overrides = parse_overrides(asked.set or [])
    space, params = case.params(overrides)
    dataset = load(case.dataset, home=asked.home, data_dir=asked.data_dir, notify=_tell)
    labels, classes = np.asarray(dataset.train_labels), len(dataset.classes)
    inputs = make_inputs(dataset, space.input_for(dataset.kind))
    used = np.arange(len(labels))
    if asked.limit_samples is not None:
        used = stratified_part(labels, asked.limit_samples, seed)
    used, held_out = _held_out(case.scored_on, used, labels, seed)
    started, cpu_started = time.monotonic(), time.process_time()
    encoder = inputs.learn(used, params)
    keras.backend.clear_session()
    keras.utils.set_random_seed(derive(seed, "published"))
    model = space.build(params, spec_of(encoder, dataset.kind, dataset.task))
    fitted = fit(
        model,
        Part(inputs.take(encoder, used), labels[used]),
        None,
        params,
        task=dataset.task,
        seed=derive(seed, "published"),
        on_epoch=lambda epoch: _tell(f"  epoch {epoch.number} {epoch.metrics}"),
        unfreeze=space.unfreeze,
    )
    if case.scored_on == "test":
        samples, truth = dataset.open_test()
        scored, truth = encoder.encode(samples), np.asarray(truth)
    else:
        scored, truth = inputs.take(encoder, held_out), labels[held_out]
    probabilities = predict(model, scored, fitted.outputs)
    return Training(
        space=case.space,
        baseline=case.baseline,
        dataset=case.dataset,
        scored_on=case.scored_on,
        seed=seed,
        accuracy=float((probabilities.argmax(axis=1) == truth).mean()),
        seconds=time.monotonic() - started,
        model_parameters=model.count_params(),
        confusion=confusion_matrix(ClassPredictions.of(probabilities, truth), classes),
        cpu_seconds=time.process_time() - cpu_started,
        samples=len(used),
        overrides=overrides,
    )


def _held_out(
    scored_on: str, used: np.ndarray, labels: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows that are trained on, and those that are scored (none for `test`)."""
    from search.data.splits import make_folds

    if scored_on == "test":
        return used, used[:0]
    if scored_on == "last fifth":  # as Keras: what `validation_split` leaves comes first
        kept = int(len(used) * (1 - 0.2))
        return used[:kept], used[kept:]
    folds = make_folds(labels[used], folds=1, seed=seed)
    return used[folds.train[0]], used[folds.validation[0]]


def table(trainings: list[Training]) -> str:
    """Return the Markdown table of finished trainings."""
    lines = [
        "| baseline | scored on | weights | samples, epochs | published | here | seeds"
        " | CPU time | `--only` |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for case in cases(None):
        done = [t for t in trainings if _key(t) == _key(case)]
        changes = {json.dumps(t.overrides): t.overrides for t in done}  # as published, or changed
        lines += [_row(case, [t for t in done if t.overrides == o]) for o in changes.values()]
    return "\n".join(lines)


def _row(case: Case, done: list[Training]) -> str:
    scores, published = [t.accuracy for t in done], case.published
    spread = f" ± {statistics.stdev(scores):.4f}" if len(scores) > 1 else ""
    changed = "".join(f", `{name}={text}`" for name, text in done[0].overrides.items())
    seconds = statistics.median(t.cpu_seconds for t in done)
    cells = (
        f"`{case.name}`{changed}",
        f"{case.dataset}, {case.scored_on}",
        f"{done[0].model_parameters:,}",
        f"{done[0].samples:,} x {done[0].overrides.get('epochs', published.epochs)}",
        _published(published.scores[case.dataset]),
        f"**{statistics.fmean(scores):.4f}**{spread}",
        str(len(scores)),
        f"{seconds:.0f} s",
        f"`{case.name}@{case.dataset}`",
    )
    return f"| {' | '.join(cells)} |"


def _published(score: float | None) -> str:
    return "own" if score is None else f"{score:.4g}"


def _key(of: Case | Training) -> tuple[str, str, str, str]:
    return of.space, of.baseline, of.dataset, of.scored_on


def _tell(text: str) -> None:
    print(text, file=sys.stderr)


def main() -> None:
    """Train what is not in the JSON file yet, and print or write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--json", type=Path, required=True, help="file of finished trainings")
    parser.add_argument("--only", nargs="+", help="SPACE/BASELINE or SPACE/BASELINE@DATASET")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--limit-samples", type=int, help="train on a part of the data")
    parser.add_argument("--set", action="append", metavar="P=V", help="change the baseline")
    parser.add_argument("--home", type=Path, default=Path("mlruns"))
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("SEARCH_DATA_DIR"))
    parser.add_argument("--write", type=Path, help="only put the table into this document")
    arguments = parser.parse_args()
    done = []
    if arguments.json.exists():
        done = [Training(**training) for training in json.loads(arguments.json.read_text())]
    if arguments.write:
        put(arguments.write, "published", table(done))
        return
    overrides = parse_overrides(arguments.set or [])
    known = [(_key(t), t.seed, t.overrides) for t in done]
    for case in cases(arguments.only):
        for seed in range(arguments.seeds):
            if (_key(case), seed, overrides) in known:
                continue
            _tell(f"{case.name} on {case.dataset}, seed {seed}")
            done.append(train(case, seed, arguments))
            partial = arguments.json.with_suffix(".partial")
            partial.write_text(json.dumps([asdict(t) for t in done], indent=1))
            partial.replace(arguments.json)
            print(f"  accuracy {done[-1].accuracy:.4f} in {done[-1].seconds:.0f} s", flush=True)
    print(table(done))


if __name__ == "__main__":
    main()
