"""MR.Q beside the baselines: the same tasks, the same number of steps, five seeds each."""
