"""The text that goes with an exported model."""

from collections.abc import Iterable
from datetime import UTC, datetime

from tracking.history import History, TrialHistory
from tracking.records import ModelExported, StudyStarted, TestSetOpened

_LIKE = {"image": "images", "text": "texts", "table": "rows"}
_EXAMPLES = {"image": "image.png", "text": '"a text"', "table": "rows.csv"}
_FED = {
    "image": "pixels in the shape and scale that `labels.json` gives",
    "text": "token numbers by the vocabulary in `labels.json`",
    "table": "columns standardised as `labels.json` says",
}


def model_card(history: History, export: ModelExported, test: TestSetOpened | None) -> str:
    """Return `MODEL_CARD.md`: what the model is, how good, how it was chosen and made.

    Args:
        history: the study's.
        export: the model.
        test: its score on the test set, None if that was not opened for it.
    """
    study = history.study
    if study is None:
        raise ValueError("a model card needs a study")
    trial = history.trials[export.trial]
    parts = [
        f"# {study.study}: trial {export.trial}",
        f"A Keras model of space `{study.space}` for `{study.dataset['name']}`,"
        f" {export.model_parameters:,} parameters, written {_day(export.at)}.",
        "## Scores",
        *_scores(history, export, test),
        "## Setting",
        _table(("parameter", "value"), trial.setting.items()),
        "## Data",
        _data(study),
        "## How it was chosen",
        _choice(history, study),
        "## Use",
        _use(export, study.kind),
        "## Limits",
        f"Scores hold for {_LIKE[study.kind]} like those of the dataset, of the same making."
        " Probabilities are not calibrated. What belongs to none of the classes still gets one of"
        " them.",
    ]
    return "\n\n".join(parts) + "\n"


def _scores(history: History, export: ModelExported, test: TestSetOpened | None) -> Iterable[str]:
    trial = history.trials[export.trial]
    scores = trial.ended.scores if trial.ended else {}
    folds = trial.finished_folds().values()
    yield _table(
        ("measure", "value"),
        [
            ("cross-validated accuracy (mean over folds)", f"{scores['cv_accuracy']:.4f}"),
            ("standard deviation over folds", f"{scores['cv_accuracy_std']:.4f}"),
            ("single folds", " ".join(f"{fold.accuracy:.4f}" for fold in folds)),
            ("macro F1 (out of fold)", f"{scores['macro_f1']:.4f}"),
            *_further_scores(history, trial),
            *(
                [
                    ("test accuracy", f"{test.accuracy:.4f}"),
                    ("test loss", f"{test.loss:.4f}"),
                    ("test macro F1", f"{test.macro_f1:.4f}"),
                ]
                if test
                else []
            ),
            ("times the study's test set was opened", len(history.test_openings)),
        ],
    )
    if test:
        names = history.study.dataset["classes"] if history.study else []
        yield "Confusion matrix on the test set (rows true, columns predicted):"
        yield _table(
            ("", *names),
            [(name, *row) for name, row in zip(names, test.confusion, strict=True)],
        )


def _further_scores(history: History, trial: TrialHistory) -> list[tuple[object, ...]]:
    """Return what else the search went for, and the scores on folds that confirmed the trial."""
    shown = ("cv_accuracy", "macro_f1", "model_parameters")
    rows: list[tuple[object, ...]] = [
        (objective.meaning, f"{score:.{2 if objective.name == 'latency_ms' else 4}f}")
        for objective in history.objectives
        if objective.name not in shown and (score := trial.score(objective.name)) is not None
    ]
    if trial.confirmed is None or not trial.confirmed.scores:
        return rows
    folds = f"on {len(trial.finished_more_folds())} further folds"
    scores = trial.confirmed.scores
    return [
        *rows,
        (f"accuracy {folds}", f"{scores['cv_accuracy']:.4f} ± {scores['cv_accuracy_std']:.4f}"),
        (f"loss {folds}", f"{scores['cv_loss']:.4f}"),
        (f"macro F1 {folds}", f"{scores['macro_f1']:.4f}"),
    ]


def _data(study: StudyStarted) -> str:
    data = study.dataset
    return (
        f"`{data['name']}` ({data['source']}), {data['samples']:,} training samples,"
        f" {len(data['classes'])} classes, SHA-256 `{data['digest']}`. The model was trained on all"
        " of them; the test set took no part in the choice of the setting."
    )


def _choice(history: History, study: StudyStarted) -> str:
    settings = study.settings
    counts = [trial.state for trial in history.trials.values()]
    goals = " and ".join(
        f"the {'largest' if o.larger else 'smallest'} `{o.name}` ({o.meaning})"
        for o in history.objectives
    )
    confirmed = len(history.confirmed())
    further = (
        f" The best of them ({confirmed}) were trained once more on further folds, which took no"
        " part in the search, and are ranked by these."
        if confirmed
        else ""
    )
    return (
        f"{len(counts)} trials ({counts.count('complete')} complete, {counts.count('pruned')}"
        f" pruned, {counts.count('failed')} failed) by {study.driver}/{settings['sampler']}, seed"
        f" {settings['seed']}, each on the same folds, {study.folds} in all, SHA-256"
        f" `{study.folds_digest}`, in search of {goals}.{further} The best of many trials is a"
        " little flattered by its cross-validated score; the test score is not."
    )


def _use(export: ModelExported, kind: str) -> str:
    return (
        f"`python -m search predict FOLDER {_EXAMPLES[kind]}`, or"
        f' `keras.saving.load_model("model.keras")` with {_FED[kind]}, where `outputs` tells'
        " whether it gives probabilities or logits, one a class or one for the second of two."
        f" Made with {', '.join(export.requirements)}."
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += [
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in rows
    ]
    return "\n".join(lines)


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
