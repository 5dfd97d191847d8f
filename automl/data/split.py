"""Splits: which rows train and which validate, as index arrays."""
