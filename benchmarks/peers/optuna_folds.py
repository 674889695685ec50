"""LeNet's space searched with Optuna, as its users write it.

Run: `python benchmarks/peers/optuna_folds.py --data FOLDER --out chosen.json` (see `--help`).

TPE and `MedianPruner` with their defaults. The objective is a hand-written loop over stratified
folds that reports the mean so far after each fold. MLflow gets a run a trial: parameters, the
curves of every fold, the mean, the confusion matrix.
"""

import argparse
import json
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import mlflow
import numpy as np
import optuna
from fashion_mnist import CLASSES, load
from keras import layers
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import StratifiedKFold


def build_model(trial: optuna.Trial) -> keras.Model:
    """Return LeNet as the trial suggests it, compiled."""
    model = keras.Sequential([layers.Input((32, 32, 1))])
    filters = trial.suggest_int("conv_1_filters", 32, 64)
    kernel = trial.suggest_categorical("conv_1_kernel", [3, 5])
    model.add(layers.Conv2D(filters, kernel, padding="same", activation="relu"))
    model.add(layers.MaxPooling2D())
    model.add(layers.Conv2D(48, 5, activation="relu"))
    if trial.suggest_categorical("extra_conv", [False, True]):
        filters = trial.suggest_int("conv_2_filters", 32, 128)
        kernel = trial.suggest_categorical("conv_2_kernel", [3, 5])
        model.add(layers.Conv2D(filters, kernel, activation="relu"))
    model.add(layers.MaxPooling2D())
    model.add(layers.Flatten())
    model.add(layers.Dense(256, activation="relu"))
    model.add(layers.Dropout(trial.suggest_float("dropout", 0.0, 0.5, step=0.05)))
    model.add(layers.Dense(84, activation="relu"))
    model.add(layers.Dense(10, activation="softmax"))
    rate = trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True)
    model.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


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
    mlflow.set_experiment("lenet-optuna")
    keras.utils.set_random_seed(args.seed)
    x, y = load(args.data, args.part)
    folds = StratifiedKFold(args.folds, shuffle=True, random_state=args.seed)

    def objective(trial: optuna.Trial) -> float:
        scores, truth, predicted = [], [], []
        with mlflow.start_run(run_name=f"trial-{trial.number}"):
            for fold, (train, valid) in enumerate(folds.split(x, y), start=1):
                keras.backend.clear_session()
                model = build_model(trial)
                if fold == 1:
                    mlflow.log_params(trial.params)
                history = model.fit(
                    x[train],
                    y[train],
                    validation_data=(x[valid], y[valid]),
                    batch_size=32,
                    epochs=args.epochs,
                    verbose=0,
                )
                for epoch in range(args.epochs):
                    metrics = {f"fold_{fold}_{k}": v[epoch] for k, v in history.history.items()}
                    mlflow.log_metrics(metrics, step=epoch + 1)
                scores.append(history.history["val_accuracy"][-1])
                truth.append(y[valid])
                predicted.append(model.predict(x[valid], verbose=0).argmax(axis=1))
                trial.report(float(np.mean(scores)), step=fold)
                if trial.should_prune():
                    mlflow.set_tag("state", "pruned")
                    raise optuna.TrialPruned
            mlflow.log_metric("cv_accuracy", float(np.mean(scores)))
            mlflow.log_metric("cv_accuracy_std", float(np.std(scores)))
            display = ConfusionMatrixDisplay.from_predictions(
                np.concatenate(truth), np.concatenate(predicted), display_labels=CLASSES
            )
            mlflow.log_figure(display.figure_, "confusion_matrix.png")
            plt.close(display.figure_)
        return float(np.mean(scores))

    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=args.seed),
        pruner=optuna.pruners.MedianPruner(),
    )
    study.optimize(objective, n_trials=args.trials)
    args.out.write_text(json.dumps({"params": study.best_params, "score": study.best_value}))


if __name__ == "__main__":
    main()
