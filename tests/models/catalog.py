"""The table: each model with its data, what is found of it, and how a study of it is run."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from spaces import DataSpec, SpaceError
from spaces.declaring import declarations
from spaces.declaring.__main__ import declare

if TYPE_CHECKING:
    from search import StudyResult


@contextmanager
def asked_here() -> Iterator[None]:
    """Look for parameters in this process: importing TensorFlow anew takes longer than a study."""

    def answer(target: str, data: DataSpec | None, notify: object) -> dict[str, Any]:
        try:
            return {"declaration": declare(target, data).to_json(), "sources": {}}
        except SpaceError as error:
            return {"error": str(error)}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(declarations, "_asked", answer)
        yield


DRIVERS = ("optuna", "keras-tuner")
CLASSES, LABELS, NUMBERS, OUTPUTS = (
    "classification",
    "multi-label",
    "regression",
    "multi-output",
)
SMALL = {"trials": 2, "folds": 2, "epochs": 2, "executor": "inline", "pruner": "none"}


@dataclass(frozen=True)
class Entry:
    """A model and its study.

    Attributes:
        kind: what is particular about the model.
        model: module of this package and name.
        data: a function of `tests.models.data`.
        task: what is found.
        objective: what the study goes by.
        settings: of the study, beside those of all.
        callbacks: a function of `tests.models.fitting` that returns them.
        wanted: metrics that every trial must have beside the objective.
        told: a part of a notice that the study gives; empty if none matters.
        exports: whether its export is compared with the Keras model in it.
    """

    kind: str
    model: str
    data: str
    task: str = CLASSES
    objective: str = "cv_accuracy"
    settings: dict[str, Any] = field(default_factory=dict)
    callbacks: str = ""
    wanted: frozenset[str] = frozenset()
    told: str = ""
    exports: bool = False

    @property
    def name(self) -> str:
        """The entry's, as a word."""
        return "-".join(filter(None, [*self.model.split(":"), self.callbacks, *self.settings]))

    def loaded(self) -> Any:
        """Return the model's function or class."""
        return named(self.model)

    def run(self, driver: str, home: Path, told: list[str]) -> "StudyResult":
        """Run its study of two trials and two folds."""
        from search import run_study

        given = {"callbacks": named(f"fitting:{self.callbacks}")()} if self.callbacks else {}
        asked = {"set": {"batch_size": 32}, **SMALL, **self.settings}
        return run_study(
            self.loaded(),
            data=named(f"data:{self.data}")(),
            driver=driver,
            study=f"{self.name}-{driver}".replace(":", "-").lower(),
            home=home,
            notify=told.append,
            **asked,
            **given,
        )


def named(reference: str) -> Any:
    """Return what a module of this package calls so: `module:name`."""
    module, name = reference.split(":")
    return getattr(importlib.import_module(f"tests.models.{module}"), name)


RMSE: dict[str, Any] = {"task": NUMBERS, "objective": "cv_rmse"}

TABLE = (
    Entry(
        "MLP: units, activation, dropout, rate", "tables:getting_started", "classes", exports=True
    ),
    Entry("layers in a loop, logits", "tables:layers_in_a_loop", "classes"),
    Entry("class with num_classes", "tables:ForAnyClasses", "classes"),
    Entry("not compiled", "tables:not_compiled", "classes"),
    Entry("Normalization, batch normalization", "tables:normalized", "classes"),
    Entry(
        "AUC of its own",
        "tables:measured_by_auc",
        "two_classes",
        objective="cv_val_auc",
        settings={"objective": "val_auc"},
    ),
    Entry(
        "scikit-learn's ROC AUC",
        "tables:measured_by_auc",
        "two_classes",
        objective="cv_roc_auc",
        settings={"objective": "cv_roc_auc", "metrics": "f1"},
        wanted=frozenset({"cv_f1", "cv_accuracy"}),
    ),
    Entry(
        "rare class, class weights",
        "tables:of_a_rare_class",
        "rare_class",
        objective="cv_balanced_accuracy",
        settings={
            "objective": "balanced_accuracy",
            "set": {"class_weights": "on", "batch_size": 32},
        },
    ),
    Entry("conditional_scope: MLP or CNN", "pictures:mlp_or_cnn", "pictures"),
    Entry("convnet, one-hot labels", "pictures:convnet", "pictures"),
    Entry("residual blocks", "pictures:residual", "pictures", exports=True),
    Entry("augmentation and Rescaling inside", "pictures:augmenting", "pictures", exports=True),
    Entry("subclassed", "own:subclassed", "classes", exports=True),
    Entry("own train_step", "own:own_step", "classes"),
    Entry("own loss, searched", "own:own_loss", "classes"),
    Entry(
        "own Metric as objective",
        "own:own_metric",
        "prices",
        NUMBERS,
        "cv_val_within",
        settings={"objective": "max:val_within"},
    ),
    Entry("policy mixed_float16", "own:half", "classes"),
    Entry("policy mixed_bfloat16", "own:brain", "classes"),
    Entry("numbers: MSE and MAE", "numbers:house_prices", "prices", **RMSE, exports=True),
    Entry("numbers: own quantile loss", "numbers:quantile", "prices", **RMSE),
    Entry(
        "numbers: Poisson",
        "numbers:poisson",
        "counts",
        NUMBERS,
        "cv_neg_mean_poisson_deviance",
        settings={"objective": "neg_mean_poisson_deviance", "task": "regression"},
        told="as they are",
    ),
    Entry("several numbers", "numbers:two_numbers", "two_numbers", **RMSE),
    Entry("autoencoder of a table", "numbers:autoencoder", "repeated_rows", **RMSE),
    Entry(
        "numbers of pictures", "pictures:number_of_a_picture", "brightness", **RMSE, exports=True
    ),
    Entry("forecast: LSTM of windows", "sequences:forecast", "windows", **RMSE, exports=True),
    Entry("Conv1D of sequences", "sequences:conv1d", "motions"),
    Entry("transformer of sequences", "sequences:transformer", "motions"),
    Entry("Embedding and LSTM of texts", "sequences:text_lstm", "texts", exports=True),
    Entry("labels: sigmoid", "tables:labels", "tags", LABELS, "cv_macro_f1", exports=True),
    Entry("labels: logits, focal loss", "tables:label_logits", "tags", LABELS, "cv_macro_f1"),
    Entry("two inputs: wide and deep", "several:wide_and_deep", "wide_and_deep"),
    Entry(
        "two inputs: picture and row",
        "several:picture_and_row",
        "picture_and_row",
        **RMSE,
        settings={"pixels": "scaled"},
    ),
    Entry("two inputs: text and row", "several:text_and_row", "text_and_row"),
    Entry(
        "two outputs: class and number",
        "several:kind_and_price",
        "kind_and_price",
        OUTPUTS,
        "cv_loss",
    ),
    Entry(
        "own fit: batch size and epochs",
        "fitting:TunedFit",
        "classes",
        settings={"set": {}, "epochs": None},
    ),
    Entry("own fit: a loop with GradientTape", "fitting:Loop", "classes"),
    Entry("own fit: class_weight", "fitting:Weighted", "classes"),
    Entry("EarlyStopping", "tables:getting_started", "classes", callbacks="stopping"),
    Entry("ReduceLROnPlateau", "numbers:house_prices", "prices", **RMSE, callbacks="reducing"),
    Entry("LambdaCallback", "tables:layers_in_a_loop", "classes", callbacks="telling"),
)
