"""Ranks: how they are launched and watched, and what they say to each other.

The only home of horovod. A stage hands over the name of a function; what it runs on (this process,
local ranks) is decided here.
"""
