"""What a user of Keras 2 reads."""

import pytest
from tensorflow import keras

from maml_tnet import MetaLearner


@pytest.mark.skipif(hasattr(keras, "StatelessScope"), reason="this is Keras 3")
def test_keras_2_is_told_what_to_use():
    model = keras.Sequential([keras.layers.Dense(1, input_shape=[2])])
    with pytest.raises(RuntimeError, match=r"needs Keras 3.*ConvNet or Regressor"):
        MetaLearner(model, update_lr=0.1)
