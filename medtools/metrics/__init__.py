"""Measures of quality, each with its definition, its source and its interval."""
