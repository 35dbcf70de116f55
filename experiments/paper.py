"""What others measured, to be printed beside ours: the paper (Lee and Choi, ICML 2018), its code.

The paper's means have 95 % intervals over the tasks of one network, with the digits that it gives.
"""

from utils.command.configuration import Config

# Table 1: squared error after one inner step of networks trained with 10 examples, by (method, K).
TABLE_1 = {
    ("MAML", 5): "1.07 ± 0.11",
    ("MAML", 10): "0.71 ± 0.07",
    ("MAML", 20): "0.50 ± 0.05",
    ("Meta-SGD", 5): "0.88 ± 0.14",
    ("Meta-SGD", 10): "0.53 ± 0.09",
    ("Meta-SGD", 20): "0.35 ± 0.06",
    ("T-net", 5): "0.83 ± 0.08",
    ("T-net", 10): "0.56 ± 0.06",
    ("T-net", 20): "0.38 ± 0.04",
    ("MT-net", 5): "0.76 ± 0.09",
    ("MT-net", 10): "0.49 ± 0.05",
    ("MT-net", 20): "0.33 ± 0.04",
}

# Table 2: the same with 10 examples, by (method, step size alpha).
TABLE_2 = {
    ("MAML", 10.0): "171.92 ± 25.04",
    ("MAML", 1.0): "5.81 ± 0.49",
    ("MAML", 0.1): "1.05 ± 0.11",
    ("MAML", 0.01): "0.71 ± 0.07",
    ("MAML", 0.001): "0.82 ± 0.08",
    ("MAML", 0.0001): "2.54 ± 0.19",
    ("MT-net", 10.0): "4.18 ± 0.30",
    ("MT-net", 1.0): "0.61 ± 0.07",
    ("MT-net", 0.1): "0.54 ± 0.05",
    ("MT-net", 0.01): "0.49 ± 0.05",
    ("MT-net", 0.001): "0.59 ± 0.06",
    ("MT-net", 0.0001): "0.72 ± 0.07",
}

# Table 3: accuracy in percent. Omniglot by (method, way), with one example per class;
# miniImagenet by (method, K), 5-way.
TABLE_3_OMNIGLOT = {
    ("MAML", 5): "98.7 ± 0.4",
    ("MAML", 20): "95.8 ± 0.3",
    ("Meta-SGD", 5): "99.53 ± 0.26",
    ("Meta-SGD", 20): "95.93 ± 0.38",
    ("MT-net", 5): "99.5 ± 0.3",
    ("MT-net", 20): "96.21 ± 0.35",
}
TABLE_3_MINIIMAGENET = {
    ("MAML", 1): "48.70 ± 1.84",
    ("MAML", 5): "63.11 ± 0.92",
    ("Meta-SGD", 1): "50.47 ± 1.87",
    ("Meta-SGD", 5): "64.03 ± 0.94",
    ("T-net", 1): "50.82 ± 0.69",
    ("MT-net", 1): "51.69 ± 0.70",
    ("MT-net", 5): "64.08 ± 0.35",
}
# Its two baselines on miniImagenet, by (name, K), 5-way.
TABLE_3_BASELINES = {
    ("nearest neighbour", 1): "41.08 ± 0.70",
    ("nearest neighbour", 5): "51.04 ± 0.65",
    ("fine-tuning", 1): "28.86 ± 0.54",
    ("fine-tuning", 5): "49.79 ± 0.79",
}

# The paper's public code, run by us: Table 1 by (method, K), the mean over its own 600 tasks of one
# network for each of its seeds 11 to 15, trained with K = 10.
PUBLIC_CODE_TABLE_1 = {
    ("T-net", 5): (0.914, 0.925, 0.883, 0.891, 0.913),
    ("T-net", 10): (0.618, 0.597, 0.567, 0.603, 0.600),
    ("T-net", 20): (0.428, 0.390, 0.381, 0.409, 0.420),
    ("MT-net", 5): (0.785, 0.872, 0.834, 0.837, 0.884),
    ("MT-net", 10): (0.538, 0.565, 0.575, 0.542, 0.582),
    ("MT-net", 20): (0.394, 0.364, 0.369, 0.387, 0.409),
}
# The same of MAML, one network: mean and interval over the tasks.
PUBLIC_CODE_MAML = {5: "0.99 ± 0.10", 10: "0.65 ± 0.06", 20: "0.47 ± 0.05"}
# Figure 4 of the public code, run by us with alpha = 0.01 and seeds 21 and 22: P(update) over all
# logits after 60,000 iterations, by what the network learned.
PUBLIC_CODE_FIGURE_4 = {
    "order 0": "0.507 and 0.508 (loss 1e-8)",
    "orders 1 to 3, more than a constant": "0.872 (order 3) and 0.890",
    "orders 1 to 3, a constant": "0.508 (order 1), 0.477 (order 2), and others at 0.507 and 0.516",
}

_TRAINED_SHOT = 10
_TABLE_1_STEP_SIZE = 0.01


def paper_figure(config: Config, shot: int) -> str | None:
    """Return the paper's figure for a run evaluated with `shot` examples, or None if it has none.

    The squared error for the sinusoid, the accuracy in percent for images, after the trained
    number of inner steps.
    """
    if config.datasource == "sinusoid":
        if config.update_batch_size != _TRAINED_SHOT:
            return None
        if config.update_lr == _TABLE_1_STEP_SIZE:
            return TABLE_1.get((config.method, shot))
        return TABLE_2.get((config.method, config.update_lr)) if shot == _TRAINED_SHOT else None
    if shot != config.update_batch_size:
        return None
    if config.datasource == "omniglot" and shot == 1:
        return TABLE_3_OMNIGLOT.get((config.method, config.num_classes))
    if config.datasource == "miniimagenet" and config.num_classes == 5:
        return TABLE_3_MINIIMAGENET.get((config.method, shot))
    return None
