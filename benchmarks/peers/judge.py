"""The independent score of a setting of LeNet's space, in plain Keras and float32.

Called by `race_peers.py`. The task, JSON, comes on standard input: `params`, `epochs`, `seed`,
`data` (folder of the IDX files), `train` and `apart` (numbers of samples). Trains the setting on
each of five stratified folds of `train`, and prints the list of the five models' accuracies on
`apart`.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np
from fashion_mnist import load
from sklearn.model_selection import StratifiedKFold

from spaces import DataSpec, get_space

FOLDS = 5


def main() -> None:
    """Train and score."""
    task = json.loads(sys.stdin.read())
    x, y = load(Path(task["data"]))
    train, apart = np.array(task["train"]), np.array(task["apart"])
    space = get_space("lenet")
    params = space.decide(lambda known: task["params"].get(known.name, known.default))
    splitter = StratifiedKFold(FOLDS, shuffle=True, random_state=task["seed"])
    scores = []
    for fold, (rows, _) in enumerate(splitter.split(train, y[train])):
        keras.backend.clear_session()
        keras.utils.set_random_seed(fold)
        model = space.build(params, DataSpec(input_shape=(32, 32, 1), classes=10))
        model.compile(
            optimizer=keras.optimizers.Adam(params["learning_rate"]),
            loss="sparse_categorical_crossentropy",
        )
        rows = train[rows]
        pixels = x[rows] * 255  # what the space's models take
        model.fit(pixels, y[rows], batch_size=32, epochs=task["epochs"], verbose=0)
        predicted = model.predict(x[apart] * 255, batch_size=512, verbose=0).argmax(axis=1)
        scores.append(float((predicted == y[apart]).mean()))
    print(json.dumps(scores))


if __name__ == "__main__":
    main()
