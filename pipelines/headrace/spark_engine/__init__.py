"""Hold what differs between a Spark in a JVM of this process and one behind Spark Connect.

- `engine`: what the stages ask of either; `find_engine`: which of them a session has;
- `classic`, `classic_catalog`: answered by the JVM, which knows plans before they run;
- `connect`, `connect_catalog`: answered by DataFrames, SQL and settings alone, as there is no JVM;
- `plan_text`: what a physical plan's text says of rows: their order, and which it leaves out;
- `remote`: where a server is, whether it answers, and its session;
- `package_archive`, `remote_workers`: this package for the server's Python, and what that is.

Everything else in the package knows DataFrames, and nothing of how they reach Spark.
"""
