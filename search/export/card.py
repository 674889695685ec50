"""The model card of an exported model."""

import json
import re
import shlex
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from search.data.folds import coverage
from search.environment import example_input, facts, run_command, without_folders
from search.export.calibrating import NOT_ASKED
from search.export.card_parts import Markdown, block, card_of, code, literal, table
from search.export.scores import (
    DRAWS,
    FoldScores,
    covered,
    metric_name,
    on_test_set,
    over_folds,
    samples_in,
    shown,
)
from search.export.snippets import snippets
from search.tasks import CLASSIFICATION
from spaces import short_text
from tracking.history import History, TrialHistory
from tracking.home import RELIABILITY
from tracking.records import Json, ModelExported, StudyStarted, TestSetOpened
from tracking.text import counted

_LIKE = {
    "image": "images",
    "text": "texts",
    "table": "rows",
    "sequence": "sequences",
    "several": "samples",
}
_VALUES = {"float64": "[1.5, 2.0]", "str": '["a", ""]'}
_SHOWN_TENSORS = 8
_RAW = {
    "image": "Images are in the dataset's own size; an image without a value above 1 holds"
    " fractions of white. Padding, resizing, grey and colour, and the scale of pixels are part of"
    " the model, whose values are NaN (of a SavedModel an error) for values that are neither.",
    "text": "A SavedModel takes texts. The other formats take tokens: a text is lower-cased; words"
    " are sequences of letters and digits, with apostrophes within them, and each `!` and `?`. The"
    " word at place n (from 1) of `vocabulary` in `labels.json` (in line n of `vocabulary.txt`,"
    " where that is written) is token n + 1, any other word is token 1; token 0 pads the end, up to"
    " `length` tokens.",
    "sequence": "Sequences are in their own unit; that each feature is standardised is part of the"
    " model.",
    "table": "Rows are as in the file, in the order of `columns` in `labels.json`: means,"
    " deviations and what is missing are part of the model. Only a SavedModel takes words as they"
    " are; the other formats take the number of a word among its column's `categories` (from 0; -1:"
    " none of them), and 0 or 1 for a truth value:"
    " `search.export.predict.encode_rows(FOLDER, FRAME)` gives them.",
    "several": "The model takes a dictionary with each input by its name (a SavedModel tensors)."
    " `predict` reads an `.npz` file with an array of each, in the form in which they were"
    " passed to the study (where all are rows, also a table with all their columns);"
    " `search.export.predict.predict_arrays(FOLDER, {NAME: ARRAY})` takes arrays from Python.",
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
        _header(history, test),
        f"# {literal(study.study)}: trial {export.trial}",
        _opening(study, export),
        "## Scores",
        *_scores(history, export, test),
        *_belief(export, test),
        "## Params",
        table(
            ("parameter", "value"),
            ((code(name), short_text(value)) for name, value in trial.params.items()),
        ),
        "## Data",
        _data(study, export),
        "## How it was chosen",
        _choice(history, study),
        *_scoreboard(export),
        "## Use",
        *_use(export, study),
        "## Limits",
        *_limits(study, trial, test),
        "## How to reproduce it",
        *_reproduction(history, export),
    ]
    return "\n\n".join(parts) + "\n"


# By kind and task, as model hubs call them.
_PIPELINES = {
    ("image", CLASSIFICATION): "image-classification",
    ("image", "multi-label"): "image-classification",
    ("text", CLASSIFICATION): "text-classification",
    ("text", "multi-label"): "text-classification",
    ("table", CLASSIFICATION): "tabular-classification",
    ("table", "multi-label"): "tabular-classification",
    ("table", "regression"): "tabular-regression",
}


def _header(history: History, test: TestSetOpened | None) -> str:
    """Return the header that model hubs read, in YAML (values are JSON, which YAML takes)."""
    study = history.known_study()
    name, pipeline = _bare(study.dataset["name"]), _PIPELINES.get((study.kind, study.task))
    tags = ["foldwise", "keras", study.kind, study.task]
    lines = ["---", "library_name: keras"]
    lines += [f"pipeline_tag: {pipeline}"] if pipeline else []
    lines += [f"tags: {_json(list(dict.fromkeys(tags)))}", f"datasets: {_json([name])}"]
    scores = [
        {
            "type": each.metric,
            "name": f"test {metric_name(each.metric)}"
            + (f" (95 % interval {_interval(each.interval)})" if each.interval else ""),
            "value": each.value,
        }
        for each in (on_test_set(test, history) if test else ())
    ]
    if scores:
        result = {
            "task": {"type": pipeline or study.task},
            "dataset": {"type": name, "name": name, "split": "test"},
            "metrics": scores,
        }
        lines.append(f"metrics: {_json([each['type'] for each in scores])}")
        lines.append(f"model-index: {_json([{'name': study.study, 'results': [result]}])}")
    return "\n".join([*lines, "---"])


def _json(value: object) -> str:
    """Return JSON that is no Markdown and no HTML either, where a page shows the header as text."""
    text = json.dumps(value)
    signs = r"[<>&*~`$]|(?<![^\W_])_|_(?![^\W_])"
    return re.sub(signs, lambda found: f"\\u{ord(found[0]):04x}", text)


def _bare(text: str) -> str:
    return " ".join(without_folders(text).split())


def _opening(study: StudyStarted, export: ModelExported) -> str:
    of_task = card_of(study.task)
    what = "A Keras model"
    if export.models > 1:
        what = f"The average of the {of_task.values} of {export.averages}, in one Keras model"
    text = (
        f"{what}, of space {_place(study.space)} for {_place(study.dataset['name'])},"
        f" {export.model_parameters:,} parameters, written {_day(export.at)}."
    )
    return f"{text} {of_task.predicts(study)}".rstrip()


def _scores(history: History, export: ModelExported, test: TestSetOpened | None) -> Iterable[str]:
    trial, study = history.trials[export.trial], history.known_study()
    yield table(
        ("measure", "value", "95 % interval"),
        [
            *_fold_scores(history, trial),
            *((name, value, "") for name, value in _confirmation_scores(history, trial)),
            *_test_scores(history, test),
            ("times the study's test set was opened", len(history.test_openings), ""),
        ],
    )
    how_often = coverage(study)
    if how_often:
        yield f"Out of fold, {how_often}."
    yield (
        "The interval of the cross-validation allows for overlapping training parts (corrected"
        f" resampled variance, Nadeau and Bengio 2003){_of_test(history, test)}."
        + (" The scores over folds are those of single models." if export.models > 1 else "")
    )
    if test:
        yield from card_of(study.task).details(study, test)


def _belief(export: ModelExported, test: TestSetOpened | None) -> Iterable[str]:
    """Yield how far the model can be believed; nothing of models of earlier versions."""
    found = [*_calibrated(export), *(_tested(test) if test else ())]
    if found:
        yield "## How far it can be believed"
        yield " ".join(found)
    if test and test.reliability:
        yield f"![How often what was given a probability came true]({RELIABILITY})"


def _calibrated(export: ModelExported) -> Iterable[str]:
    known = export.calibration
    if known.get("why"):
        yield f"Its probabilities are not calibrated: {literal(str(known['why']))}."
    elif known.get("kind") == "none":
        seen = _seen(known)
        yield f"Its probabilities are not calibrated: {seen}, no calibration made them better."
    elif "kind" in known:
        how = "isotonic regression"
        if known["kind"] == "temperature":
            how = f"a temperature of {known['temperature']:.3g}"
        where = _seen(known)
        yield (
            f"Its probabilities are calibrated by {how}, as a part of the model."
            f" {where[0].upper()}{where[1:]}, with what others of them showed, that changes the log"
            f" loss from {shown(known['loss_before'])} to {shown(known['loss'])} and the expected"
            f" calibration error from {shown(known['ece_before'])} to {shown(known['ece'])}."
        )
    elif known.get("held_out"):  # of numbers
        yield (
            f"How wide its intervals are is known from {known['held_out']:,} samples that models"
            " trained alike had not seen."
        )


def _seen(calibration: Json) -> str:
    if not calibration.get("held_out"):
        return "out of fold"
    return f"on {calibration['held_out']:,} samples that models trained alike had not seen"


def _tested(test: TestSetOpened) -> Iterable[str]:
    curve, sets = test.reliability, test.coverage
    if curve:
        yield (
            f"On the test set the expected calibration error is {shown(curve['error'])}, in"
            f" {counted(len(curve['counts']), 'bin')} of equally many; perfect probabilities have"
            f" about {shown(curve['error_by_chance'])} on as few samples."
        )
    if sets:
        yield (
            f"`predict --coverage {sets['wanted']:g}` gives sets or intervals that hold the truth"
            f" in {sets['wanted']:.0%} of all cases. Of the test set {covered(sets)}. That is so on"
            " average, not for each class or value, and as far as new samples are like those of"
            " the training."
        )


def _of_test(history: History, test: TestSetOpened | None) -> str:
    """Return how the intervals of test scores came about."""
    intervals = [] if test is None else [s.metric for s in on_test_set(test, history) if s.interval]
    told = ""
    if "accuracy" in intervals or test is None:
        told = ", that of the test accuracy for the number of test samples (Wilson)"
    if set(intervals) - {"accuracy"}:
        others = "other" if told else "the"
        told += (
            f"; those of {others} test scores are of {DRAWS} times as many test samples, drawn anew"
            " with replacement (bootstrap, percentiles)"
        )
    return told


def _fold_scores(history: History, trial: TrialHistory) -> Iterable[tuple[object, ...]]:
    """Yield rows on the main metric, then on others that there are of folds."""
    scores = trial.ended.scores if trial.ended else {}
    main, *others = _in_order(history, trial)
    mean = scores.get(f"cv_{main.metric}", main.mean)
    deviation = scores.get(f"cv_{main.metric}_std", main.deviation)
    name = metric_name(main.metric)
    yield f"cross-validated {name} (mean over folds)", shown(mean), _interval(main.interval)
    if deviation is not None:
        yield "standard deviation over folds", shown(deviation), ""
    yield "single folds", " ".join(map(shown, main.folds)), ""
    told = {"loss"}  # of other tasks it is in units of its own
    if history.known_study().task == CLASSIFICATION:
        yield "macro F1 (out of fold)", shown(scores["macro_f1"]), ""
        told.add("macro_f1")
    for each in (other for other in others if other.metric not in told):
        mean = scores.get(f"cv_{each.metric}", each.mean)
        yield f"{metric_name(each.metric)} (mean over folds)", shown(mean), _interval(each.interval)


def _in_order(history: History, trial: TrialHistory) -> list[FoldScores]:
    """Return the scores over folds; of classes accuracy first, else the first objective."""
    found = over_folds(history, trial)
    is_of_classes = history.known_study().task == CLASSIFICATION
    return sorted(found, key=lambda each: not (is_of_classes and each.metric == "accuracy"))


def _test_scores(history: History, test: TestSetOpened | None) -> list[tuple[object, ...]]:
    if test is None:
        return []
    return [
        *(
            (f"test {metric_name(each.metric)}", shown(each.value), _interval(each.interval))
            for each in on_test_set(test, history)
        ),
        ("test samples", f"{samples_in(test):,}", ""),
    ]


def _confirmation_scores(history: History, trial: TrialHistory) -> list[tuple[str, str]]:
    """Return objectives that folds have no part in, and the scores on confirmation folds."""
    told = {"macro_f1", "model_parameters"}
    main, *others = _in_order(history, trial)
    told |= {f"cv_{each.metric}" for each in others if each.metric != "loss"} | {
        f"cv_{main.metric}"
    }
    rows = [
        (objective.meaning, f"{score:.{2 if objective.name == 'latency_ms' else 4}f}")
        for objective in history.objectives
        if objective.name not in told and (score := trial.score(objective.name)) is not None
    ]
    if trial.confirmed is None or not trial.confirmed.scores:
        return rows
    folds = f"on {len(trial.finished_confirmation_folds())} confirmation folds"
    scores = trial.confirmed.scores
    for name, score in scores.items():
        if not name.endswith("_std"):
            deviation = scores.get(f"{name}_std")
            more = "" if deviation is None else f" ± {shown(deviation)}"
            rows.append((f"{metric_name(name.removeprefix('cv_'))} {folds}", shown(score) + more))
    return rows


def _data(study: StudyStarted, export: ModelExported) -> str:
    data, things = study.dataset, card_of(study.task).things
    used = _trained_on(study, export)
    count = len(data["classes"])
    return (
        f"{_place(data['name'])} ({literal(without_folders(data['source']))}),"
        f" {max(data['samples'], export.samples):,} training samples,"
        f" {count} {things if count > 1 else things.removesuffix('s')},"
        f" SHA-256 `{data['digest']}`. {used}; the test set had no part in the choice of the trial."
    )


def _trained_on(study: StudyStarted, export: ModelExported) -> str:
    searched = study.dataset["samples"]
    each = "The model was" if export.models == 1 else "Each of the models was"
    if not export.samples:  # from an earlier version
        if export.models > 1:
            return f"{each} trained on all of them except its fold's validation part"
        return f"{each} trained on all of them"
    length = f", for {counted(export.epochs, 'epoch')}" if export.epochs else ""
    if export.samples == searched:
        return f"{each} trained on all of them{length}"
    return (
        f"The search used {searched:,} of them; {each[0].lower()}{each[1:]} trained on"
        f" {export.samples:,}{length}"
    )


def _choice(history: History, study: StudyStarted) -> str:
    settings = study.settings
    counts = [trial.state.shown for trial in history.trials.values()]
    goals = " and ".join(
        f"the {'largest' if o.larger else 'smallest'} {code(o.name)} ({meaning})"
        for o in history.objectives
        for meaning in [literal(without_folders(o.meaning))]
    )
    confirmed = len(history.confirmed())
    confirmation_folds = (
        f" The best of them ({confirmed}) were trained on confirmation folds, which had no part in"
        " the search, and are ranked by these."
        if confirmed
        else ""
    )
    return (
        f"{counted(len(counts), 'trial')} ({counts.count('complete')} complete,"
        f" {counts.count('pruned')} pruned, {counts.count('failed')} failed) by"
        f" {literal(without_folders(study.proposer))}, seed {settings['seed']}, each on the same"
        f" folds, {study.folds} in all, SHA-256 `{study.folds_digest}`, in search of {goals}."
        f"{confirmation_folds} The cross-validated score of the best of many trials is a little too"
        " good; the test score is not."
    )


def _scoreboard(export: ModelExported) -> Iterable[str]:
    if export.alias_reason:
        yield f"In MLflow this model became the **{export.alias}**. {export.alias_reason}"


def _use(export: ModelExported, study: StudyStarted) -> Iterable[str]:
    kind, space, of_task = study.kind, study.space, card_of(study.task)
    yield (
        f"`foldwise predict FOLDER {shlex.quote(example_input(kind))}`, or"
        ' `keras.saving.load_model("model.keras")`.'
        f" Made with {', '.join(export.requirements)}; computes in float32. It has no loss"
        " and optimizer; `compile` it to train it further."
    )
    own = [code(name) for each in export.formats for name in each.get("own", ())]
    if own:
        place, _, name = space.rpartition(":")
        module = Path(place).stem if place.endswith(".py") else place
        yield (
            f"`model.keras` has custom objects: {', '.join(own)}. Before Keras can"
            f" load it, import their code, as with {code(f'import {module}')}; `predict` takes it"
            f" with {code(f'--space {Path(place).name}:{name}')}. The other formats need no code."
        )
    if export.formats:
        rows = [
            (
                code(each["file"]),
                each.get("takes", ""),
                each.get("runtime", ""),
                f"{each['bytes']:,}",
                f"{each['difference']:.1e}",
            )
            for each in export.formats
        ]
        yield table(("file", "takes", "runs with", "bytes", "difference"), rows)
        yield (
            f"`difference` is the largest difference between its {of_task.values} and the Keras"
            f" model's, on training samples, after it was written and loaded again{of_task.unit}."
        )
    for each in snippets(export.formats, study):
        yield f"`{each.format}`, in this folder, after `pip install {each.requirements}`:"
        yield block("python", *each.lines)
    yield from _serving(export, of_task.values)
    decides = of_task.decides(study, export.thresholds)
    yield " ".join(filter(None, (_RAW[kind], of_task.returns(), decides)))
    inputs = (one for entry in export.formats for one in entry.get("inputs", ()))
    for each in inputs:
        yield f"{code(each['name'])}: {_RAW[each['kind']]}"
    if any(each.get("returns") == "float64" for each in export.formats):
        yield ("The numbers are float64: their size needs more digits than the 7 that float32 has.")


def _serving(export: ModelExported, values: str) -> Iterable[str]:
    """Say how a SavedModel takes rows."""
    served = next((each for each in export.formats if each["format"] == "saved_model"), {})
    given = ""
    if served.get("raw_type") == "float32":
        return
    tensors = served.get("tensors", ())
    if tensors and all(each["type"] in _VALUES for each in tensors):
        shown = [f'"{t["name"]}": {_VALUES[t["type"]]}' for t in tensors[:_SHOWN_TENSORS]]
        more = ", ..." if len(tensors) > _SHOWN_TENSORS else ""
        given = f"{{{', '.join(shown)}{more}}}"
    elif served.get("raw_type"):
        given = "rows"
    if given and not served.get("example"):  # of earlier versions
        yield block(
            "python",
            'model = tf.saved_model.load("saved_model")',
            f"model.serve({given})  # one row of {values} for each row",
        )
    columns = [each for each in tensors if each.get("column")]
    if columns or given:
        yield (
            "`serve` takes numbers of columns as float64: in float32 they have 7 digits, too few"
            " for some. NaN is a missing value"
            + (
                ", and so is a blank text. Blanks around a text do not count; a truth value that is"
                " neither true nor false counts as missing."
                if columns
                else "."
            )
        )
    renamed = [t for t in columns if t["name"] != t["column"]]
    if renamed:
        yield table(("column", "its tensor"), [(t["column"], code(t["name"])) for t in renamed])


def _limits(study: StudyStarted, trial: TrialHistory, test: TestSetOpened | None) -> Iterable[str]:
    first, *others = card_of(study.task).limits(study, trial, test)
    yield (
        f"Scores are valid for {_LIKE[study.kind]} like those of the dataset, from the same source."
        f" {first}"
    )
    yield from others


def _reproduction(history: History, export: ModelExported) -> Iterable[str]:
    study = history.known_study()
    again = ["foldwise", "export", study.study, *_again(export)]
    formats = ",".join(str(each["format"]) for each in export.formats)
    again += ["--format", formats] if formats else []
    command = run_command(history)
    plain = without_folders(command)
    yield block("console", f"$ {plain}", f"$ {shlex.join(again)}")
    if plain != command:
        yield "Files are named without the folders that they were in."
    yield (
        "A study with one worker gives the same folds, and the same scores to the last bit, with"
        " the same versions on the same machine."
    )
    known = ((name, without_folders(value)) for name, value in facts(history))
    yield table(("what it depends on", "value"), known)


def _again(export: ModelExported) -> list[str]:
    """Return the options of `export` that decide what is trained."""
    several = len(export.members) > 1
    options = [] if several else ["--trial", str(export.trial)]
    options += ["--searched-samples"] if export.searched_samples else []
    refits = max((len(one["seeds"]) for one in export.members), default=1)
    if refits > 1:
        options += ["--refits", str(refits)]
    if several:
        options += ["--ensemble", str(len(export.members))]
    if export.calibration.get("why") == NOT_ASKED:
        options.append("--no-calibrate")
    if export.calibration.get("held_out"):
        options.append("--calibrate")
    return options


def _place(reference: str) -> Markdown:
    return code(without_folders(reference))


def _interval(interval: tuple[float, float] | None) -> str:
    return f"{shown(interval[0])} to {shown(interval[1])}" if interval else ""


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")
