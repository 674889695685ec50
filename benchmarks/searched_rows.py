"""What `searched.py` runs: published scores, and the commands whose models are to beat them.

No test set had a part in the choice of ranges and training choices.
"""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A published score and how a search beats it.

    Attributes:
        space: the published system.
        dataset: full, as it comes.
        published: accuracy, as a fraction.
        source: of the published score, in a few words.
        run: options of `run` beside space, dataset, study and seed.
        export: options of `export`.
    """

    space: str
    dataset: str
    published: float
    source: str
    run: str
    export: str = ""

    @property
    def name(self) -> str:
        """The row, as `--only` takes it."""
        return f"{self.space}@{self.dataset}"

    @property
    def study(self) -> str:
        """The study's name."""
        return f"searched-{self.space}-{self.dataset.replace('_', '-')}"

    def commands(self, seed: int) -> Iterator[list[str]]:
        """Yield what a user types: `foldwise run ...`, then `foldwise export ...`."""
        what = ["--space", self.space, "--dataset", self.dataset, "--study", self.study]
        options = shlex.split(self.run)
        yield ["foldwise", "run", *what, "--seed", str(seed), *options]
        yield ["foldwise", "export", self.study, *shlex.split(self.export)]


MLP = """
    --folds 3 --epochs 20 --trials 16 --no-baselines --learn-from none --workers 2
    --precision float32 --set schedule=cosine --set batch_size=64,128
    --set learning_rate=5e-4:4e-3 --set label_smoothing=0:0.1
    --set units_1=256:512 --set units_2=64:256 --set dropout=0.1:0.5
"""
CONVOLUTIONS = """
    --limit-samples 15000 --folds 3 --epochs 16 --trials 10 --no-baselines --workers 2
    --set schedule=cosine --set batch_size=64,128 --set learning_rate=5e-4:3e-3
    --set label_smoothing=0:0.1 --set augmentation=on
"""
CNN = f"""{CONVOLUTIONS}
    --set convolutions=3 --set kernel=3 --set pooling=max --set second_dense=off
    --set filters_1=32:48 --set filters_2=64:96 --set filters_3=64:256 --set dense_units=128:256
    --set conv_dropout=0.1:0.3 --set dropout=0.2:0.5
"""
LENET = f"{CONVOLUTIONS} --set dropout=0.1:0.5"
CLOTHES = "--set shift=0.05 --set flip=on"
DIGITS = "--set shift=0.1 --set rotation=10 --set zoom=0.1 --set flip=off"
CONVNET = """
    --no-baselines --workers 2 --set blocks=1 --set block=residual --set pooling=max
    --set dropout=0.1:0.3 --set learning_rate=2e-3:6e-3 --set weight_decay=2e-2:1e-1
    --set label_smoothing=0.05:0.1 --set batch_size=128 --set shift=0.05,0.1
"""
TURNED = "--set width=24 --set rotation=10 --set zoom=0.1 --set flip=off"
MIRRORED = "--set width=24 --set rotation=0 --set zoom=0 --set flip=on"
BILSTM = """
    --folds 1 --epochs 4 --trials 16 --no-baselines --workers 2 --precision float32
    --set length=50 --set vocabulary=15000 --set early_stopping=off --set schedule=cosine
    --set optimizer=adamw --set weight_decay=1e-2:1e-1 --set label_smoothing=0:0.1
    --set embedding=128:256 --set embedding_dropout=0.3:0.6 --set lstm_dropout=0.2:0.5
    --set dropout=0.2:0.5 --set batch_size=64,128 --set learning_rate=5e-4:3e-3
"""

ROWS = (
    Row("mlp", "mnist", 0.97, "`small`, `small-tuned`, test", MLP),
    Row("mlp", "fashion_mnist", 0.87, "`small`, `small-tuned`, test", MLP),
    Row("cnn", "mnist", 0.99, "`narrow`, `narrow-tuned`, test", f"{CNN} {DIGITS}"),
    Row("cnn", "fashion_mnist", 0.9064, "`compact`, test", f"{CNN} {CLOTHES}"),
    Row("lenet", "mnist", 0.992, "LeCun et al. 1998, test", f"{LENET} {DIGITS}"),
    Row("lenet", "fashion_mnist", 0.8985, "`lenet5`, held out", f"{LENET} {CLOTHES}"),
    Row("bilstm", "sst2", 0.8291, "`sst2`, dev set", BILSTM, "--refits 4 --ensemble none"),
    Row(
        "convnet",
        "mnist",
        0.9965,
        "aim",
        f"--epochs 15 --limit-samples 10000 --folds 2 --trials 8 {CONVNET} {TURNED}",
        "--ensemble none",
    ),
    Row(
        "convnet",
        "fashion_mnist",
        0.945,
        "aim",
        f"--epochs 20 --limit-samples 8000 --folds 2 --trials 6 {CONVNET} {MIRRORED}",
        "--ensemble none",
    ),
)
