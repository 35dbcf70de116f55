"""One model for single pictures and any number of classes, measured.

One file an idea: what is measured, how, where it is stored, and the page that shows it.
"""
