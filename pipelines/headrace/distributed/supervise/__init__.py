"""Supervise the ranks of a run from outside their processes.

`supervisor.py` forms generations and reports the first failure; `worker.py` controls the process of
a rank here, `control_server.py` and `agent.py` one on another host; `watchdog.py` finds ranks that
hang, `failure.py` the first cause; `rendezvous.py` lets a generation meet.
"""
