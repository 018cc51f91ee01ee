"""Start the ranks of a run: on this machine, on hosts, on Spark executors, or externally.

`local.py` starts processes here, `hosts.py` over a remote shell, `spark.py` as tasks of a job, and
`external.py` joins the processes that torchrun or mpirun started. Each is a `supervisor.Launcher`.
"""
