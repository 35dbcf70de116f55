"""JAX: the tasks shared out over one device a core, each task's gradient inside a `scan`."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from benchmarks.exchange import Arrays, Batch
from benchmarks.workloads import Workload

Tensors = dict[str, jax.Array]


def convolution(x: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """3x3 convolution with SAME padding as one product of patches; XLA's own is slow on a CPU."""
    examples, side, _, features = x.shape
    out = (side + stride - 1) // stride
    before = 1 if stride == 1 else side % 2
    x = jnp.pad(x, ((0, 0), (before, 1), (before, 1), (0, 0)))
    stop = stride * (out - 1) + 1
    taps = [x[:, i : i + stop : stride, j : j + stop : stride] for i in range(3) for j in range(3)]
    patches = jnp.concatenate(taps, axis=3).reshape(examples * out * out, 9 * features)
    y = patches @ kernel.reshape(9 * features, -1)
    return y.reshape(examples, out, out, -1)


def max_pool(x: jax.Array) -> jax.Array:
    """2x2, as a maximum over axes: the derivatives of `reduce_window` are slower on a CPU."""
    examples, side, _, features = x.shape
    out = side // 2
    x = x[:, : 2 * out, : 2 * out].reshape(examples, out, 2, out, 2, features)
    return x.max((2, 4))


def network(workload: Workload, weights: Tensors, x: jax.Array) -> jax.Array:
    """[examples, ...] -> [examples, outputs]; T goes into a kernel that has fewer rows than y."""
    last = len(workload.layers) - 1
    for i, layer in enumerate(workload.layers):
        kernel, transform = weights[f"layer{i}.kernel"], weights.get(f"layer{i}.transform")
        if layer.taps == 1:
            if x.ndim == 4:
                x = x.reshape(len(x), -1) if workload.max_pool else x.mean((1, 2))
            x = x @ kernel + weights[f"layer{i}.bias"]
            if transform is not None:
                x = x @ transform
        else:
            if transform is not None and len(x) * layer.positions > layer.taps * layer.inputs:
                kernel, transform = kernel @ transform, None
            x = convolution(x, kernel, stride=1 if workload.max_pool else 2)
            if transform is not None:
                x = x @ transform
            mean, variance = x.mean((0, 1, 2)), x.var((0, 1, 2))
            if workload.max_pool:
                x = max_pool(x)
            x = (x - mean) * jax.lax.rsqrt(variance + 1e-3) + weights[f"layer{i}.beta"]
        if i < last:
            x = jax.nn.relu(x)
    return x


def task_loss(workload: Workload, parameters: Tensors, task: Any) -> jax.Array:
    """The query loss of one task after its inner steps."""
    support_x, support_y, query_x, query_y, noise = task

    def loss(weights: Tensors, x: jax.Array, y: jax.Array) -> jax.Array:
        outputs = network(workload, weights, x)
        if not workload.is_classification:
            return jnp.mean(jnp.square(outputs - y))
        return -jnp.sum(y * jax.nn.log_softmax(outputs)) / workload.shot

    masks = {}
    for i, draw in enumerate(noise):
        logits = parameters[f"layer{i}.mask_logits"] + draw
        soft = jax.nn.sigmoid(logits)
        mask = soft + jax.lax.stop_gradient((logits > 0).astype(soft.dtype) - soft)
        masks[f"layer{i}.kernel"] = masks[f"layer{i}.bias"] = mask
    adapted = {k: v for k, v in parameters.items() if k.endswith((".kernel", ".bias"))}
    for _ in range(workload.inner_steps):
        gradients = jax.grad(lambda a: loss({**parameters, **a}, support_x, support_y))(adapted)
        adapted = {
            name: weight
            - workload.alpha * (masks[name] * gradients[name] if masks else gradients[name])
            for name, weight in adapted.items()
        }
    return loss({**parameters, **adapted}, query_x, query_y)


def adam(parameters: Tensors, gradients: Tensors, moments: Any, step: jax.Array) -> tuple:
    """One update with the usual constants and rate 1e-3."""
    step = step + 1
    count = step.astype(jnp.float32)
    rate = 1e-3 * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, moments[0], gradients)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, moments[1], gradients)
    parameters = jax.tree.map(
        lambda p, m, v: p - rate * m / (jnp.sqrt(v) + 1e-7), parameters, first, second
    )
    return parameters, (first, second), step


def mask_noise(workload: Workload, key: jax.Array) -> list[jax.Array]:
    """Draw `Batch.noise`."""
    if not workload.is_mtnet:
        return []
    units = np.cumsum([layer.units for layer in workload.layers])
    noise = jax.random.logistic(key, (workload.tasks, int(units[-1])))
    return jnp.split(noise, units[:-1], axis=1)


def sinusoid_episode(workload: Workload, key: jax.Array) -> tuple[jax.Array, ...]:
    """Equation (25): support and query points, [tasks, points, 1]."""
    unit = jax.random.uniform(key, (workload.tasks, 3 + workload.shot + workload.query, 1))
    amplitude, frequency = 0.1 + 4.9 * unit[:, :1], 0.8 + 0.4 * unit[:, 1:2]
    x = 10 * unit[:, 3:] - 5
    y = amplitude * jnp.sin(frequency * x + jnp.pi * unit[:, 2:3])
    shot = workload.shot
    return x[:, :shot], y[:, :shot], x[:, shot:], y[:, shot:]


def task_mesh(tasks: int) -> Mesh:
    """As many devices as share the tasks evenly."""
    devices = jax.devices()
    count = max(n for n in range(1, len(devices) + 1) if tasks % n == 0)
    return Mesh(np.array(devices[:count]), ("tasks",))


class Jax:
    """See `contestants.Contestant`.

    Sinusoids: one `jit` of a `lax.scan` over the iterations, tasks drawn inside, gradients of all
    tasks by one `vmap`. Images: a `jit` of one iteration a call, on the given batches.
    """

    def __init__(self, workload: Workload, weights: Arrays, data_path: str | None):
        del data_path
        self.workload = workload
        jax.config.update("jax_enable_x64", weights["layer0.kernel"].dtype == np.float64)
        self.initial = {name: jnp.asarray(value) for name, value in weights.items()}
        moments = tuple(jax.tree.map(jnp.zeros_like, self.initial) for _ in range(2))
        self.state = (self.initial, moments, jnp.zeros([], jnp.int32))
        self.key = jax.random.key(0)
        self.gradient = jax.jit(self._mean_gradient)
        self.step = jax.jit(self._step)
        self.scan = jax.jit(self._scan, static_argnums=1)
        self.batches: list[Any] = []
        self.iteration = 0

    def _mean_gradient(self, parameters: Tensors, tasks: Any) -> Tensors:
        """Gradient of the mean query loss; the tasks of images on several devices."""
        count = len(tasks[0])
        gradient = jax.grad(lambda p, task: task_loss(self.workload, p, task))
        if not self.workload.is_classification:
            gradients = jax.vmap(gradient, in_axes=(None, 0))(parameters, tasks)
            return jax.tree.map(lambda g: g.mean(0), gradients)

        def device_sum(parameters: Tensors, tasks: Any) -> Tensors:
            def add(total: Tensors, task: Any) -> tuple[Tensors, None]:
                return jax.tree.map(jnp.add, total, gradient(parameters, task)), None

            zeros = jax.tree.map(jnp.zeros_like, parameters)
            return jax.lax.psum(jax.lax.scan(add, zeros, tasks)[0], "tasks")

        # Without check_vma: it would sum over the devices in every task's gradient.
        total = jax.shard_map(
            device_sum,
            mesh=task_mesh(count),
            in_specs=(PartitionSpec(), PartitionSpec("tasks")),
            out_specs=PartitionSpec(),
            check_vma=False,
        )(parameters, tasks)
        return jax.tree.map(lambda g: g / count, total)

    def _step(self, state: Any, episode: Any) -> Any:
        parameters, moments, step = state
        episode_key, noise_key = jax.random.split(jax.random.fold_in(self.key, step))
        if episode is None:
            episode = sinusoid_episode(self.workload, episode_key)
        tasks = (*episode, mask_noise(self.workload, noise_key))
        gradients = self._mean_gradient(parameters, tasks)
        return adam(parameters, gradients, moments, step)

    def _scan(self, state: Any, iterations: int) -> Any:
        body = lambda state, _: (self._step(state, None), None)  # noqa: E731
        return jax.lax.scan(body, state, None, length=iterations)[0]

    def use_batches(self, batches: list[Batch]) -> None:
        """Train on these images, which lie on the devices of their tasks."""
        mesh = task_mesh(self.workload.tasks)
        self.state = jax.device_put(self.state, NamedSharding(mesh, PartitionSpec()))
        self.batches = [
            jax.device_put(
                (b.support_x, b.support_y, b.query_x, b.query_y),
                NamedSharding(mesh, PartitionSpec("tasks")),
            )
            for b in batches
        ]

    def meta_gradient(self, batch: Batch) -> Arrays:
        """See `contestants.Contestant`."""
        tasks = jax.tree.map(
            jnp.asarray,
            (batch.support_x, batch.support_y, batch.query_x, batch.query_y, batch.noise),
        )
        gradients = self.gradient(self.initial, tasks)
        return {name: np.asarray(value) for name, value in gradients.items()}

    def run(self, iterations: int) -> None:
        """See the class."""
        if self.workload.is_classification:
            for _ in range(iterations):
                batch = self.batches[self.iteration % len(self.batches)]
                self.state = self.step(self.state, batch)
                self.iteration += 1
        else:
            self.state = self.scan(self.state, iterations)
        jax.block_until_ready(self.state)
