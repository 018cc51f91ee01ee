"""A first recipe for a table, from a look at some of its rows: what `headrace init` writes."""

from headrace.propose.draft import Draft, draft_recipe

__all__ = ["Draft", "draft_recipe"]
