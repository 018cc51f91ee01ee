"""Compute the statistics of a version and its alerts, where it is published.

- `rows`: what tasks collected, of this build or of all rows of a version; `summaries`: statistics
  of a column from it; `alerts`: what deserves a look; `publish`: the files of the sidecar.
"""
