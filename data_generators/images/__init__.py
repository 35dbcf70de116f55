"""Tasks of images: where data sets lie, how they are read and kept, how tasks are drawn."""
