raise RuntimeError(f"not on this machine: {__file__}")
