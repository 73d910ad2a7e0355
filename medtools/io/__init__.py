"""Readers and writers, one module per format, each behind a guard that checks sizes before it allocates."""
