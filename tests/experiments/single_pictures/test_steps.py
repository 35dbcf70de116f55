import numpy as np

from experiments.single_pictures.steps import chosen_steps


def test_the_model_takes_as_many_inner_steps_as_in_training_unless_others_are_clearly_better():
    assert chosen_steps({}, 1) == 1
    after = np.array([[0.2, 0.6, 0.8], [0.4, 0.6, 0.9], [0.3, 0.5, 0.8]])
    assert chosen_steps({"1-shot": after.tolist()}, 1) == 2
    assert chosen_steps({"1-shot": after.tolist(), "5-shot": (1 - after).tolist()}, 1) == 1
    after[2, 2] = 0.2  # better in the mean, by less than the tasks differ
    assert chosen_steps({"1-shot": after.tolist()}, 1) == 1
