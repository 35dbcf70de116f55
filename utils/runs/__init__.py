"""A training run: its objects, its folder, its checkpoints, its training."""
