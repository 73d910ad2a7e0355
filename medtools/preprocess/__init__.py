"""Raw scans to analysis-ready data, one module per modality."""
