"""Benchmarks: figures side by side with the limit, in one run, never asserted."""
