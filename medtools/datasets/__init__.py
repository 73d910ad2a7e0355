"""Real data sets that are fetched by package name, on request only."""
