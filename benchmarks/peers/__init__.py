"""Readers of other projects on the files of `stream.py`, in an environment of their own."""
