"""The use cases: the order of calls, and nothing else."""
