"""Two bidirectional LSTM layers over word embeddings, for short texts.

Source: Hochreiter and Schmidhuber, "Long short-term memory", 1997; Schuster and Paliwal,
"Bidirectional recurrent neural networks", 1997; the data: Socher et al., "Recursive deep models
for semantic compositionality over a sentiment treebank", 2013, in GLUE's version. The baseline
`sst2` is a published Keras model: a vocabulary of 10,000 and 50 tokens, embedding 256, LSTMs of 128
and 64, early stopping and a plateau schedule, batch 32, 5 epochs: 3,126,913 parameters, accuracy
0.8291 on GLUE's dev set (confusion 340 88 / 61 383).

Embeddings are learned from the training part; all words outside it share one token. Padding is
masked, so each batch is cut to its longest text: the same results with less work.

Run: `python -m search run --space bilstm --dataset sst2`. Ranges: around the baseline, with
smaller networks. Expected on two cores: 0.82 to 0.84 on the dev set after 2 to 5 epochs, half a
minute to a minute an epoch. Folds keep a sentence and its phrases together, so that
cross-validation measures new sentences; folds that split them gave 0.92.
"""

from collections.abc import Mapping
from typing import Any

from spaces import Boolean, Choice, DataSpec, Float, Int, Published, Space, TextInput


def build(parameters: Mapping[str, Any], data: DataSpec) -> Any:
    """Return the uncompiled model.

    Input: token numbers of any length, `(n, length)`, 0 is padding. Output: the probability of the
    second of two classes, `(n, 1)`; with more classes one for each, `(n, classes)`.
    """
    from keras import Sequential, layers

    if data.classes == 2:
        output = layers.Dense(1, activation="sigmoid", dtype="float32")
    else:
        output = layers.Dense(data.outputs, activation=data.activation, dtype="float32")
    second = layers.Bidirectional(layers.LSTM(parameters["lstm_2_units"]))
    return Sequential(
        [
            layers.Input((None,), dtype="int32"),
            layers.Embedding(data.vocabulary, parameters["embedding"], mask_zero=True),
            layers.SpatialDropout1D(parameters["embedding_dropout"]),
            layers.Bidirectional(layers.LSTM(parameters["lstm_1_units"], return_sequences=True)),
            layers.Dropout(parameters["lstm_dropout"]),
            second,
            layers.Dropout(parameters["lstm_dropout"]),
            layers.Dense(parameters["dense_units"], activation="relu"),
            layers.Dropout(parameters["dropout"]),
            output,
        ],
        name="bilstm",
    )


SPACE = Space(
    name="bilstm",
    summary="two bidirectional LSTM layers over word embeddings, for texts",
    dataset="sst2",
    inputs=TextInput(vocabulary=10_000, length=50),
    parameters=(
        Choice("vocabulary", (5_000, 10_000, 15_000), default=10_000),
        Choice("length", (30, 50), default=50),
        Int("embedding", 32, 256, log=True, default=128),
        Float("embedding_dropout", 0.0, 0.6, step=0.05, default=0.2),
        Int("lstm_1_units", 32, 128, log=True, default=64),
        Int("lstm_2_units", 16, 64, log=True, default=32),
        Float("lstm_dropout", 0.0, 0.6, step=0.05, default=0.3),
        Int("dense_units", 16, 128, log=True, default=64),
        Float("dropout", 0.0, 0.6, step=0.05, default=0.5),
        Float("learning_rate", 1e-4, 1e-2, log=True, default=1e-3),
        Choice("batch_size", (32, 64, 128, 256), default=128),
        Boolean("early_stopping", default=True, fixed=True),
        Choice("schedule", ("constant", "cosine", "plateau"), default="plateau", fixed=True),
    ),
    baselines={
        "sst2": {
            "vocabulary": 10_000,
            "length": 50,
            "embedding": 256,
            "embedding_dropout": 0.2,
            "lstm_1_units": 128,
            "lstm_2_units": 64,
            "lstm_dropout": 0.3,
            "dense_units": 64,
            "dropout": 0.5,
            "batch_size": 32,
        }
    },
    published={"sst2": Published(3_126_913, {"sst2": 0.8291}, epochs=5, seconds=180)},
    build=build,
)
