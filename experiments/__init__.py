"""One program for each group of tables and figures of the paper."""
