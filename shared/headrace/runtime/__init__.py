"""The shell around the core: the batch loop, offsets, plans, dead letters, tasks, logs and metrics."""
