"""One module for each contender; each needs its own library and Python, and nothing else."""
