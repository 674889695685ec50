import socket

import numpy as np
import pytest

from spaces import DataSpec, SpaceError, get_space, narrow

DATA = DataSpec((32, 32, 3), 4)


def vgg(**overrides):
    return narrow(get_space("vgg16"), overrides).space


@pytest.fixture
def no_network(monkeypatch, tmp_path):
    def refuse(*_args, **_kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", ["vgg16", "resnet152v2"])
def test_weights_that_cannot_be_had_are_told_with_both_other_ways(name, no_network):
    space = get_space(name)
    with pytest.raises(SpaceError) as caught:
        space.check(space)
    message = str(caught.value)
    assert "--set weights=none" in message
    assert "--set weights=FILE" in message
    assert "no route to host" in message


def test_weights_in_keras_cache_or_none_need_no_network(no_network):
    none = vgg(weights="none")
    none.check(none)
    models = no_network / "models"
    models.mkdir()
    (models / "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5").touch()
    get_space("vgg16").check(get_space("vgg16"))


def test_weights_may_be_a_file(no_network, tmp_path, monkeypatch):
    path = tmp_path / "own.weights.h5"
    path.touch()
    monkeypatch.chdir(tmp_path)
    space = vgg(weights="own.weights.h5")
    assert space.complete({})["weights"] == str(path)
    space.check(space)
    with pytest.raises(SpaceError, match=r"within imagenet | none | FILE; got other\.h5"):
        vgg(weights="other.h5")


@pytest.mark.slow
def test_vgg_gets_blue_green_red_minus_the_means_it_was_trained_with():
    import keras

    space = vgg(weights="none")
    model = space.build(space.complete({}), DATA)
    pixels = np.zeros((1, 32, 32, 3), np.uint8)
    pixels[..., 0], pixels[..., 1], pixels[..., 2] = 10, 20, 30
    scaled = keras.Model(model.input, model.get_layer("scaled").output)(pixels)
    assert np.asarray(scaled)[0, 0, 0] == pytest.approx([30 - 103.939, 20 - 116.779, 10 - 123.68])


@pytest.mark.slow
def test_a_backbone_with_weights_is_frozen_and_thaws_from_a_block_on(tmp_path):
    import keras

    space = vgg(weights="none")
    trained = space.build(space.complete({}), DATA).get_layer("backbone")
    trained.save_weights(tmp_path / "vgg.weights.h5")
    space = vgg(weights=str(tmp_path / "vgg.weights.h5"), fine_tune="on", fine_tune_from="5")
    params = space.complete({})
    model = space.build(params, DATA)
    body = model.get_layer("backbone")
    assert len(body.trainable_weights) == 0
    first = keras.ops.convert_to_numpy(body.get_layer("block1_conv1").kernel)
    assert np.array_equal(first, trained.get_layer("block1_conv1").get_weights()[0])
    factor = space.unfreeze(model, params)
    assert factor == params["fine_tune_rate"]
    learning = {layer.name for layer in body.layers if layer.trainable and layer.weights}
    assert learning == {"block5_conv1", "block5_conv2", "block5_conv3"}
