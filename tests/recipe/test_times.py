"""Points in time as recipes write them, against microseconds worked out by hand."""

from headrace.recipe.times import parse_time_to_micros


def test_a_time_without_a_zone_is_utc() -> None:
    assert parse_time_to_micros("1970-01-02") == 86_400_000_000
    assert parse_time_to_micros("1970-01-01T01:00:00+01:00") == 0
