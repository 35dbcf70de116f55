"""Central finite differences, the oracle of every gradient test. Use float64.

A loss after gradient steps jumps where a ReLU or a maximum switches on its way, so the steps are
as short as rounding allows.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Objective = Callable[[], Any]


def entrywise(objective: Objective, variable: Any, step: float = 1e-6) -> np.ndarray:
    """The whole gradient of `objective()` with respect to a variable."""
    start = variable.numpy()
    gradient = np.zeros_like(start)
    for index in np.ndindex(*start.shape):
        direction = np.zeros_like(start)
        direction[index] = 1.0
        gradient[index] = along(objective, variable, direction, step)
    return gradient


def along(objective: Objective, variable: Any, direction: np.ndarray, step: float = 1e-6) -> float:
    """The derivative of `objective()` in a direction of a variable, which is left as it was."""
    start = variable.numpy()
    values = []
    for sign in (1.0, -1.0):
        variable.assign(start + sign * step * direction)
        values.append(float(objective()))
    variable.assign(start)
    return (values[0] - values[1]) / (2 * step)


def assert_gradients_along_random_directions(
    objective: Objective,
    variables: Sequence[Any],
    gradients: Sequence[Any],
    rng: np.random.Generator,
    *,
    directions: int = 3,
    rtol: float = 1e-5,
    atol: float = 1e-6,
) -> None:
    """Check gradients of large tensors: every variable on its own, in some random directions."""
    for number, (variable, gradient) in enumerate(zip(variables, gradients, strict=True)):
        for _ in range(directions):
            direction = rng.normal(size=variable.shape)
            direction /= np.linalg.norm(direction)
            np.testing.assert_allclose(
                np.sum(np.asarray(gradient) * direction),
                along(objective, variable, direction, 1e-7),
                rtol=rtol,
                atol=atol,
                err_msg=f"variable {number}, {getattr(variable, 'path', variable.name)}",
            )
