"""The two baselines of the paper's Table 3: nearest neighbours and fine-tuning.

Both start from features that were trained, without any episode, to tell all training classes apart.
What they can choose (distance, step size, number of steps) is chosen on the validation split.
"""
