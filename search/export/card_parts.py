"""What a model card says of each task: classes, labels or numbers."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from search.export.scores import digits, metric_name, shown
from search.tasks import CLASSIFICATION, MULTI_LABEL, MULTI_OUTPUT, REGRESSION
from tracking.history import TrialHistory
from tracking.records import Json, StudyStarted, TestSetOpened
from tracking.text import listed

_TUNED = (
    "That was tuned on the samples that the model was trained on (the inner part, where one was"
    " cut), so it fits outputs as they are there."
)
_UNEVEN = 1.5  # ratio of largest to smallest class from which classes are called uneven


class Markdown(str):
    """Text that is already Markdown."""

    __slots__ = ()


def literal(text: object) -> Markdown:
    """Return text that Markdown shows as it is, in one line, whatever signs or tags it holds."""
    line = " ".join(str(text).split())
    line = re.sub(r"[\\`*\[\]~$]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", line)
    line = re.sub(r"&(?=#?\w+;)", "&amp;", line)
    return Markdown(line.replace("<", "&lt;").replace(">", "&gt;"))


def code(text: object) -> Markdown:
    """Return text as code, in one line; it may hold backticks."""
    line = " ".join(str(text).split())
    fence = "`" * _fence(line, 1)
    blank = " " if line.startswith("`") or line.endswith("`") else ""
    return Markdown(f"{fence}{blank}{line}{blank}{fence}")


def block(language: str, *lines: str) -> Markdown:
    """Return a block of code."""
    text = "\n".join(lines)
    fence = "`" * _fence(text, 3)
    return Markdown(f"{fence}{language}\n{text}\n{fence}")


def _fence(text: str, least: int) -> int:
    """Return a number of backticks that `text` does not hold in a row."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    return max(least, longest + 1)


def table(head: tuple[object, ...], rows: Iterable[tuple[object, ...]]) -> str:
    """Return a table in Markdown; what is no `Markdown` is shown literally."""
    lines = ["| " + " | ".join(map(_cell, head)) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in rows]
    return "\n".join(lines)


def _cell(content: object) -> str:
    text = content if isinstance(content, Markdown) else literal(content)
    return text.replace("|", "\\|")


class CardOfTask(ABC):
    """What depends on the task in a model card.

    Attributes:
        things: what there is a value of: classes, labels or numbers.
        values: what the model returns: `probabilities` or `numbers`.
        unit: of the largest difference between formats, a phrase or nothing.
    """

    things: str
    values: str
    unit: str = ""

    @abstractmethod
    def predicts(self, study: StudyStarted) -> str:
        """Return a sentence on what is predicted, or nothing."""

    @abstractmethod
    def returns(self) -> str:
        """Return a sentence on what the formats return."""

    def decides(self, study: StudyStarted, thresholds: Sequence[float]) -> str:
        """Return a sentence on what is predicted of what they return, or nothing.

        Args:
            study: its first record.
            thresholds: tuned ones; empty without.
        """
        return ""

    @abstractmethod
    def details(self, study: StudyStarted, test: TestSetOpened) -> Iterator[str]:
        """Yield tables on the test set, below its scores."""

    @abstractmethod
    def limits(
        self, study: StudyStarted, trial: TrialHistory, test: TestSetOpened | None
    ) -> Iterator[str]:
        """Yield what to know of the predictions."""


class _OfClasses(CardOfTask):
    things, values = "classes", "probabilities"

    def predicts(self, study: StudyStarted) -> str:
        return ""

    def returns(self) -> str:
        return (
            "All formats return one probability, or score (as `outputs` in `labels.json` says), for"
            " each class, in the order of `classes` there."
        )

    def decides(self, study: StudyStarted, thresholds: Sequence[float]) -> str:
        if not thresholds:
            return ""
        first, second = map(literal, study.classes)
        return (
            f"Of what any format returns, the class is {second} where its probability (of scores,"
            f" half of how far its score is above the other) is above {thresholds[0]:.6g},"
            f" `thresholds` in `labels.json`, else {first}. {_TUNED}"
        )

    def details(self, study: StudyStarted, test: TestSetOpened) -> Iterator[str]:
        yield "Confusion matrix on the test set (rows true, columns predicted):"
        yield table(
            ("", *study.classes),
            [(name, *row) for name, row in zip(study.classes, test.confusion, strict=True)],
        )

    def limits(
        self, study: StudyStarted, trial: TrialHistory, test: TestSetOpened | None
    ) -> Iterator[str]:
        yield "A sample that belongs to no class still gets one of them."
        if test is None:
            return
        sizes = {name: sum(row) for name, row in zip(study.classes, test.confusion, strict=True)}
        counts = {name: size for name, size in sizes.items() if size}
        missing = [name for name in study.classes if name not in counts]
        if missing:
            yield f"The test set has no sample of {', '.join(map(literal, missing))}."
        if counts:
            yield _balance(counts) + _worst_class(study, test, counts)


def _balance(counts: dict[str, int]) -> str:
    rarest, commonest = (best(counts, key=counts.__getitem__) for best in (min, max))
    least, most, name = counts[rarest], counts[commonest], literal(commonest)
    text = (
        f"The test set's classes have {least:,} samples each"
        if least == most
        else f"The test set's classes have {least:,} ({literal(rarest)}) to {most:,} ({name})"
        " samples"
    )
    if most >= _UNEVEN * least:
        text += (
            f": accuracy mostly reflects {name}; always predicting it would score"
            f" {most / sum(counts.values()):.4f}. Macro F1 gives every class the same"
            " weight"
        )
    return text


def _worst_class(study: StudyStarted, test: TestSetOpened, counts: dict[str, int]) -> str:
    recalls = {
        name: test.confusion[number][number] / counts[name]
        for number, name in enumerate(study.classes)
        if name in counts
    }
    worst = min(recalls, key=recalls.__getitem__)
    return f". Its lowest recall is that of {literal(worst)}: {recalls[worst]:.4f}."


class _OfLabels(CardOfTask):
    things, values = "labels", "probabilities"

    def predicts(self, study: StudyStarted) -> str:
        return f"It says for each of {len(study.classes)} labels whether a sample has it."

    def returns(self) -> str:
        return (
            "All formats return one probability for each label, in the order of `classes` in"
            " `labels.json`."
        )

    def decides(self, study: StudyStarted, thresholds: Sequence[float]) -> str:
        if not thresholds:
            return "A label counts as given above 0.5."
        both = zip(study.classes, thresholds, strict=True)
        cuts = ", ".join(f"{literal(name)} above {cut:.6g}" for name, cut in both)
        return f"Labels count as given by `thresholds` in `labels.json`: {cuts}. {_TUNED}"

    def details(self, study: StudyStarted, test: TestSetOpened) -> Iterator[str]:
        report, confusion = test.report.get("report", {}), test.report.get("confusion", {})
        yield "Labels on the test set:"
        yield table(
            ("label", "samples that have it", "found", "missed", "given wrongly", "F1"),
            [
                (name, hits + missed, hits, missed, wrong, f"{report[name]['f1-score']:.4f}")
                for name in study.classes
                for (_, wrong), (missed, hits) in [confusion[name]]
            ],
        )

    def limits(
        self, study: StudyStarted, trial: TrialHistory, test: TestSetOpened | None
    ) -> Iterator[str]:
        yield (
            "Exact match is the fraction of samples whose labels"
            " are all right, Hamming loss the fraction of labels that are wrong."
        )
        if test is None:
            return
        confusion = test.report.get("confusion", {})
        absent = [name for name in study.classes if not sum(confusion[name][1])]
        if absent:
            yield (
                f"No test sample has the label{'s' * (len(absent) > 1)}"
                f" {listed(map(literal, absent))}, so that its F1 is 0 and tells nothing."
            )
        known = {
            name: test.report["report"][name]["f1-score"]
            for name in study.classes
            if name not in absent
        }
        if known:
            worst = min(known, key=known.__getitem__)
            yield f"The lowest F1 is that of {literal(worst)}: {known[worst]:.4f}."


class _OfNumbers(CardOfTask):
    things, values = "numbers", "numbers"
    unit = ", in standard deviations of the training targets"

    def predicts(self, study: StudyStarted) -> str:
        number = "number" if len(study.classes) == 1 else "numbers"
        return f"It predicts the {number} {listed(map(code, study.classes))}."

    def returns(self) -> str:
        return (
            "All formats return the numbers in the targets' own unit, in the order of `classes` in"
            " `labels.json`: the scaling of the targets is part of the model."
        )

    def details(self, study: StudyStarted, test: TestSetOpened) -> Iterator[str]:
        numbers: dict[str, Json] = test.report.get("numbers", {})
        if len(numbers) > 1:
            yield "Each number on the test set, in its own unit:"
            measures = ("rmse", "mae", "r2", "bias")
            yield table(
                ("number", *map(metric_name, measures)),
                [(name, *(shown(of[m]) for m in measures)) for name, of in numbers.items()],
            )
        for name, of in numbers.items():
            yield (
                f"Errors of {code(name)} on the test set by its size; an error is the predicted"
                " less the actual number, and 90 % of them are between the last two columns:"
            )
            yield table(
                ("actual number", "samples", "mean error", "MAE", "5 % below", "5 % above"),
                [
                    (
                        f"{digits(part['from'])} to {digits(part['to'])}",
                        part["samples"],
                        *(shown(part[measure]) for measure in ("bias", "mae")),
                        *(shown(part["quantiles"][place]) for place in (0, -1)),
                    )
                    for part in of["by_size"]
                ],
            )

    def limits(
        self, study: StudyStarted, trial: TrialHistory, test: TestSetOpened | None
    ) -> Iterator[str]:
        yield (
            "A prediction comes without an interval of its own; the table of errors by size says"
            " how far off predictions were. RMSE and MAE are in the target's unit"
            + (", and means over the numbers." if len(study.classes) > 1 else ".")
        )
        report = trial.ended.report if trial.ended else {}
        for name, of in report.get("numbers", {}).items():
            parts = of["by_size"]
            low, high = min(p["from"] for p in parts), max(p["to"] for p in parts)
            yield (
                f"In training {code(name)} was within {digits(low)} to {digits(high)}; what a model"
                " says beyond is a guess."
            )


class _OfOutputs(CardOfTask):
    things, values = "outputs", "values"
    unit = ", of numbers in standard deviations of the training targets"

    def predicts(self, study: StudyStarted) -> str:
        each = (f"{code(o.name)} ({o.study.task})" for o in study.outputs({}))
        return f"It has an output for each of {listed(each)}."

    def returns(self) -> str:
        return (
            "The model returns a dictionary with the values of each output by its name: a"
            " probability for each class or label, or a score where `parts` in `labels.json` says"
            " so, in the order of its `names` there; numbers in the targets' own unit."
        )

    def details(self, study: StudyStarted, test: TestSetOpened) -> Iterator[str]:
        for output in study.outputs(test.report):
            own = replace(test, report=output.report, confusion=output.confusion)
            yield f"### Output {code(output.name)}"
            yield from _CARDS[output.study.task].details(output.study, own)

    def limits(
        self, study: StudyStarted, trial: TrialHistory, test: TestSetOpened | None
    ) -> Iterator[str]:
        told = trial.ended.report if trial.ended else {}
        tested = study.outputs(test.report if test else {})
        yield "What follows is of each output by itself."
        for output, of_test in zip(study.outputs(told), tested, strict=True):
            ended = trial.ended and replace(trial.ended, report=output.report)
            own = test and replace(test, report=of_test.report, confusion=of_test.confusion)
            kind = _CARDS[output.study.task]
            for sentence in kind.limits(output.study, replace(trial, ended=ended), own):
                yield f"{code(output.name)}: {sentence}"


_CARDS: dict[str, CardOfTask] = {
    CLASSIFICATION: _OfClasses(),
    MULTI_LABEL: _OfLabels(),
    REGRESSION: _OfNumbers(),
    MULTI_OUTPUT: _OfOutputs(),
}


def card_of(task: str) -> CardOfTask:
    """Return what a card says of a task, by the task's name."""
    return _CARDS[task]
