"""Whole processes that are killed and started again."""
