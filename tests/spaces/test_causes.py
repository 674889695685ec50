"""What an error says is found below all that Keras and TensorFlow put around it."""

import numpy as np
import pytest

from spaces import cause_of

CALLED = (
    "Exception encountered when calling Gate.call().\n\n\x1b[1m{}\x1b[0m\n\nArguments received by"
)
TRACED = 'in user code:\n\n    File "a.py", line 3, in call\n        raise it\n\n    {}: {}\n'


def called(said: str) -> str:
    return CALLED.format(said) + " by Gate.call():\n  • x=tf.Tensor(shape=(4, 64), dtype=float32)"


def traced(kind: str, said: str) -> str:
    return TRACED.format(kind, said.replace("\n", "\n    "))


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (ValueError("it is 0.3\nor so"), "ValueError: it is 0.3 or so"),
        (ValueError("it is 0.3\n\nand much more"), "ValueError: it is 0.3"),
        (
            ValueError("it went wrong:\n  a line\n  the gate is shut"),
            "ValueError: the gate is shut",
        ),
        (ValueError("it went\nwrong:\n\nthe gate is shut"), "ValueError: the gate is shut"),
        (ValueError(), "ValueError"),
        (KeyError("gate"), "KeyError: gate"),
        (ValueError("<Gate object at 0x7fe9> is shut"), "ValueError: <Gate object> is shut"),
        (ValueError("a\x1b]0;title\x07b"), "ValueError: a�]0;title�b"),
        (ValueError(called("the gate is shut")), "ValueError: the gate is shut"),
        (KeyError(called("gate")), "KeyError: gate"),
        (ValueError(called("it went wrong:\nthe gate is shut")), "ValueError: the gate is shut"),
        (ValueError(called(called("the gate is shut"))), "ValueError: the gate is shut"),
        (ValueError(traced("NameError", "no gate")), "NameError: no gate"),
        (ValueError(traced("ValueError", called("it is shut"))), "ValueError: it is shut"),
        (ValueError(traced("ValueError", called(traced("a.Shut", "it is")))), "Shut: it is"),
        (
            TypeError("<class 'A'> could not be ...\n\nconfig={}.\n\nException encountered: no B"),
            "TypeError: no B",
        ),
        (
            ValueError("{{function_node _1}} index 9 is not in [0, 4)\n\t [[{{node a}}]] [Op:b]"),
            "ValueError: index 9 is not in [0, 4)",
        ),
        (
            ValueError("sizes differ for '{{node a/b}} = MatMul[T=x](a, b)' with shapes: [?,64]."),
            "ValueError: sizes differ with shapes: [?,64].",
        ),
    ],
)
def test_the_cause_is_told_in_one_line(error, cause):
    assert cause_of(error) == cause


def test_a_long_text_is_shown_without_its_middle():
    shown = cause_of(ValueError("a" * 300 + "b" * 300), longest=100)
    assert len(shown) < 110
    assert shown.startswith("ValueError: aaa")
    assert shown.endswith("bbb")


def test_an_error_that_cannot_even_be_told_has_a_name():
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert cause_of(Mute()) == "Mute"


@pytest.mark.slow
def test_errors_as_keras_raises_them_show_their_cause():
    import keras
    import tensorflow as tf
    from keras import layers

    class Shut(layers.Layer):
        def call(self, x):
            raise ValueError("the gate must be open; it is 0.3")

    class Far(layers.Layer):
        def call(self, x):
            return tf.gather(x, tf.cast(x[0, 0] * 0, tf.int32) + 99)

    class Inner(layers.Layer):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def call(self, x):
            return self.inner(x)

    class Model(keras.Model):
        def __init__(self, part):
            super().__init__()
            self.part = part

        def call(self, x):
            return self.part(x)

    some = np.ones((4, 6), np.float32)
    for part, cause in ((Shut(), "ValueError: the gate must be open; it is 0.3"), (Far(), "99")):
        for model in (Model(part), Model(Inner(part))):
            for call in (model, tf.function(lambda x, model=model: model(x))):
                with pytest.raises(Exception, match=r"gate|99") as caught:
                    call(some)
                shown = cause_of(caught.value)
                assert cause in shown
                assert "encountered" not in shown
                assert "function_node" not in shown
