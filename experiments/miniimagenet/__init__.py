"""miniImagenet to the end: the lower half of the paper's Table 3, 1-shot."""
