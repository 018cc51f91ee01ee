"""Implement the prepare stage with other tools: a module per rival, each tuned for 2 cores."""
