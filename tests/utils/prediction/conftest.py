import numpy as np
import pytest
from plain_pictures import COLOURS, INPUT, plain

from maml_tnet import ConvNet, MetaLearner, PrototypeConvNet, export, losses
from utils.prediction.model_input import input_file


@pytest.fixture
def support(tmp_path):
    for name, colour in COLOURS.items():
        for i in range(2):
            plain(tmp_path / "support" / name / f"{i}.png", colour)
    return tmp_path / "support"


@pytest.fixture
def query(tmp_path):
    for name, colour in COLOURS.items():
        plain(tmp_path / "query" / f"like-{name}.bmp", colour)
    return tmp_path / "query"


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """Of the paper's form; untrained, but inner steps tell plain colours apart."""
    folder = tmp_path_factory.mktemp("model") / "saved_model"
    return exported(folder, num_updates=6, outputs=3)


@pytest.fixture(scope="session")
def any_way(tmp_path_factory):
    """A model for any number of classes."""
    folder = tmp_path_factory.mktemp("any_way") / "saved_model"
    return exported(folder, num_updates=1, kind=PrototypeConvNet)


def exported(folder, num_updates, kind=ConvNet, **arguments):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ConvNet, "blocks", 2)  # quickly traced
        return _exported(folder, num_updates, kind, **arguments)


def _exported(folder, num_updates, kind, **arguments):
    network = kind((16, 16, 3), num_filters=8, flatten=True, use_transform=True, **arguments)
    learner = MetaLearner(
        network,
        sample_episode=lambda iteration: None,
        update_lr=0.15,
        num_updates=num_updates,
    )
    learner.compile(loss=losses.cross_entropy if arguments else losses.class_mean_cross_entropy)
    x = np.random.default_rng(0).random([1, 3, 16, 16, 3], np.float32)
    export(
        learner,
        folder,
        support_x=x,
        support_y=np.eye(3, dtype=np.float32)[np.newaxis],
        query_x=x,
        extra_files=input_file(INPUT),
    )
    return folder
