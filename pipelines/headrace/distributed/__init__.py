"""Launch the ranks of a run, supervise them, and let them communicate.

`launchers/` starts processes, here or on other machines; `supervise/` watches them and says why
one failed; `rank/` runs inside each of them. A stage hands over the name of a function and knows
none of this. Horovod is imported here and nowhere else.
"""
