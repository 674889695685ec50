"""Stand-ins that behave like the real thing, fast: no TensorFlow, no processes."""

import time
from collections import deque
from collections.abc import Callable

from search.executors import Executor, OnRecord
from search.work import TrialTask, Verdict
from spaces import DataSpec, ImageInput, Parameter, Settings, Space
from tracking.records import EpochEnded, FoldEnded, FoldStarted, TrialConfirmed, TrialEnded

Score = Callable[[Settings, int], float]


class ScriptedExecutor(Executor):
    """Evaluates trials by a function of setting and fold.

    Keeps the (trial, fold) pairs it "trained". After `interrupt_after` of them it raises
    KeyboardInterrupt, as Ctrl-C would: in the next fold, or with `before_verdict` while the
    coordinator's word on that fold is on its way. A score below 0 fails the trial.
    """

    def __init__(
        self,
        score: Score,
        folds: int = 3,
        interrupt_after: int | None = None,
        before_verdict: bool = False,
    ) -> None:
        self._score = score
        self._folds = folds
        self._left = interrupt_after
        self._before_verdict = before_verdict
        self._tasks: deque[TrialTask] = deque()
        self.trained: list[tuple[int, int]] = []

    def submit(self, task: TrialTask) -> None:
        self._tasks.append(task)

    def wait(self, on_record: OnRecord) -> int:
        task = self._tasks.popleft()
        done = {fold.fold: fold for fold in task.finished}
        if task.stop:
            on_record(ended(task.trial, "pruned", _mean(done), reason=task.stop))
            return task.trial
        for number in task.folds:
            if number in done:
                continue
            score, verdict = self._train(task, number, on_record)
            if verdict.stop and not verdict.halt:
                on_record(ended(task.trial, "pruned", _mean(done), reason=verdict.reason))
                return task.trial
            if verdict.halt:
                return task.trial
            if score < 0:
                on_record(ended(task.trial, "failed", None, reason="a bad setting"))
                return task.trial
            done[number] = fold_ended(task.trial, number, score)
            verdict = on_record(done[number])
            if self._before_verdict and self._left == 0:
                raise KeyboardInterrupt
            if verdict.halt:
                return task.trial
            if verdict.stop:
                on_record(ended(task.trial, "pruned", _mean(done), reason=verdict.reason))
                return task.trial
        if task.confirms:
            on_record(confirmed(task.trial, _mean(done)))
        elif len(done) == self._folds:
            on_record(ended(task.trial, "complete", _mean(done)))
        return task.trial

    def close(self) -> None:
        self._tasks.clear()

    def _train(self, task: TrialTask, fold: int, on_record: OnRecord) -> tuple[float, Verdict]:
        on_record(FoldStarted(at=time.time(), trial=task.trial, fold=fold))
        if self._left is not None:
            if self._left == 0:
                raise KeyboardInterrupt
            self._left -= 1
        self.trained.append((task.trial, fold))
        score = self._score(task.parameters, fold)
        epochs = int(task.parameters.get("epochs", 1))
        for epoch in range(1, epochs + 1):
            metrics = {"loss": 1.0, "accuracy": 0.5, "val_loss": 1.0}
            metrics["val_accuracy"] = score * epoch / epochs
            verdict = on_record(
                EpochEnded(
                    at=time.time(), trial=task.trial, fold=fold, epoch=epoch, metrics=metrics
                )
            )
            if verdict.stop:
                break
        return score, verdict


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


def ended(trial: int, state: str, value: float | None, *, reason: str = "") -> TrialEnded:
    scores = {} if value is None or state != "complete" else {"cv_accuracy": value}
    return TrialEnded(
        at=time.time(), trial=trial, state=state, value=value, reason=reason, scores=scores
    )


def confirmed(trial: int, accuracy: float | None) -> TrialConfirmed:
    scores = {} if accuracy is None else {"cv_accuracy": accuracy}
    return TrialConfirmed(at=time.time(), trial=trial, repeats=2, scores=scores)


def _mean(folds: dict[int, FoldEnded]) -> float | None:
    return sum(f.accuracy for f in folds.values()) / len(folds) if folds else None
