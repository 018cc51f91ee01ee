"""Run inside the process of a rank: its entry point, collectives, membership and devices.

`main.py` runs the task's function, `collectives.py` wraps Horovod, `membership.py` waits for the
slot of each generation, `peer_loss.py` recognizes the loss of another rank; `devices.py` and
`scheduling.py` set up the process.
"""
