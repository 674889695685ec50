"""What callbacks ask of a training, read off Keras's own and a user's."""

from typing import Any

import pytest

from spaces import acts_on_batches, is_kerass, watches_validation

pytestmark = pytest.mark.slow  # Keras is imported


@pytest.fixture(scope="module")
def known():
    from keras import callbacks

    class Watching(callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.seen = logs["val_loss"]

    class Counting(callbacks.Callback):
        def on_batch_end(self, batch: int, logs: Any = None) -> None:
            self.seen = batch

    class Stopping(callbacks.EarlyStopping):
        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            self.seen = batch

    return {
        "watching": Watching(),
        "counting": Counting(),
        "stopping": Stopping("loss"),
        "early": callbacks.EarlyStopping(),
        "early on loss": callbacks.EarlyStopping("loss"),
        "plateau": callbacks.ReduceLROnPlateau(),
        "scheduler": callbacks.LearningRateScheduler(lambda epoch: 0.1),
        "lambda": callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: None),
        "lambda on val": callbacks.LambdaCallback(on_epoch_end=lambda e, logs: logs["val_loss"]),
        "lambda on batches": callbacks.LambdaCallback(on_train_batch_end=lambda b, logs: None),
        "csv": callbacks.CSVLogger("a"),
        "checkpoint": callbacks.ModelCheckpoint("a.keras"),
        "best": callbacks.ModelCheckpoint("a.keras", save_best_only=True),
        "named by val": callbacks.ModelCheckpoint("a-{val_loss:.2f}.keras"),
        "checkpoint of batches": callbacks.ModelCheckpoint("a.keras", save_freq=10),
        "nan": callbacks.TerminateOnNaN(),
        "tensorboard": callbacks.TensorBoard("a"),
        "backup": callbacks.BackupAndRestore("a"),
    }


def test_which_act_on_batches(known):
    found = {name for name, one in known.items() if acts_on_batches(one)}
    assert found == {
        "counting",
        "stopping",
        "lambda on batches",
        "checkpoint of batches",
        "nan",
        "tensorboard",
    }


def test_which_watch_validation_data(known):
    found = {name for name, one in known.items() if watches_validation(one)}
    assert found == {"watching", "early", "plateau", "lambda on val", "best", "named by val"}


def test_which_hold_no_code_of_the_users(known):
    own = {name for name, one in known.items() if not is_kerass(one)}
    assert own == {
        "watching",
        "counting",
        "stopping",
        "scheduler",
        "lambda",
        "lambda on val",
        "lambda on batches",
    }
