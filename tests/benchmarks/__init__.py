"""Benchmarks run and agree."""
