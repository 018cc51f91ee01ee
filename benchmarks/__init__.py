"""Measure Headrace side by side with other tools: each module prints ratios and writes JSON."""
