"""LeNet's space searched with KerasTuner, as its users write it.

Run: `python benchmarks/peers/keras_tuner_cv.py --data FOLDER --out chosen.json` (see `--help`).

KerasTuner has no cross-validation. What its community does instead is a tuner whose `run_trial`
builds and fits the model on every fold and hands the mean to the oracle; here around
`BayesianOptimization` with its defaults. It keeps no weights. MLflow gets a run a trial:
parameters, the curves of every fold, the mean, the confusion matrix.

Source: the pattern is the one given to users in keras-tuner's issue 122.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import matplotlib.pyplot as plt
import mlflow
import numpy as np
from fashion_mnist import CLASSES, load
from keras import layers
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import StratifiedKFold


def build_model(hp: keras_tuner.HyperParameters) -> keras.Model:
    """Return LeNet as the hyperparameters say, compiled."""
    model = keras.Sequential([layers.Input((32, 32, 1))])
    filters = hp.Int("conv_1_filters", 32, 64)
    kernel = hp.Choice("conv_1_kernel", [3, 5])
    model.add(layers.Conv2D(filters, kernel, padding="same", activation="relu"))
    model.add(layers.MaxPooling2D())
    model.add(layers.Conv2D(48, 5, activation="relu"))
    extra = hp.Boolean("extra_conv")
    with hp.conditional_scope("extra_conv", [True]):
        filters = hp.Int("conv_2_filters", 32, 128)
        kernel = hp.Choice("conv_2_kernel", [3, 5])
    if extra:
        model.add(layers.Conv2D(filters, kernel, activation="relu"))
    model.add(layers.MaxPooling2D())
    model.add(layers.Flatten())
    model.add(layers.Dense(256, activation="relu"))
    model.add(layers.Dropout(hp.Float("dropout", 0.0, 0.5, step=0.05)))
    model.add(layers.Dense(84, activation="relu"))
    model.add(layers.Dense(10, activation="softmax"))
    rate = hp.Float("learning_rate", 1e-4, 1e-2, sampling="log")
    model.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


class CVTuner(keras_tuner.BayesianOptimization):
    """Bayesian optimization whose trials are cross-validated."""

    def run_trial(
        self, trial: Any, x: Any, y: Any, *, folds: StratifiedKFold, epochs: int, **fit: Any
    ) -> dict[str, float]:
        """Return the mean validation accuracy over the folds."""
        scores, truth, predicted = [], [], []
        with mlflow.start_run(run_name=f"trial-{trial.trial_id}"):
            mlflow.log_params(trial.hyperparameters.values)
            for fold, (train, valid) in enumerate(folds.split(x, y), start=1):
                keras.backend.clear_session()
                model = self.hypermodel.build(trial.hyperparameters)
                history = model.fit(
                    x[train],
                    y[train],
                    validation_data=(x[valid], y[valid]),
                    epochs=epochs,
                    **fit,
                )
                for epoch in range(epochs):
                    metrics = {f"fold_{fold}_{k}": v[epoch] for k, v in history.history.items()}
                    mlflow.log_metrics(metrics, step=epoch + 1)
                scores.append(history.history["val_accuracy"][-1])
                truth.append(y[valid])
                predicted.append(model.predict(x[valid], verbose=0).argmax(axis=1))
            mlflow.log_metric("cv_accuracy", float(np.mean(scores)))
            mlflow.log_metric("cv_accuracy_std", float(np.std(scores)))
            display = ConfusionMatrixDisplay.from_predictions(
                np.concatenate(truth), np.concatenate(predicted), display_labels=CLASSES
            )
            mlflow.log_figure(display.figure_, "confusion_matrix.png")
            plt.close(display.figure_)
        return {"val_accuracy": float(np.mean(scores))}


def main() -> None:
    """Search, and write the chosen params."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the IDX files")
    parser.add_argument("--part", type=Path, help=".npy file: numbers of the samples to take")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    mlflow.set_experiment("lenet-keras-tuner")
    keras.utils.set_random_seed(args.seed)
    x, y = load(args.data, args.part)
    tuner = CVTuner(
        build_model,
        objective="val_accuracy",
        max_trials=args.trials,
        seed=args.seed,
        directory="keras-tuner",
        overwrite=True,
    )
    tuner.search(
        x,
        y,
        folds=StratifiedKFold(args.folds, shuffle=True, random_state=args.seed),
        epochs=args.epochs,
        batch_size=32,
        verbose=0,
    )
    best = tuner.oracle.get_best_trials()[0]
    chosen = {"params": best.hyperparameters.values, "score": best.score}
    args.out.write_text(json.dumps(chosen))


if __name__ == "__main__":
    main()
