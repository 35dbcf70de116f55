"""T-nets and MT-nets (Lee & Choi), with MAML and Meta-SGD, for TensorFlow 2 and Keras."""

from maml_tnet import losses
from maml_tnet.adaptation import Examples, adaptation_path, examples
from maml_tnet.any_model.episode import class_episodes
from maml_tnet.any_model.model_learner import ModelLearner
from maml_tnet.conv_net import ConvNet
from maml_tnet.export import export
from maml_tnet.layers import TransformConv2D, TransformDense
from maml_tnet.masks import update_probability
from maml_tnet.meta_learner import MetaLearner
from maml_tnet.prototype_network import PrototypeConvNet
from maml_tnet.regressor import Regressor
from maml_tnet.saved_model import ExportError, verify_export

__all__ = [
    "ConvNet",
    "Examples",
    "ExportError",
    "MetaLearner",
    "ModelLearner",
    "PrototypeConvNet",
    "Regressor",
    "TransformConv2D",
    "TransformDense",
    "adaptation_path",
    "class_episodes",
    "examples",
    "export",
    "losses",
    "update_probability",
    "verify_export",
]
