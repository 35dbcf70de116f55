"""Meta-learning for any Keras model: its weights handed in, T and M put on them, its learner."""
