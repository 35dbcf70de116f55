"""Flags, recipes, runs, reports and plots of the program."""
