"""Who is in the made cohort, and what a manifest names: known without NumPy, for a workflow's plan."""

from __future__ import annotations

from medtools.preprocess.spect.cohort import SUBJECTS, find_samples, sample_ids

__all__ = ["OPTIONAL_PATHS", "PATH_COLUMNS", "SUBJECTS", "find_samples", "sample_ids"]

PATH_COLUMNS, OPTIONAL_PATHS = ("image",), ("labels", "landmarks")
"""Columns of a manifest that name files; the second ones may be empty."""
