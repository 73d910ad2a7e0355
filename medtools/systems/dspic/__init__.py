"""dSPIC: whole-body bone scans told apart as normal, metastasis, arthritis or both."""
