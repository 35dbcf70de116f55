"""Pictures of other domains: those that a model knows changed by hand, and another data set's."""

from collections.abc import Callable

import tensorflow as tf

from data_generators.images.image_input import ImageInput

INK = 0.4
BLUR = 1.5  # pixels, of the Gaussian
NOISE = 0.3

Change = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""(images [tasks, examples, height, width, channels] in [0, 1], keys [tasks, 2]) -> images."""


def dim(images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
    """Everything at 40 % of its brightness; drawings' ink, which is 1, at 40 %."""
    del keys
    return INK * images


def blurred(images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
    """Under a Gaussian of a deviation of 1.5 pixels, with 0 outside the picture."""
    del keys
    distance = tf.range(-4, 5, dtype=images.dtype) / BLUR
    weights = tf.nn.softmax(-tf.square(distance) / 2)
    *_, height, width, channels = images.shape
    x = tf.reshape(images, [-1, height, width, channels])
    for shape in ([-1, 1, 1, 1], [1, -1, 1, 1]):
        kernel = tf.tile(tf.reshape(weights, shape), [1, 1, channels, 1])
        x = tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], "SAME")
    return tf.reshape(x, tf.shape(images))


def noisy(images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
    """With normal noise of standard deviation 0.3 in every number."""
    noise = tf.map_fn(
        lambda key: tf.random.stateless_normal(tf.shape(images)[1:], key, alg="philox"),
        keys,
        fn_output_signature=images.dtype,
    )
    return images + NOISE * noise


def inverted(images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
    """Black for white."""
    del keys
    return 1 - images


AS_TRAINED = "as trained"
DOMAINS: dict[str, Change] = {
    AS_TRAINED: lambda images, keys: images,
    "dim": dim,
    "blurred": blurred,
    "noisy": noisy,
    "inverted": inverted,
}

# A model of one data set is shown the other's pictures, too, by their names and the set's.
OTHERS = {
    "omniglot": ("photographs", "miniimagenet"),
    "miniimagenet": ("drawings", "omniglot"),
}


def seen_by(model: ImageInput, source: ImageInput) -> Change:
    """The change of a source's inputs into a model's, as `--predict` makes it of their files."""

    def change(images: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
        del keys
        light = 1 - images if source.ink_is_one else images
        pixels = tf.cast(tf.round(255 * light), tf.uint8)
        *_, height, width, channels = images.shape
        shown = model.of_pixels(tf.reshape(pixels, [-1, height, width, channels]))
        return tf.reshape(shown, tf.concat([tf.shape(images)[:2], tf.shape(shown)[1:]], axis=0))

    return change
