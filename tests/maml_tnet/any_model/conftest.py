import pytest
from tensorflow import keras


def pytest_collection_modifyitems(items):
    """What asks for another Keras runs where it is."""
    if hasattr(keras, "StatelessScope"):
        return
    for item in items:
        if "any_model" in str(item.path) and "keras_2" not in item.name:
            item.add_marker(pytest.mark.skip(reason="any Keras model needs Keras 3"))


@pytest.fixture
def double_precision():
    """Keras' default number type, for finite differences."""
    floatx, policy = keras.backend.floatx(), keras.mixed_precision.global_policy()
    keras.backend.set_floatx("float64")
    keras.mixed_precision.set_global_policy("float64")
    yield
    keras.backend.set_floatx(floatx)
    keras.mixed_precision.set_global_policy(policy)
