"""The most this processor computes: large matrix products in TensorFlow, in GFLOP/s.

Called by `throughput.py`; prints one JSON object, `float32` and `bfloat16`.
"""

import json
import time

import tensorflow as tf

SIZE, TRIES = 3072, 12


def main() -> None:
    """Measure both and print them."""
    print(json.dumps({"float32": peak(tf.float32), "bfloat16": peak(tf.bfloat16)}))


def peak(kind: tf.DType) -> float:
    """Return the best of some products of two square matrices."""
    left, right = (tf.cast(tf.random.normal((SIZE, SIZE)), kind) for _ in range(2))
    tf.linalg.matmul(left, right)  # the first one prepares
    seconds = []
    for _ in range(TRIES):
        began = time.perf_counter()
        tf.linalg.matmul(left, right).numpy()
        seconds.append(time.perf_counter() - began)
    return 2 * SIZE**3 / min(seconds) / 1e9


if __name__ == "__main__":
    main()
