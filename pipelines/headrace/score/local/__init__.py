"""Score plain files without Spark, in processes of this machine.

Tasks run the kernels of Spark's tasks on the same plan, so that predictions, ledger, drift and
quarantine are the same, bit for bit. How rows are read, and whether a job goes without Spark at
all, is in `source.local`:

- `start`: the choice, and processes that import TensorFlow while the model is looked for;
- `jobs`, `tasks`: how the rows are read, and what a process does at a time;
- `preload`: what a process imports before it gets a task.
"""
