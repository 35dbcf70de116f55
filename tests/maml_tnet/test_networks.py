import numpy as np
import pytest
import tensorflow as tf
from component_contract import check_call_modes, check_configuration_round_trip
from random_episodes import randomize
from reference import task_outputs

from maml_tnet import ConvNet, Regressor

IMAGE = (18, 17, 2)
CONV = {"image_shape": IMAGE, "outputs": 3, "num_filters": 4}
# Every kind of network, with the shape of an example and its number of outputs.
NETWORKS = {
    "regressor": (Regressor, {"dim_hidden": 7}, [1], 1),
    "regressor MT-net": (
        Regressor,
        {"inputs": 4, "outputs": 2, "use_transform": True, "mask_per": "unit", "logit_init": 0.5},
        [4],
        2,
    ),
    "regressor, masks per weight": (Regressor, {"mask_per": "weight", "seed": 2}, [1], 1),
    "conv net": (ConvNet, CONV, IMAGE, 3),
    "conv MT-net, flat": (
        ConvNet,
        {**CONV, "flatten": True, "use_transform": True, "mask_per": "unit"},
        IMAGE,
        3,
    ),
    "max pool, flat": (
        ConvNet,
        {**CONV, "image_shape": (32, 17, 2), "max_pool": True, "flatten": True},
        (32, 17, 2),
        3,
    ),
    "layer norm, masks per weight": (
        ConvNet,
        {**CONV, "norm": "layer_norm", "use_transform": True, "mask_per": "weight"},
        IMAGE,
        3,
    ),
    "no norm, max pool": (ConvNet, {**CONV, "norm": None, "max_pool": True}, IMAGE, 3),
}


@pytest.fixture(params=NETWORKS)
def case(request):
    return NETWORKS[request.param]


def build(case, rng, dtype="float32"):
    cls, arguments, input_shape, _ = case
    network = cls(**arguments, dtype=dtype)
    randomize(network, rng)
    return network, tf.constant(rng.normal(size=[2, 6, *input_shape]), dtype)


def test_call_gives_the_same_in_every_mode(case, rng):
    network, x = build(case, rng)
    assert network(x).shape == [2, 6, case[3]]
    assert network.outputs_per_example == case[3]
    check_call_modes(network, x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_configuration_round_trip(case, rng, dtype):
    network, x = build(case, rng, dtype)
    copy = check_configuration_round_trip(network, x)
    assert copy.name == network.name


def test_weights_file_round_trip(case, rng, tmp_path):
    network, x = build(case, rng)
    network.save_weights(tmp_path / "network.weights.h5")
    copy = case[0](**case[1])
    assert np.any(copy(x) != network(x))
    copy.load_weights(tmp_path / "network.weights.h5")
    np.testing.assert_array_equal(copy(x), network(x))


def test_forward_with_the_tasks_own_weights_is_the_plain_one(case, rng):
    network, x = build(case, rng, "float64")
    own = [
        tf.constant(rng.normal(scale=0.5, size=[*w.shape[:-1], 2, w.shape[-1]]))
        for w in network.initial_weights
    ]
    outputs = network.forward(network.prepare(x), own)
    assert outputs.shape == [6, 2, case[3]]
    for task in range(2):
        plain = task_outputs(network, [w[..., task, :] for w in own], x[task])
        np.testing.assert_allclose(outputs[:, task], plain, rtol=1e-8, atol=1e-9)


@pytest.mark.usefixtures("convolution_kind")
def test_unknown_numbers_of_tasks_and_examples(case, rng):
    network, x = build(case, rng)
    signature = [tf.TensorSpec([None, None, *x.shape[2:]])]
    graph = tf.function(lambda x: network(x), input_signature=signature, autograph=False)
    for part in (x, x[:1], x[:, :4]):
        np.testing.assert_allclose(graph(part), network(part), rtol=1e-4, atol=1e-5)


def test_identity_transform_changes_nothing(case, rng):
    cls, arguments, input_shape, _ = case
    arguments = {**arguments, "mask_per": None}
    plain, with_transform = (cls(**{**arguments, "use_transform": use}) for use in (False, True))
    for layer, other in zip(plain.transform_layers, with_transform.transform_layers, strict=True):
        np.testing.assert_array_equal(layer.kernel.numpy(), other.kernel.numpy())
    x = tf.constant(rng.normal(size=[2, 6, *input_shape]), "float32")
    np.testing.assert_allclose(plain(x), with_transform(x), rtol=1e-5, atol=1e-6)


def test_parameters_are_listed_once(case):
    network = case[0](**case[1])
    listed = [
        *network.initial_weights,
        *network.mask_logits,
        *(layer.transform for layer in network.transform_layers if layer.transform is not None),
        *(layer.beta for layer in getattr(network, "normalizations", [])),
    ]
    assert sorted(map(id, listed)) == sorted(map(id, network.trainable_variables))
    assert len(network.weights) == len(network.trainable_variables)


def test_masks_match_the_adapted_weights(case, rng):
    network, _ = build(case, rng)
    masks = [
        tf.fill([*z.shape[:-1], 2, z.shape[-1]], float(i))
        for i, z in enumerate(network.mask_logits)
    ]
    if not masks:
        assert network.masks_of_weights([]) == []
        return
    expanded = network.masks_of_weights(masks)
    own = network.initial_fast_weights(2)
    assert len(expanded) == len(own)
    for mask, weight in zip(expanded, own, strict=True):
        assert tf.broadcast_static_shape(mask.shape, weight.shape) == weight.shape
    owner = [i for i, layer in enumerate(network.transform_layers) for _ in layer.initial_weights]
    per_unit = network.transform_layers[0].mask_per == "unit"
    np.testing.assert_array_equal(
        [float(tf.reduce_max(m)) for m in expanded], owner if per_unit else range(len(own))
    )


def test_same_seed_same_weights_and_another_seed_others(case):
    cls, arguments, *_ = case
    first, again, other = (cls(**{**arguments, "seed": seed}) for seed in (5, 5, 6))
    for a, b in zip(first.weights, again.weights, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    for a, b in zip(first.transform_layers, other.transform_layers, strict=True):
        assert np.any(a.kernel.numpy() != b.kernel.numpy())


def test_regressor_has_the_papers_layers_and_initial_weights():
    network = Regressor(use_transform=True)
    assert [tuple(layer.kernel.shape) for layer in network.transform_layers] == [
        (1, 40),
        (40, 40),
        (40, 1),
    ]
    kernel = network.transform_layers[1].kernel.numpy()
    assert np.max(np.abs(kernel)) <= 0.02
    np.testing.assert_allclose(np.std(kernel), 0.0088, rtol=0.1)
    assert all(np.all(layer.bias.numpy() == 0) for layer in network.transform_layers)


def test_omniglot_network_has_the_papers_layers_and_initial_weights():
    network = ConvNet(outputs=20)
    *convolutions, head = network.transform_layers
    assert [tuple(c.kernel.shape) for c in convolutions] == [(3, 3, 1, 64)] + [(3, 3, 64, 64)] * 3
    assert [c.strides for c in convolutions] == [2] * 4
    assert tuple(head.kernel.shape) == (64, 20)
    np.testing.assert_allclose(np.std(head.kernel.numpy()), 1.0, rtol=0.1)
    for convolution in convolutions:
        kernel = convolution.kernel.numpy()
        limit = np.sqrt(6 / (9 * kernel.shape[2] + 9 * kernel.shape[3]))
        assert 0.95 * limit < np.max(np.abs(kernel)) <= limit


def test_miniimagenet_network_has_the_papers_layers_and_initial_weights():
    network = ConvNet((84, 84, 3), 5, num_filters=32, max_pool=True, flatten=True)
    *convolutions, head = network.transform_layers
    assert [c.strides for c in convolutions] == [1] * 4
    assert tuple(head.kernel.shape) == (5 * 5 * 32, 5)
    assert np.max(np.abs(head.kernel.numpy())) <= np.sqrt(6 / (800 + 5))


def test_bias_before_batch_normalization_is_left_out_and_nowhere_else():
    for norm, used in (("batch_norm", False), ("layer_norm", True), (None, True)):
        *convolutions, head = ConvNet(**CONV, norm=norm).transform_layers
        assert [c.use_bias for c in convolutions] == [used] * 4
        assert head.use_bias


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"norm": "instance_norm"}, r"norm must be one of .*, got 'instance_norm'"),
        ({"image_shape": (15, 84, 3), "max_pool": True}, r"at least 16 x 16 .* got \(15, 84, 3\)"),
        ({"mask_per": "task"}, "got 'task'"),
        ({"outputs": 0}, "outputs must be a whole number of at least 1, got 0"),
        ({"image_shape": (28, 28)}, r"image_shape must be \(height, width, channels\), got"),
        ({"image_shape": 28}, r"image_shape must be \(height, width, channels\), got 28"),
        (
            {"image_shape": (28, 28, 0)},
            "a size in image_shape must be a whole number of at least 1",
        ),
        ({"logit_init": float("nan"), "mask_per": "unit"}, "logit_init must be a finite number"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        ConvNet(**arguments)


def test_seeds_are_whole_numbers_of_any_type():
    one, same = Regressor(seed=3), Regressor(seed=np.int64(3))
    for w, other in zip(one.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(w, other)
    for seed in (None, 1.5, "1"):
        with pytest.raises(ValueError, match=r"^seed must be a whole number"):
            Regressor(seed=seed)
