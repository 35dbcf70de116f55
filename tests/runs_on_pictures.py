"""Small runs of the program on pictures of noise (`disturbed`)."""

import numpy as np
from disturbed import run_of
from PIL import Image

PICTURES = "images-2way-1shot-maml-seed0"
SMALL_PICTURES = (
    "--datasource=images",
    "--image_size=16",
    "--num_classes=2",
    "--query_batch_size=1",
    "--num_filters=2",
    "--num_updates=1",
    "--meta_batch_size=2",
)


def picture_folders(folder, other=()):
    """Class folders of noise; the images of these numbers are others."""
    for number in range(12):
        rng = np.random.default_rng(100 + number if number in other else number)
        file = folder / f"class{number // 2}" / f"{number % 2}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, [16, 16, 3], np.uint8)).save(file)
    return folder


def of_pictures(server, logdir, data, *more):
    """A run on images, with a cache of their own, as machines have."""
    command = (
        *SMALL_PICTURES,
        f"--data_path={data}",
        f"--cache_dir={data}-cache",
        "--metatrain_iterations=4",
        "--num_test_tasks=6",
        *more,
    )
    return run_of(server, PICTURES, logdir, command, 2)
