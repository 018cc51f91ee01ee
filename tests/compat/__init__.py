"""What an earlier release wrote, read and carried on by this one: `tests/fixtures/`."""
