"""Side-by-side measurements: each module prints ratios and writes JSON."""
