"""What the rows of a column hold: values, mergeable statistics of them, histograms of them.

No engine runs here, only NumPy and pyarrow. What features and labels make of the values is left to
`features` and `labels`.
"""
