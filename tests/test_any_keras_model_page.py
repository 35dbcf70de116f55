"""The examples of docs/any-keras-model.md run, on small sizes."""

import re

import numpy as np
import pytest
from program import ROOT
from tensorflow import keras

PAGE = (ROOT / "docs" / "any-keras-model.md").read_text()
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
SMALLER = {
    r"steps_per_epoch=\d+": "steps_per_epoch=2",
    r"epochs=\d+": "epochs=2",
    r'"tasks": 8': '"tasks": 2',
    r"take\(\d+\)": "take(1)",
}


def run(example):
    for pattern, replacement in SMALLER.items():
        example = re.sub(rf"(?<!\w){pattern}", replacement, example)
    names = {}
    exec(compile(example, "docs/any-keras-model.md", "exec"), names)
    return names


needs_keras_3 = pytest.mark.skipif(
    not hasattr(keras, "StatelessScope"), reason="any Keras model needs Keras 3"
)


@needs_keras_3
def test_pictures_are_classified(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(26), 6)
    x = rng.integers(0, 256, size=[len(y), 12, 12, 3], dtype="uint8")
    np.savez("pictures.npz", x=x, y=y)
    names = run(EXAMPLES[0])
    assert int(names["learner"].optimizer.iterations) == 4
    assert names["classes"].shape == (25,)
    loaded = keras.models.load_model("classifier.keras")
    np.testing.assert_allclose(
        loaded.predict(names["task"]["query_x"][0], verbose=0).argmax(-1), names["classes"]
    )


@needs_keras_3
def test_time_series_are_forecast(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = run(EXAMPLES[1])
    assert int(names["learner"].optimizer.iterations) == 4
    assert names["forecasts"].shape == (10, 1)
