import numpy as np
import pytest

from spaces import DataSpec, get_space

FASHION = DataSpec(input_shape=(32, 32, 1), classes=10)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("baseline", "parameters"), [("lenet5", 504_342), ("keras-tuner", 879_825)]
)
def test_baselines_have_exactly_the_published_number_of_parameters(baseline, parameters):
    space = get_space("lenet")
    model = space.build(space.complete(space.baselines[baseline]), FASHION)
    assert model.count_params() == parameters


def test_the_extra_convolution_stands_before_the_second_pool():
    space = get_space("lenet")
    model = space.build(space.complete(space.baselines["keras-tuner"]), FASHION)
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds == [
        *("Rescaling", "Conv2D", "MaxPooling2D", "Conv2D", "Conv2D", "MaxPooling2D", "Flatten"),
        *("Dense", "Dropout", "Dense", "Dense"),
    ]


def test_every_corner_of_the_space_builds_and_gives_probabilities():
    space = get_space("lenet")
    corners = [
        {"conv_1_kernel": kernel, "extra_conv": extra, "dropout": 0.5}
        for kernel in (3, 5)
        for extra in (False, True)
    ]
    for corner in corners:
        model = space.build(space.complete(corner), DataSpec((32, 32, 1), 3))
        output = np.asarray(model(np.full((2, 32, 32, 1), 255, np.uint8)))
        assert output.shape == (2, 3)
        assert output.sum(axis=1) == pytest.approx([1.0, 1.0])
