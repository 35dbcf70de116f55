"""miniImagenet's experiment on photographs that can be had: the paper's Table 3, lower half."""
