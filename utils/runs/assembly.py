"""From a run's configuration to its objects: task source, network, meta-learner, optimizer."""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from data_generators import Images, MiniImagenet, Omniglot, Polynomial, Sinusoid, TaskSource
from data_generators.random_streams import SPLITS
from maml_tnet import ConvNet, MetaLearner, PrototypeConvNet, Regressor
from maml_tnet.compat import build_optimizer
from maml_tnet.kernels import device
from maml_tnet.losses import class_mean_cross_entropy, cross_entropy, squared_error
from maml_tnet.task_network import TaskNetwork
from utils.command.configuration import Config
from utils.runs.optimizers import meta_optimizer
from utils.runs.pretraining import PretrainedMetaLearner


def build_source(config: Config, data_path: str | None, cache_dir: str) -> TaskSource:
    """Build the data generator of `config.datasource`.

    Raises:
        DataError: the data is missing or bad, or has too few classes or images.
    """
    source = _source(config, data_path, cache_dir)
    for split in SPLITS:
        source.check(split, shot=config.update_batch_size, query=config.query_batch_size)
    return source


def _source(config: Config, data_path: str | None, cache_dir: str) -> TaskSource:
    images = (data_path, cache_dir, config.num_classes, config.num_train_classes)
    source: MiniImagenet | Images
    match config.datasource:
        case "sinusoid":
            return Sinusoid(oracle=config.baseline == "oracle")
        case "polynomial":
            return Polynomial(config.poly_order)
        case "omniglot":
            return Omniglot.load(*images)
        case "miniimagenet":
            source = MiniImagenet.load(*images)
        case _:
            source = Images.load(
                *images,
                image_size=config.image_size,
                grey=config.grey,
                split_seed=config.split_seed,
                per_class=config.update_batch_size + config.query_batch_size,
            )
    source.device_bytes = device.forms().image_bytes
    return source


def build_network(config: Config, source: TaskSource) -> TaskNetwork:
    """Build the paper's network for the source's examples, or that for single pictures."""
    mask_per = ("unit" if config.share_M else "weight") if config.use_M else None
    shared: dict[str, Any] = {
        "use_transform": config.use_T,
        "mask_per": mask_per,
        "logit_init": config.logit_init,
        "seed": config.seed,
    }
    if not config.is_classification:
        return Regressor(
            source.input_shape[0], source.output_size, dim_hidden=config.dim_hidden, **shared
        )
    shared |= {
        "num_filters": config.num_filters,
        "norm": config.norm,
        "max_pool": config.max_pool,
        "flatten": config.datasource != "omniglot",
    }
    if config.answers_queries_alone:
        return PrototypeConvNet(source.input_shape, **shared)
    return ConvNet(source.input_shape, source.output_size, **shared)


def build_learner(
    config: Config,
    source: TaskSource,
    *,
    update_lr: float | None = None,
    evaluation_updates: int = 10,
    evaluation_mask: str = "sample",
) -> MetaLearner:
    """Build the compiled meta-learner, with its optimizer's variables.

    Args:
        config: of the run.
        source: of its episodes.
        update_lr: inner step size, where evaluation uses another than training did.
        evaluation_updates: inner steps that `predict` reports.
        evaluation_mask: "sample" or "mode".
    """

    def sample_episode(iteration: tf.Tensor) -> Any:
        return source.episodes(
            "train",
            config.seed,
            iteration,
            tasks=config.meta_batch_size,
            shot=config.update_batch_size,
            query=config.query_batch_size,
        )

    network = build_network(config, source)
    make: Callable[..., MetaLearner] = MetaLearner
    if config.iterations_without_adaptation:
        make = functools.partial(
            PretrainedMetaLearner, pretrain_iterations=config.iterations_without_adaptation
        )
    learner = make(
        network,
        sample_episode=sample_episode,
        update_lr=config.update_lr if update_lr is None else update_lr,
        num_updates=config.num_updates,
        evaluation_updates=evaluation_updates,
        first_order=config.stop_grad,
        meta_sgd=config.meta_sgd,
        temperature=config.temp,
        evaluation_mask=evaluation_mask,
        meta_grad_clip=config.meta_grad_clip,
        seed=config.seed,
    )
    learner.compile(
        optimizer=meta_optimizer(config.meta_optimizer, config.meta_lr),
        loss=_loss(config),
        jit_compile=network.compile_with_xla and source.draws_on_device,
    )
    build_optimizer(learner.optimizer, learner.trainable_variables)
    return learner


def _loss(config: Config) -> Callable[..., tf.Tensor]:
    if not config.is_classification:
        return squared_error
    return class_mean_cross_entropy if config.answers_queries_alone else cross_entropy
