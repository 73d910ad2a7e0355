"""The one training engine: data order, fitting, checkpoints, splits, baselines, permutation tests."""
