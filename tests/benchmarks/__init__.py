"""Benchmarks run, agree, and report what they measured."""
