"""Figures as SVG: plain values in, markup out; axes with names and units, and nothing to import.

Each kind of chart is one module with one value object. Colours are CSS variables, so that a figure
follows the page from light to dark; every mark has a title that says its value.
"""
