"""The model card of an exported model."""

import shlex
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from search.analysis.comparison.statistics import over_folds, wilson
from search.data.folds import coverage, share_of
from search.environment import facts, run_command
from tracking.history import History, TrialHistory
from tracking.records import ModelExported, StudyStarted, TestSetOpened

_LIKE = {"image": "images", "text": "texts", "table": "rows", "sequence": "sequences"}
_EXAMPLES = {
    "image": "image.png",
    "text": '"a text"',
    "table": "rows.csv",
    "sequence": "sequences.npz",
}
_VALUES = {"float64": "[1.5, 2.0]", "str": '["a", ""]'}
_SHOWN_TENSORS = 8
_UNEVEN = 1.5  # ratio of largest to smallest class from which classes are called uneven
_ENCODED = {
    "image": "An image is padded or resized from `native_shape` to `input_shape` in `labels.json`"
    " (smaller by at most a quarter: centred on black; else resized, bilinear); `scaled` says"
    " whether pixels are then divided by 255. Where it has a `pixel_range`, values are first"
    " brought to pixels: `low` becomes 0 and `high` 255, rounded, and what is beyond is clipped.",
    "text": "A text is lower-cased; words are sequences of letters and digits, with apostrophes"
    " within them, and each `!` and `?`. The word in line n of `vocabulary.txt` (from 1;"
    " `labels.json` has the same words) is token n + 1, any other word is token 1; token 0 pads"
    " the end, up to `length` tokens. Formats whose input is `texts` do this themselves.",
    "sequence": "Each feature minus its `means`, divided by its `deviations`, at every step; both"
    " are in `labels.json`. Formats whose input is sequences as in the source do this themselves.",
    "table": "A row is encoded column by column, in the order of `columns` in `labels.json`;"
    " `search.export.predict.encode_rows(FOLDER, FRAME)` does it. A number, a truth value (0"
    " or 1) or a date (seconds since 1970, UTC) is one input: in float64 minus its `means`,"
    " divided by its `deviations`; 0 where it is missing. A category is an input for each of"
    " its `categories`, 1 or 0; all are 0 for an unknown one. A column with a fraction p in"
    " `missing` has one more input after these, 1 where the value is missing, else 0; unless"
    " the column is a category, minus p, divided by the root of p (1 - p). What the training"
    " data lack stays 0: categories in `unseen`, the added input where p is 0, and all of a"
    " column without categories where p is 1."
    " The `serve` signature of a SavedModel does all this itself.",
}


def model_card(history: History, export: ModelExported, test: TestSetOpened | None) -> str:
    """Return `MODEL_CARD.md`: the model, its scores, its choice and its training.

    Args:
        history: of the study.
        export: the model.
        test: its score on the test set, None if the test set was not opened for it.
    """
    study = history.study
    if study is None:
        raise ValueError("a model card needs a study")
    trial = history.trials[export.trial]
    parts = [
        f"# {study.study}: trial {export.trial}",
        _opening(study, export),
        "## Scores",
        *_scores(history, export, test),
        "## Params",
        _table(("parameter", "value"), trial.params.items()),
        "## Data",
        _data(study, export),
        "## How it was chosen",
        _choice(history, study),
        *_scoreboard(export),
        "## Use",
        *_use(export, study.kind, study.space),
        "## Limits",
        *_limits(study, test),
        "## How to reproduce it",
        *_reproduction(history, export),
    ]
    return "\n\n".join(parts) + "\n"


def _opening(study: StudyStarted, export: ModelExported) -> str:
    what = "A Keras model"
    if export.models > 1:
        what = f"{export.models} Keras models, one a fold, in one that averages their probabilities"
    return (
        f"{what}, of space `{study.space}` for `{study.dataset['name']}`,"
        f" {export.model_parameters:,} parameters, written {_day(export.at)}."
    )


def _scores(history: History, export: ModelExported, test: TestSetOpened | None) -> Iterable[str]:
    trial, study = history.trials[export.trial], history.known_study()
    scores = trial.ended.scores if trial.ended else {}
    accuracies = [fold.accuracy for fold in trial.finished_folds().values()]
    interval = over_folds(accuracies, test_share=share_of(study))
    yield _table(
        ("measure", "value", "95 % interval"),
        [
            (
                "cross-validated accuracy (mean over folds)",
                f"{scores['cv_accuracy']:.4f}",
                _interval(interval),
            ),
            ("standard deviation over folds", f"{scores['cv_accuracy_std']:.4f}", ""),
            ("single folds", " ".join(f"{accuracy:.4f}" for accuracy in accuracies), ""),
            ("macro F1 (out of fold)", f"{scores['macro_f1']:.4f}", ""),
            *((name, value, "") for name, value in _confirmation_scores(history, trial)),
            *_test_scores(test),
            ("times the study's test set was opened", len(history.test_openings), ""),
        ],
    )
    how_often = coverage(study)
    if how_often:
        yield f"Out of fold, {how_often}."
    yield (
        "The interval of the cross-validation allows for overlapping training parts (corrected"
        " resampled variance, Nadeau and Bengio 2003), that of the test accuracy for the number of"
        " test samples (Wilson)."
        + (" The scores over folds are those of single models." if export.models > 1 else "")
    )
    if test:
        yield "Confusion matrix on the test set (rows true, columns predicted):"
        yield _table(
            ("", *study.classes),
            [(name, *row) for name, row in zip(study.classes, test.confusion, strict=True)],
        )


def _test_scores(test: TestSetOpened | None) -> list[tuple[object, ...]]:
    if test is None:
        return []
    interval = wilson(test.accuracy, _count(test))
    return [
        ("test accuracy", f"{test.accuracy:.4f}", _interval(interval)),
        *([] if test.loss is None else [("test loss", f"{test.loss:.4f}", "")]),
        ("test macro F1", f"{test.macro_f1:.4f}", ""),
        ("test samples", f"{_count(test):,}", ""),
    ]


def _confirmation_scores(history: History, trial: TrialHistory) -> list[tuple[str, str]]:
    """Return the other objectives, and the scores on confirmation folds."""
    shown = ("cv_accuracy", "macro_f1", "model_parameters")
    rows = [
        (objective.meaning, f"{score:.{2 if objective.name == 'latency_ms' else 4}f}")
        for objective in history.objectives
        if objective.name not in shown and (score := trial.score(objective.name)) is not None
    ]
    if trial.confirmed is None or not trial.confirmed.scores:
        return rows
    folds = f"on {len(trial.finished_confirmation_folds())} confirmation folds"
    scores = trial.confirmed.scores
    return [
        *rows,
        (f"accuracy {folds}", f"{scores['cv_accuracy']:.4f} ± {scores['cv_accuracy_std']:.4f}"),
        (f"loss {folds}", f"{scores['cv_loss']:.4f}"),
        (f"macro F1 {folds}", f"{scores['macro_f1']:.4f}"),
    ]


def _data(study: StudyStarted, export: ModelExported) -> str:
    data = study.dataset
    used = "The model was trained on all of them"
    if export.models > 1:
        used = "Each of the models was trained on all of them except its fold's validation part"
    return (
        f"`{data['name']}` ({data['source']}), {data['samples']:,} training samples,"
        f" {len(data['classes'])} classes, SHA-256 `{data['digest']}`. {used}; the test set had"
        " no part in the choice of the trial."
    )


def _choice(history: History, study: StudyStarted) -> str:
    settings = study.settings
    counts = [trial.state.shown for trial in history.trials.values()]
    goals = " and ".join(
        f"the {'largest' if o.larger else 'smallest'} `{o.name}` ({o.meaning})"
        for o in history.objectives
    )
    confirmed = len(history.confirmed())
    confirmation_folds = (
        f" The best of them ({confirmed}) were trained on confirmation folds, which had no part in"
        " the search, and are ranked by these."
        if confirmed
        else ""
    )
    return (
        f"{len(counts)} trials ({counts.count('complete')} complete, {counts.count('pruned')}"
        f" pruned, {counts.count('failed')} failed) by {study.driver}/{settings['sampler']}, seed"
        f" {settings['seed']}, each on the same folds, {study.folds} in all, SHA-256"
        f" `{study.folds_digest}`, in search of {goals}.{confirmation_folds} The cross-validated"
        " score of the best of many trials is a little too good; the test score is not."
    )


def _scoreboard(export: ModelExported) -> Iterable[str]:
    if export.alias_reason:
        yield f"In MLflow this model became the **{export.alias}**. {export.alias_reason}"


def _use(export: ModelExported, kind: str, space: str) -> Iterable[str]:
    yield (
        f"`python -m search predict FOLDER {_EXAMPLES[kind]}`, or"
        ' `keras.saving.load_model("model.keras")`.'
        f" Made with {', '.join(export.requirements)}; computes in float32. It has no loss"
        " and optimizer; `compile` it to train it further."
    )
    own = [f"`{name}`" for each in export.formats for name in each.get("own", ())]
    if own:
        place, _, name = space.rpartition(":")
        module = Path(place).stem if place.endswith(".py") else place
        yield (
            f"`model.keras` has custom objects: {', '.join(own)}. Before Keras can"
            f" load it, import their code, as with `import {module}`; `predict` takes it with"
            f" `--space {Path(place).name}:{name}`. The other formats need no code."
        )
    if export.formats:
        rows = [
            (
                f"`{each['file']}`",
                each.get("takes", ""),
                each.get("runtime", ""),
                f"{each['bytes']:,}",
                f"{each['difference']:.1e}",
            )
            for each in export.formats
        ]
        yield _table(("file", "takes", "runs with", "bytes", "difference"), rows)
        yield (
            "`difference` is the largest difference between its probabilities and the Keras"
            " model's, on training samples, after it was written and loaded again."
        )
    yield from _serving(export)
    yield (
        f"{_ENCODED[kind]} `outputs` in `labels.json` says whether `model.keras` returns"
        " probabilities, logits or scores, one for each class or one for the second of two (which"
        " is meant above `threshold`); all other formats return one probability, or score, for each"
        " class, in the order of `classes`."
    )


def _serving(export: ModelExported) -> Iterable[str]:
    """Say how a SavedModel takes rows."""
    served = next((each for each in export.formats if each["format"] == "saved_model"), {})
    given = ""
    if tensors := served.get("tensors"):
        shown = [f'"{t["name"]}": {_VALUES[t["type"]]}' for t in tensors[:_SHOWN_TENSORS]]
        more = ", ..." if len(tensors) > _SHOWN_TENSORS else ""
        given = f"{{{', '.join(shown)}{more}}}"
    elif served.get("raw_type"):
        given = "rows"
    if not given:
        return
    yield "\n".join(
        [
            "```python",
            'model = tf.saved_model.load("saved_model")',
            f"model.serve({given})  # one row of probabilities for each row",
            "```",
        ]
    )
    yield (
        "Numbers must be float64: in float32 they have 7 digits, too few for seconds since 1970."
        " NaN is a missing value"
        + (
            ", and so is a blank text. Blanks around a text do not count; a truth value that is"
            " neither true nor false counts as missing."
            if tensors
            else "."
        )
    )
    renamed = [t for t in tensors or () if t["name"] != t["column"]]
    if renamed:
        yield _table(("column", "its tensor"), [(t["column"], t["name"]) for t in renamed])


def _limits(study: StudyStarted, test: TestSetOpened | None) -> Iterable[str]:
    yield (
        f"Scores are valid for {_LIKE[study.kind]} like those of the dataset, from the same source."
        " Probabilities are not calibrated. A sample that belongs to no class still gets one of"
        " them."
    )
    if test is None:
        return
    counts = {
        name: sum(row) for name, row in zip(study.classes, test.confusion, strict=True) if sum(row)
    }
    missing = [name for name in study.classes if name not in counts]
    if missing:
        yield f"The test set has no sample of {', '.join(missing)}."
    if not counts:
        return
    least, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    text = (
        f"The test set's classes have {counts[least]:,} samples each"
        if counts[least] == counts[most]
        else f"The test set's classes have {counts[least]:,} ({least}) to {counts[most]:,} ({most})"
        " samples"
    )
    if counts[most] >= _UNEVEN * counts[least]:
        text += (
            f": accuracy mostly reflects {most}; always predicting it would score"
            f" {counts[most] / sum(counts.values()):.4f}. Macro F1 gives every class the same"
            " weight"
        )
    shares = {name: _share(test, name, study) for name in counts}
    worst = min(shares, key=shares.__getitem__)
    yield f"{text}. Its lowest recall is that of {worst}: {shares[worst]:.4f}."


def _share(test: TestSetOpened, name: str, study: StudyStarted) -> float:
    number = study.classes.index(name)
    return test.confusion[number][number] / sum(test.confusion[number])


def _reproduction(history: History, export: ModelExported) -> Iterable[str]:
    study = history.known_study()
    again = ["python", "-m", "search", "export", study.study, "--trial", str(export.trial)]
    again += ["--ensemble"] if export.models > 1 else []
    formats = ",".join(str(each["format"]) for each in export.formats)
    again += ["--format", formats] if formats else []
    yield "\n".join(["```console", f"$ {run_command(history)}", f"$ {shlex.join(again)}", "```"])
    yield (
        "A study with one worker gives the same folds, and the same scores to the last bit, with"
        " the same versions on the same machine."
    )
    yield _table(("what it depends on", "value"), facts(history))


def _interval(interval: tuple[float, float] | None) -> str:
    return f"{interval[0]:.4f} to {interval[1]:.4f}" if interval else ""


def _count(test: TestSetOpened) -> int:
    return sum(map(sum, test.confusion))


def _table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    lines = ["| " + " | ".join(map(_cell, head)) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in rows]
    return "\n".join(lines)


def _cell(content: object) -> str:
    return " ".join(str(content).split()).replace("|", "\\|")


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
