import numpy as np
import pytest
import tensorflow as tf
from component_contract import check_call_modes, check_configuration_round_trip

from maml_tnet import TransformConv2D, TransformDense
from maml_tnet.kernels.task_axis import merge_tasks, split_tasks
from maml_tnet.layers import for_every_task

TASKS = 4
# Every kind of layer, with the shape of its inputs and outputs for one example.
LAYERS = {
    "dense": (TransformDense, {"units": 5}, [TASKS, 3], [TASKS, 5]),
    "dense T-net": (TransformDense, {"units": 5, "use_transform": True}, [TASKS, 3], [TASKS, 5]),
    "dense MT-net": (
        TransformDense,
        {"units": 5, "use_transform": True, "mask_per": "unit", "logit_init": 0.7},
        [TASKS, 3],
        [TASKS, 5],
    ),
    "dense, masks per weight, no b": (
        TransformDense,
        {"units": 1, "use_bias": False, "mask_per": "weight", "seed": 3},
        [TASKS, 3],
        [TASKS, 1],
    ),
    "conv": (TransformConv2D, {"units": 5}, [8, 7, TASKS, 3], [8, 7, TASKS, 5]),
    "conv MT-net, strided": (
        TransformConv2D,
        {"units": 5, "strides": 2, "use_transform": True, "mask_per": "unit"},
        [8, 7, TASKS, 3],
        [4, 4, TASKS, 5],
    ),
    "conv 5x5, masks per weight, no b": (
        TransformConv2D,
        {"units": 2, "size": 5, "strides": 3, "use_bias": False, "mask_per": "weight"},
        [8, 7, TASKS, 1],
        [3, 3, TASKS, 2],
    ),
}


@pytest.fixture(params=LAYERS)
def case(request):
    return LAYERS[request.param]


def build(case, rng, **kwargs):
    cls, arguments, input_shape, _ = case
    x = tf.constant(rng.normal(size=[6, *input_shape]), kwargs.get("dtype", "float32"))
    layer = cls(**arguments, **kwargs)
    layer(x)
    for weight in layer.weights:
        weight.assign(rng.normal(scale=0.5, size=weight.shape))
    return layer, x


def test_call_gives_the_same_in_every_mode(case, rng):
    layer, x = build(case, rng)
    assert layer(x).shape == [6, *case[3]]
    check_call_modes(layer, x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_configuration_round_trip(case, rng, dtype):
    layer, x = build(case, rng, dtype=dtype)
    assert layer(x).dtype == dtype
    copy = check_configuration_round_trip(layer, x)
    assert copy.mask_per == layer.mask_per


def test_parameters_have_the_documented_shapes(case, rng):
    layer, _ = build(case, rng)
    _, arguments, input_shape, _ = case
    units, features = arguments["units"], input_shape[-1]
    size = arguments.get("size", 3)
    kernel = [size, size, features, units] if "Conv" in case[0].__name__ else [features, units]
    fast = [kernel] + ([[units]] if arguments.get("use_bias", True) else [])
    assert [list(w.shape) for w in layer.initial_weights] == fast
    transform = [units, units] if arguments.get("use_transform") else None
    assert (layer.transform if transform is None else list(layer.transform.shape)) == transform
    logits = {None: [], "unit": [[units]], "weight": fast}[arguments.get("mask_per")]
    assert [list(z.shape) for z in layer.mask_logits] == logits
    assert len(layer.trainable_weights) == len(fast) + (transform is not None) + len(logits)


def test_initial_parameters_are_those_of_the_paper():
    layer = TransformDense(30, use_transform=True, mask_per="unit")
    layer.build([None, TASKS, 20])
    np.testing.assert_array_equal(layer.transform.numpy(), np.eye(30))
    np.testing.assert_array_equal(layer.mask_logits[0].numpy(), np.zeros(30))
    np.testing.assert_array_equal(layer.bias.numpy(), np.zeros(30))
    started_high = TransformDense(30, mask_per="unit", logit_init=2.0)
    started_high.build([None, TASKS, 20])
    np.testing.assert_array_equal(started_high.mask_logits[0].numpy(), np.full(30, 2.0))


@pytest.mark.parametrize(("cls", "stddev"), [(TransformDense, 0.1), (TransformConv2D, 0.01)])
def test_logits_per_weight_start_truncated_normal(cls, stddev):
    layer = cls(64, mask_per="weight", logit_init=0.5, seed=7)
    shape = [None, TASKS, 64] if cls is TransformDense else [None, 8, 8, TASKS, 64]
    layer.build(shape)
    logits = np.ravel(layer.mask_logits[0].numpy()) - 0.5
    assert np.max(np.abs(logits)) <= 2 * stddev + 1e-6
    # Truncated at two deviations, a normal distribution keeps 0.88 of its deviation.
    np.testing.assert_allclose(np.std(logits), 0.88 * stddev, rtol=0.05)
    assert abs(np.mean(logits)) < 0.1 * stddev
    again, other = (cls(64, mask_per="weight", logit_init=0.5, seed=seed) for seed in (7, 8))
    for copy in (again, other):
        copy.build(shape)
    np.testing.assert_array_equal(again.mask_logits[0].numpy(), layer.mask_logits[0].numpy())
    assert np.any(other.mask_logits[0].numpy() != layer.mask_logits[0].numpy())


def test_dense_layer_is_the_equation_task_by_task(rng):
    layer, x = build(LAYERS["dense MT-net"], rng, dtype="float64")
    W, b = rng.normal(size=[3, TASKS, 5]), rng.normal(size=[TASKS, 5])
    y = layer(x, [tf.constant(W), tf.constant(b)]).numpy()
    T = layer.transform.numpy()
    for task in range(TASKS):
        expected = (x.numpy()[:, task] @ W[:, task] + b[task]) @ T
        np.testing.assert_allclose(y[:, task], expected, rtol=1e-12)


def convolve(images, kernel, stride):
    """SAME convolution in NumPy: images [examples, height, width, channels]."""
    size = kernel.shape[0]
    out = [-(-n // stride) for n in images.shape[1:3]]
    pads = [
        max((m - 1) * stride + size - n, 0) for m, n in zip(out, images.shape[1:3], strict=True)
    ]
    padded = np.pad(images, [(0, 0), *((p // 2, p - p // 2) for p in pads), (0, 0)])
    y = np.zeros([len(images), *out, kernel.shape[-1]])
    for i in range(out[0]):
        for j in range(out[1]):
            rows, columns = i * stride, j * stride
            patch = padded[:, rows : rows + size, columns : columns + size]
            y[:, i, j] = np.tensordot(patch, kernel, axes=3)
    return y


@pytest.mark.parametrize("name", [name for name in LAYERS if name.startswith("conv")])
def test_convolution_is_the_equation_task_by_task(rng, name):
    layer, x = build(LAYERS[name], rng, dtype="float64")
    adapted = [rng.normal(size=[*w.shape[:-1], TASKS, w.shape[-1]]) for w in layer.initial_weights]
    y = layer(x, [tf.constant(w) for w in adapted]).numpy()
    T = np.eye(layer.units) if layer.transform is None else layer.transform.numpy()
    for task in range(TASKS):
        linear = convolve(x.numpy()[..., task, :], adapted[0][..., task, :], layer.strides)
        bias = adapted[1][task] if layer.use_bias else 0.0
        np.testing.assert_allclose(y[..., task, :], (linear + bias) @ T, rtol=1e-10, atol=1e-12)


def test_without_own_weights_every_task_uses_the_layers(case, rng):
    layer, x = build(case, rng)
    copies = [for_every_task(w, TASKS) for w in layer.initial_weights]
    np.testing.assert_allclose(layer(x), layer(x, copies), rtol=1e-5, atol=1e-5)


def test_mask_of_a_unit_serves_its_kernel_and_bias():
    layer = TransformDense(5, mask_per="unit")
    layer.build([None, TASKS, 3])
    mask = tf.ones([TASKS, 5])
    assert [m is mask for m in layer.masks_of_weights([mask])] == [True, True]
    without = TransformDense(5, mask_per="unit", use_bias=False)
    without.build([None, TASKS, 3])
    assert len(without.masks_of_weights([mask])) == 1


def test_merging_tasks_groups_the_channels_by_task(rng):
    x = tf.constant(rng.normal(size=[2, 3, TASKS, 5]))
    merged = merge_tasks(x)
    assert merged.shape == [2, 3, TASKS * 5]
    np.testing.assert_array_equal(merged[..., 5:10], x[..., 1, :])
    np.testing.assert_array_equal(split_tasks(merged, 5), x)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"units": 0}, "units must be a whole number of at least 1, got 0"),
        ({"units": 3, "mask_per": "row"}, r"mask_per must be None or one of .*, got 'row'"),
    ],
)
@pytest.mark.parametrize("cls", [TransformDense, TransformConv2D])
def test_bad_arguments_are_named(cls, arguments, message):
    with pytest.raises(ValueError, match=message):
        cls(**arguments)


@pytest.mark.parametrize(
    ("layer", "shape", "axes"),
    [
        (TransformConv2D(4), [3, 8, 8, 1], r"\[examples, height, width, tasks, features\], with"),
        (TransformDense(4), [3, 1], r"\[examples, tasks, features\], with an axis for tasks, got"),
    ],
)
def test_inputs_without_a_task_axis_are_refused(layer, shape, axes):
    with pytest.raises(ValueError, match=axes):
        layer(tf.ones(shape))


@pytest.mark.parametrize("argument", [{"size": 0}, {"strides": 0}, {"strides": 1.5}])
def test_sizes_of_a_convolution_are_checked(argument):
    (name,) = argument
    with pytest.raises(ValueError, match=f"{name} must be a whole number of at least 1, got "):
        TransformConv2D(4, **argument)
