"""Propose a first recipe for a table from a sample of its rows, for `headrace init`."""

from headrace.propose.draft import Draft, draft_recipe

__all__ = ["Draft", "draft_recipe"]
