"""AD-Lite Net: a light CNN with a parallel concatenation block for stages of dementia."""
