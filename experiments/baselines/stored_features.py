"""Trained features as a file."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from tensorflow import keras

from experiments.baselines.array_files import damaged, read_arrays, write_arrays


def stored_features(
    file: Path, features: keras.Model, train: Callable[[], tuple[keras.Model, list[float]]]
) -> tuple[keras.Model, list[float]]:
    """Train and store the features and their learning curve, unless the file has them.

    Args:
        file: of the weights and the curve.
        features: not trained; they get the weights.
        train: trains others of that form; see `features.train_features`.

    Returns:
        `features` and the curve.

    Raises:
        UsageError: the file is damaged, or of other features.
    """
    if not file.exists():
        trained, curve = train()
        write_arrays(file, [np.array(curve), *trained.get_weights()])
    stored_curve, *weights = read_arrays(file)
    try:
        features.set_weights(weights)
    except ValueError as error:
        raise damaged(file, error) from error
    return features, stored_curve.tolist()
