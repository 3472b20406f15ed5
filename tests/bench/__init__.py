"""Benchmarks: the engine, its peers and the physical limit, measured side by side in one run."""
