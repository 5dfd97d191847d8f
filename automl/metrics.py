"""Metrics: the built-in ones, scikit-learn's scorers by name, and those that plugins add."""
