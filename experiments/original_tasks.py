"""The very tasks that the original program is evaluated on.

It draws them one by one from NumPy's generator with seed 1, whatever the method, so the paper's
figures and the public code's are likely to be of these 600 sinusoids. Some sets of 600 are easier
than others by several percent.
"""

import numpy as np
import tensorflow as tf

from data_generators import Episode

TASKS = 600
QUERY = 10
SEED = 1


def original_sinusoids(shot: int) -> Episode:
    """Draw the original's held-out tasks for `shot` support points.

    The original's sinusoids are A sin(w x - b); turned about the origin, (x, y) -> (-x, -y), they
    are A sin(w x + b) of equation (25).

    Returns:
        [600, shot or 10, 1] tensors.
    """
    random = np.random.RandomState(SEED)
    x = np.empty([TASKS, shot + QUERY, 1])
    y = np.empty_like(x)
    for task in range(TASKS):
        amplitude = random.uniform(0.1, 5.0)
        phase = random.uniform(0.0, np.pi)
        frequency = random.uniform(0.8, 1.2)
        x[task] = random.uniform(-5.0, 5.0, [shot + QUERY, 1])
        y[task] = amplitude * np.sin(frequency * x[task] - phase)
    turned_x, turned_y = tf.constant(-x, tf.float32), tf.constant(-y, tf.float32)
    return Episode(turned_x[:, :shot], turned_y[:, :shot], turned_x[:, shot:], turned_y[:, shot:])
