"""Metrics of more rows than one rank may hold: integer sums of every rank's rows, and a bound.

Below `evaluate.exact_rows` nothing of this is used. Modules: `rank_sums` (what ranks add up),
`integer_sums` (sums that are the same in any order), `score_bins` (bins that any distribution of
scores fills evenly), `binned_curves` (areas and quantiles of bins, and how far off they may be),
`row_sketch` (all of it for the rows of one rank, with the draws of a bootstrap).
"""
