"""Stand-ins that behave like the real thing, fast: no TensorFlow, no processes."""

import time
from collections import deque
from collections.abc import Callable, Sequence

from search.executors import Executor, OnRecord
from search.executors.protocol import GO_ON, TrialTask, Verdict
from spaces import DataSpec, ImageInput, Parameter, Settings, Space
from tracking.records import (
    AttemptFailed,
    EpochEnded,
    FoldEnded,
    FoldStarted,
    TrialConfirmed,
    TrialEnded,
)

Score = Callable[[Settings, int], float]


class ScriptedExecutor(Executor):
    """Evaluates trials by a function of setting and fold.

    Keeps the (trial, fold) pairs it "trained". After `interrupt_after` of them it raises
    KeyboardInterrupt, as Ctrl-C would: in the next fold, or with `before_verdict` while the
    coordinator's word on that fold is on its way. A score below 0 fails the trial. Each entry of
    `breaks`, trial, fold and cause, breaks that fold off once; fold 0 is after the trial's outcome.
    Keeps the settings it was given.
    """

    def __init__(
        self,
        score: Score,
        folds: int = 3,
        interrupt_after: int | None = None,
        before_verdict: bool = False,
        field: str = "accuracy",
        breaks: Sequence[tuple[int, int, str]] = (),
        slots: int = 1,
    ) -> None:
        self.slots = slots
        self._breaks = list(breaks)
        self.settings: list[Settings] = []
        self._score = score
        self._folds = folds
        self._left = interrupt_after
        self._before_verdict = before_verdict
        self._field = field
        self._tasks: deque[TrialTask] = deque()
        self.trained: list[tuple[int, int]] = []

    def submit(self, task: TrialTask) -> None:
        self._tasks.append(task)

    def wait(self, on_record: OnRecord) -> int:
        trial = self._evaluate(on_record)
        cause = self._broken_by(trial, 0)
        if cause:
            on_record(attempt_failed(trial, cause))
        return trial

    def _evaluate(self, on_record: OnRecord) -> int:
        task = self._tasks.popleft()
        self.settings.append(task.parameters)
        done = {fold.fold: fold for fold in task.finished}
        if task.stop:
            on_record(ended(task.trial, "pruned", self._mean(done), reason=task.stop))
            return task.trial
        for number in task.folds:
            if number in done:
                continue
            cause = self._broken_by(task.trial, number)
            if cause:
                on_record(FoldStarted(at=time.time(), trial=task.trial, fold=number))
                on_record(attempt_failed(task.trial, cause))
                return task.trial
            score, verdict = self._train(task, number, on_record)
            if verdict.stop and not verdict.halt:
                on_record(ended(task.trial, "pruned", self._mean(done), reason=verdict.reason))
                return task.trial
            if verdict.halt:
                return task.trial
            if score < 0:
                failed = ended(task.trial, "failed", None, reason="a bad setting")
                on_record(confirmed(task.trial, None) if task.confirms else failed)
                return task.trial
            done[number] = fold_ended(task.trial, number, score)
            verdict = on_record(done[number])
            if self._before_verdict and self._left == 0:
                raise KeyboardInterrupt
            if verdict.halt:
                return task.trial
            if verdict.stop:
                on_record(ended(task.trial, "pruned", self._mean(done), reason=verdict.reason))
                return task.trial
        if task.confirms:
            on_record(confirmed(task.trial, self._mean(done, "accuracy")))
        elif len(done) == self._folds:
            value, accuracy = self._mean(done), self._mean(done, "accuracy")
            on_record(ended(task.trial, "complete", value, accuracy=accuracy))
        return task.trial

    def close(self) -> None:
        self._tasks.clear()

    def _broken_by(self, trial: int, fold: int) -> str:
        for entry in self._breaks:
            if entry[:2] == (trial, fold):
                self._breaks.remove(entry)
                return entry[2]
        return ""

    def _train(self, task: TrialTask, fold: int, on_record: OnRecord) -> tuple[float, Verdict]:
        on_record(FoldStarted(at=time.time(), trial=task.trial, fold=fold))
        if self._left is not None:
            if self._left == 0:
                raise KeyboardInterrupt
            self._left -= 1
        self.trained.append((task.trial, fold))
        score = self._score(task.parameters, fold)
        if score < 0:
            return score, GO_ON
        epochs = int(task.parameters.get("epochs", 1))
        for epoch in range(1, epochs + 1):
            so_far = score * epoch / epochs
            metrics = {
                "loss": 1.0,
                "accuracy": 0.5,
                "val_accuracy": so_far,
                "val_loss": 1.0 - so_far,
                "val_macro_f1": so_far,
            }
            verdict = on_record(
                EpochEnded(
                    at=time.time(), trial=task.trial, fold=fold, epoch=epoch, metrics=metrics
                )
            )
            if verdict.stop:
                break
        return score, verdict

    def _mean(self, folds: dict[int, FoldEnded], field: str = "") -> float | None:
        values = [float(getattr(fold, field or self._field)) for _, fold in sorted(folds.items())]
        return sum(values) / len(values) if values else None


def toy_space(*parameters: Parameter) -> Space:
    """A space that is never built."""

    def build(parameters: object, data: DataSpec) -> None:
        raise NotImplementedError

    return Space(
        name="toy",
        dataset="digits",
        inputs=ImageInput(size=(8, 8)),
        parameters=parameters,
        build=build,
    )


def fold_ended(trial: int, fold: int, accuracy: float) -> FoldEnded:
    return FoldEnded(
        at=time.time(),
        trial=trial,
        fold=fold,
        accuracy=accuracy,
        loss=1.0 - accuracy,
        macro_f1=accuracy,
        seconds=0.1,
        epochs=1,
        predictions=f"predictions/trial-{trial:05d}-fold-{fold:02d}.npz",
    )


def ended(
    trial: int,
    state: str,
    value: float | None,
    *,
    reason: str = "",
    accuracy: float | None = None,
) -> TrialEnded:
    known = value if accuracy is None else accuracy
    scores = {} if known is None or state != "complete" else _scores(known)
    return TrialEnded(
        at=time.time(), trial=trial, state=state, value=value, reason=reason, scores=scores
    )


def attempt_failed(trial: int, cause: str) -> AttemptFailed:
    return AttemptFailed(at=time.time(), trial=trial, cause=cause, reason=f"it broke off: {cause}")


def confirmed(trial: int, accuracy: float | None) -> TrialConfirmed:
    scores = {} if accuracy is None else _scores(accuracy)
    error = "a bad setting" if accuracy is None else ""
    return TrialConfirmed(at=time.time(), trial=trial, repeats=2, scores=scores, error=error)


def _scores(accuracy: float) -> dict[str, float]:
    return {"cv_accuracy": accuracy, "cv_loss": 1.0 - accuracy, "macro_f1": accuracy}
