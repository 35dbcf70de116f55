"""One meta-update of an MT-net regressor in NumPy, written from the paper's equations.

Backpropagation by hand; the second derivatives are products of the Hessian with a vector, had to
machine precision as the imaginary part of a gradient at a complex point.
"""

from typing import NamedTuple

import numpy as np

TINY = 1e-30


class Parameters(NamedTuple):
    """W, b, T and zeta of every layer."""

    W: list[np.ndarray]
    b: list[np.ndarray]
    T: list[np.ndarray]
    zeta: list[np.ndarray]


def loss_and_gradients(W, b, T, x, y):
    """Mean squared error of the network on x, y [examples, features], and its gradients."""
    inputs, linear, activations = [x], [], []
    for i in range(len(W)):
        linear.append(inputs[i] @ W[i] + b[i])
        activations.append(linear[i] @ T[i])
        inputs.append(activations[i] * (activations[i].real > 0))
    error = activations[-1] - y
    d = 2 * error / error.size
    dW, db, dT = [], [], []
    for i in reversed(range(len(W))):
        dT.append(linear[i].T @ d)
        dz = d @ T[i].T
        dW.append(inputs[i].T @ dz)
        db.append(dz.sum(0))
        if i > 0:
            d = (dz @ W[i].T) * (activations[i - 1].real > 0)
    return np.mean(error**2), dW[::-1], db[::-1], dT[::-1]


def task_meta_gradient(p, noise, support, query, alpha, temperature):
    """Query loss after one step of equation (8), and its gradients with respect to p.

    Args:
        p: the parameters.
        noise: g1 - g2 of equation (10) for every layer, [units].
        support: (x, y).
        query: (x, y).
        alpha: inner step size.
        temperature: T of equation (11).
    """
    layers = range(len(p.W))
    soft = [1 / (1 + np.exp(-(p.zeta[i] + noise[i]) / temperature)) for i in layers]
    M = [(p.zeta[i] + noise[i] > 0).astype(float) for i in layers]

    _, gW, gb, _ = loss_and_gradients(p.W, p.b, p.T, *support)
    W_new = [p.W[i] - alpha * M[i] * gW[i] for i in layers]
    b_new = [p.b[i] - alpha * M[i] * gb[i] for i in layers]
    loss, qW, qb, qT = loss_and_gradients(W_new, b_new, p.T, *query)

    W_complex = [p.W[i] + 1j * TINY * M[i] * qW[i] for i in layers]
    b_complex = [p.b[i] + 1j * TINY * M[i] * qb[i] for i in layers]
    _, hW, hb, hT = loss_and_gradients(W_complex, b_complex, p.T, *support)
    dM = [-alpha * (np.sum(qW[i] * gW[i], axis=0) + qb[i] * gb[i]) for i in layers]
    return loss, Parameters(
        W=[qW[i] - alpha * hW[i].imag / TINY for i in layers],
        b=[qb[i] - alpha * hb[i].imag / TINY for i in layers],
        T=[qT[i] - alpha * hT[i].imag / TINY for i in layers],
        # Straight through: the mask was 0 or 1, its derivative is equation (11)'s.
        zeta=[dM[i] * soft[i] * (1 - soft[i]) / temperature for i in layers],
    )


def meta_gradient(p, noise, episode, alpha, temperature):
    """Mean loss and gradient of line 11 of Algorithm 2; `noise` is [layer][tasks, units]."""
    results = [
        task_meta_gradient(
            p,
            [layer[t] for layer in noise],
            (episode.support_x[t], episode.support_y[t]),
            (episode.query_x[t], episode.query_y[t]),
            alpha,
            temperature,
        )
        for t in range(len(episode.support_x))
    ]
    losses, gradients = zip(*results, strict=True)
    mean = [
        [np.mean(parts, axis=0) for parts in zip(*kind, strict=True)]
        for kind in zip(*gradients, strict=True)
    ]
    return np.mean(losses), Parameters(*mean)


class Adam:
    """Kingma & Ba, with epsilon where Keras has it."""

    def __init__(self, learning_rate, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
        self.learning_rate, self.epsilon = learning_rate, epsilon
        self.beta_1, self.beta_2 = beta_1, beta_2
        self.step, self.m, self.v = 0, {}, {}

    def apply(self, p, gradient):
        """The parameters after one more step."""
        self.step += 1
        correction = np.sqrt(1 - self.beta_2**self.step) / (1 - self.beta_1**self.step)
        updated = Parameters([], [], [], [])
        for name in Parameters._fields:
            for i, g in enumerate(getattr(gradient, name)):
                m = self.m.get((name, i), 0) * self.beta_1 + (1 - self.beta_1) * g
                v = self.v.get((name, i), 0) * self.beta_2 + (1 - self.beta_2) * g**2
                self.m[name, i], self.v[name, i] = m, v
                change = self.learning_rate * correction * m / (np.sqrt(v) + self.epsilon)
                getattr(updated, name).append(getattr(p, name)[i] - change)
        return updated
