"""What `export` trains: all samples, the epochs that folds chose, several seeds."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from search import run_study
from search.cli.app import app
from search.errors import SettingsError
from tests.tracked import give_database

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def limited(tmp_path_factory):
    """A study of 200 of 480 rows, with early stopping."""
    home = tmp_path_factory.mktemp("limited") / "mlruns"
    give_database(home / "mlflow.db")
    random = np.random.default_rng(0)
    rows = random.normal(size=(600, 4))
    targets = (rows[:, 0] + 0.5 * random.normal(size=600) > 0).astype(int)
    return run_study(
        "mlp",
        data=(rows, targets),
        dataset="halves",
        study="halves",
        home=home,
        trials=1,
        folds=2,
        epochs=30,
        limit_samples=200,
        executor="inline",
        precision="float32",
        set={"batch_size": 32, "early_stopping": "on", "learning_rate": 0.01},
        pruner="none",
        notify=lambda text: None,
    )


def exported(study, folder, **asked):
    told = []
    found = study.export(folder, formats=["keras"], notify=told.append, **asked)
    return found.export, told, json.loads((folder / "metrics.json").read_text())


def test_all_samples_train_what_a_part_of_them_searched(limited, tmp_path):
    export, told, metrics = exported(limited, tmp_path / "all")
    assert (export.samples, export.models, export.searched_samples) == (480, 1, False)
    assert "training the model of trial 0 on all 480 training samples," in told[0]
    assert "about" in told[0]
    assert "the search used 200 (`--searched-samples` trains on these alone)" in told[0]
    assert metrics["samples"] == 480
    [member] = metrics["members"]
    assert (member["trial"], member["weight"]) == (0, 1.0)
    assert member["epochs"] == [export.epochs]
    card = (tmp_path / "all" / "MODEL_CARD.md").read_text()
    assert "The search used 200 of them; the model was trained on 480" in card


def test_the_searched_samples_train_as_many_epochs_as_the_folds_chose(limited, tmp_path):
    export, told, _ = exported(limited, tmp_path / "part", searched_samples=True)
    assert (export.samples, export.searched_samples) == (200, True)
    folds = limited.history.trials[0].finished_folds().values()
    chosen = [fold.scored_epoch for fold in folds]
    assert export.epochs == round(np.median(chosen)) < 30
    assert "the median of what 2 folds chose by early stopping" in told[1]
    assert "--searched-samples" in (tmp_path / "part" / "MODEL_CARD.md").read_text()


def test_refits_are_told_and_shown(limited, tmp_path):
    import keras

    export, told, _ = exported(limited, tmp_path / "three", refits=3)
    assert (export.models, len(export.members[0]["seeds"])) == (3, 3)
    assert "training 3 models, whose values are averaged, on all 480" in told[0]
    model = keras.saving.load_model(tmp_path / "three" / "model.keras")
    assert model.count_params() == export.model_parameters
    html = limited.export(tmp_path / "html", refits=2, notify=print)._repr_html_()
    assert "average of 2 models: trial 0 x 2 seeds" in html
    shown = CliRunner().invoke(app, ["show", "halves", "--home", str(limited.home.root)])
    assert "average of 3 models: trial 0 x 3 seeds, trained on 480 samples" in " ".join(
        shown.output.split()
    )


@pytest.mark.parametrize("ensemble", [True, "folds", 1])
def test_what_averaged_the_folds_models_says_what_does_now(limited, tmp_path, ensemble):
    with pytest.raises(SettingsError, match="none, auto or a number of trials from 2"):
        limited.export(tmp_path / "none", ensemble=ensemble, notify=print)
