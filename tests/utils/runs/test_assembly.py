import numpy as np
import pytest
import tensorflow as tf
from absl import flags

from data_generators import DataError, Omniglot, Polynomial, Sinusoid
from maml_tnet import PrototypeConvNet
from maml_tnet.losses import class_mean_cross_entropy
from utils.command.flags import config_from_flags, define, parse
from utils.runs.assembly import build_learner, build_network, build_source


def config(*arguments):
    flag_values = define(flags.FlagValues())
    parse(["main.py", *arguments], flag_values)
    return config_from_flags(flag_values)


def learner(*arguments):
    settings = config(*arguments)
    return build_learner(settings, build_source(settings, None, ""))


def test_source_is_the_one_that_the_flags_name():
    assert isinstance(build_source(config(), None, ""), Sinusoid)
    assert build_source(config("--baseline=oracle"), None, "").input_shape == (4,)
    polynomial = build_source(config("--datasource=polynomial", "--poly_order=3"), None, "")
    assert isinstance(polynomial, Polynomial)
    assert polynomial.order == 3


def test_omniglot_is_built_with_its_way_and_checked(omniglot_path, omniglot_cache):
    def source(*arguments):
        settings = config("--datasource=omniglot", *arguments)
        return build_source(settings, str(omniglot_path), omniglot_cache)

    omniglot = source("--num_classes=7", "--num_train_classes=50")
    assert isinstance(omniglot, Omniglot)
    assert omniglot.output_size == 7
    assert len(omniglot.class_ids("train")) == 50
    # Validation has 100 characters: said at the start, not after the first epoch.
    with pytest.raises(DataError, match="the val split"):
        source("--num_classes=150")


def test_missing_data_is_a_data_error():
    with pytest.raises(DataError, match="--data_path must name"):
        build_source(config("--datasource=miniimagenet"), None, "")


@pytest.mark.parametrize(
    ("arguments", "transform", "logits"),
    [
        ((), False, 0),
        (("--use_T",), True, 0),
        (("--use_M",), False, 1),
        (("--use_T", "--use_M"), True, 1),
        (("--use_T", "--use_M", "--noshare_M"), True, 2),
        (("--noshare_M",), False, 0),
    ],
)
def test_flags_choose_transforms_and_masks(arguments, transform, logits):
    network = learner("--dim_hidden=3", *arguments).network
    for layer in network.transform_layers:
        assert (layer.transform is not None) == transform
        assert len(layer.mask_logits) == logits
    assert [layer.units for layer in network.transform_layers] == [3, 3, 1]


def test_flags_choose_the_convolutional_network(omniglot_path, omniglot_cache):
    settings = config(
        "--datasource=omniglot", "--num_filters=6", "--norm=layer_norm", "--use_M", "--logit_init=2"
    )
    source = build_source(settings, str(omniglot_path), omniglot_cache)
    network = build_network(settings, source)
    assert [layer.units for layer in network.transform_layers] == [6, 6, 6, 6, 5]
    assert all(np.all(tf.equal(layer.mask_logits[0], 2.0)) for layer in network.transform_layers)
    assert not network.compile_with_xla
    assert build_network(config(), Sinusoid()).compile_with_xla


def test_flags_choose_the_network_for_single_pictures_and_its_loss(omniglot_path, omniglot_cache):
    settings = config(
        "--datasource=omniglot", "--num_filters=6", "--queries=alone", "--use_T", "--logit_init=2"
    )
    source = build_source(settings, str(omniglot_path), omniglot_cache)
    of = build_learner(settings, source)
    assert isinstance(of.network, PrototypeConvNet)
    assert not of.network.flatten
    assert of.network.transform_layers[-1].transform is not None
    assert of.task_loss == (class_mean_cross_entropy, True, False)


def test_learner_has_the_settings_of_the_flags():
    of = learner(
        "--update_lr=0.5",
        "--num_updates=3",
        "--stop_grad",
        "--temp=2",
        "--meta_grad_clip=7",
        "--seed=4",
        "--pretrain_iterations=6",
        "--meta_lr=0.03125",
    )
    assert (of.update_lr, of.num_updates, of.first_order) == (0.5, 3, True)
    assert (of.temperature, of.meta_grad_clip, of.seed) == (2, 7, 4)
    assert of.pretrain_iterations == 6
    assert float(tf.convert_to_tensor(of.optimizer.learning_rate)) == 0.03125


def test_meta_sgd_learns_a_step_size_for_every_weight():
    assert not learner("--dim_hidden=2").step_size_variables
    of = learner("--dim_hidden=2", "--meta_sgd", "--update_lr=0.125")
    assert [v.shape for v in of.step_size_variables] == [
        weight.shape for weight in of.network.initial_weights
    ]
    assert all(np.all(tf.equal(v, 0.125)) for v in of.step_size_variables)


def test_optimizer_state_exists_before_the_first_step():
    of = learner("--dim_hidden=2")
    variables = of.optimizer.variables
    variables = variables() if callable(variables) else variables
    assert len(variables) >= 2 * len(of.trainable_variables)


def test_training_episodes_follow_the_seed_and_have_the_flags_sizes():
    def drawn(*arguments):
        flags = ("--meta_batch_size=3", "--update_batch_size=4", "--query_batch_size=6")
        return learner(*flags, *arguments).sample_episode(tf.constant(5))

    episode = drawn("--seed=2")
    assert episode.support_x.shape == (3, 4, 1)
    assert episode.query_x.shape == (3, 6, 1)
    expected = Sinusoid().episodes("train", 2, 5, tasks=3, shot=4, query=6)
    np.testing.assert_array_equal(episode.support_x, expected.support_x)
    assert np.any(episode.support_x != drawn("--seed=3").support_x)
