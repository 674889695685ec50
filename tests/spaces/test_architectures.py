"""What every named space promises: exact numbers of weights, and models that fit their data."""

import random
import re
from pathlib import Path

import numpy as np
import pytest

from spaces import DataSpec, get_space, names, narrow

pytestmark = pytest.mark.slow

DATA = {
    "fashion_mnist": {
        "lenet": DataSpec((32, 32, 1), 10),
        "resnet152v2": DataSpec((32, 32, 3), 10),
        "vgg16": DataSpec((32, 32, 3), 10),
    },
    "sst2": {"bilstm": DataSpec((50,), 2, "text", 10_000)},
}
# For a space whose dataset is not above, by the kind of samples it takes first. The published
# number of weights of a space without a dataset is that on these.
SMALL = {
    "image": DataSpec((28, 28, 1), 10),
    "table": DataSpec((8,), 3, "table"),
    "text": DataSpec((50,), 2, "text", 10_000),
}
BASELINES = [(space, name) for space in names() for name in get_space(space).published]
QUICK = [name for name in names() if name not in ("resnet152v2", "vgg16")]


def spec(space):
    found = get_space(space)
    return DATA.get(found.dataset, {}).get(space, SMALL[found.kinds[0]])


def sample(data, count=2):
    if data.kind == "text":
        return np.ones((count, *data.input_shape), np.int32)
    if data.kind == "table":
        return np.ones((count, *data.input_shape), np.float32)
    return np.full((count, *data.input_shape), 255, np.uint8)


@pytest.mark.parametrize(("space", "baseline"), BASELINES)
def test_baselines_have_exactly_the_published_number_of_weights(space, baseline):
    found = narrow(
        get_space(space), {"weights": "none"} if "weights" in get_space(space).names() else {}
    )
    params = found.baselines[baseline] if baseline in found.baselines else found.space.complete({})
    model = found.space.build(params, spec(space))
    assert model.count_params() == get_space(space).published[baseline].model_parameters


def test_every_published_baseline_is_a_baseline_and_the_reverse():
    for name in names():
        space = get_space(name)
        assert set(space.published) == set(space.baselines)


@pytest.mark.parametrize("name", QUICK)
def test_random_settings_build_and_give_probabilities(name):
    space = get_space(name)
    data = spec(name)
    data = DataSpec(data.input_shape, 3, data.kind, data.vocabulary)
    chance = random.Random(name)  # noqa: S311 - a test's, not a secret
    for _ in range(4):
        params = space.decide(lambda p: p.default if p.fixed else chance.choice(p.grid()))
        model = space.build(params, data)
        output = np.asarray(model(sample(data)))
        assert output.shape == (2, 3)
        assert output.sum(axis=1) == pytest.approx([1.0, 1.0], abs=1e-4)


def test_the_extra_convolution_of_lenet_stands_before_the_second_pool():
    space = get_space("lenet")
    model = space.build(space.complete(space.baselines["keras-tuner"]), spec("lenet"))
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds == [
        *("Rescaling", "Conv2D", "MaxPooling2D", "Conv2D", "Conv2D", "MaxPooling2D", "Flatten"),
        *("Dense", "Dropout", "Dense", "Dense"),
    ]


def test_a_perceptron_takes_rows_of_a_table():
    space = get_space("mlp")
    model = space.build(space.complete({}), DataSpec((7,), 4, "table"))
    assert model.output_shape == (None, 4)


def test_two_classes_of_text_have_one_output():
    space = get_space("bilstm")
    assert space.build(space.complete({}), spec("bilstm")).output_shape == (None, 1)


def test_padding_changes_nothing_for_the_bilstm():
    space = get_space("bilstm")
    model = space.build(space.complete({"embedding": 32}), spec("bilstm"))
    tokens = np.array([[5, 6, 7]], np.int32)
    padded = np.pad(tokens, [(0, 0), (0, 9)])
    assert np.allclose(model(tokens), model(padded), atol=1e-6)


def test_the_space_in_the_guide_has_its_dropout_only_where_it_is_switched_on(tmp_path):
    guide = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
    path = tmp_path / "my_branches.py"
    path.write_text(re.search(r"```python\n# my_branches\.py\n(.*?)```", guide, re.DOTALL)[1])
    space, data = get_space(f"{path}:SPACE"), SMALL["table"]
    for is_on in (False, True):
        model = space.build(space.complete({"with_dropout": is_on}), data)
        kinds = [type(layer).__name__ for layer in model.layers]
        assert ("Dropout" in kinds) == is_on
        assert model.output_shape == (None, data.classes)
