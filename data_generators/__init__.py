"""Episodes of few-shot tasks, pure functions of what they are drawn for.

Training episodes of (split, seed, iteration); held-out tasks of their split and number.
"""

from data_generators.data_record import DataRecord
from data_generators.episode import Episode
from data_generators.errors import DataError
from data_generators.images.image_input import ImageInput
from data_generators.images.miniimagenet import MiniImagenet
from data_generators.images.omniglot import Omniglot
from data_generators.images.own_images import Images
from data_generators.polynomial import Polynomial
from data_generators.sinusoid import Sinusoid
from data_generators.task_source import TaskSource

__all__ = [
    "DataError",
    "DataRecord",
    "Episode",
    "ImageInput",
    "Images",
    "MiniImagenet",
    "Omniglot",
    "Polynomial",
    "Sinusoid",
    "TaskSource",
]
