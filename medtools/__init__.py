"""Published medical-imaging methods as reproducible pipelines."""

__version__ = "0.1.0"
