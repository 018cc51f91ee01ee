"""What identifies a recipe's trainings stays what it is when recipes get further keys."""

from headrace.recipe.base import collect_identifying_values, declare_later_key
from headrace.recipe_section import Section


class Inner(Section):
    size: int = 1


class Then(Section):
    kind: str = "a"
    inner: Inner = Inner()
    several: tuple[Inner, ...] = (Inner(),)
    named: dict[str, Inner]


class InnerNow(Section):
    size: int = 1
    depth: int = declare_later_key(7, ge=1)


class Now(Section):
    kind: str = "a"
    inner: InnerNow = InnerNow()
    several: tuple[InnerNow, ...] = (InnerNow(),)
    named: dict[str, InnerNow]
    further: InnerNow | None = declare_later_key(None)


THEN = Then(named={"x": Inner(size=2)})
NAMED = {"x": InnerNow(size=2)}


def test_keys_that_came_later_do_not_count_at_their_default() -> None:
    assert (
        collect_identifying_values(Now(named=NAMED))
        == collect_identifying_values(THEN)
        == THEN.model_dump(mode="json")
    )
    # whether they are said or not
    said = Now(named=NAMED, further=None, inner=InnerNow(depth=7))
    assert collect_identifying_values(said) == collect_identifying_values(THEN)


def test_keys_that_came_later_count_where_they_are_used() -> None:
    deeper = Now(named=NAMED, inner=InnerNow(depth=8))
    assert collect_identifying_values(deeper)["inner"] == {"size": 1, "depth": 8}
    assert collect_identifying_values(Now(named=NAMED, further=InnerNow()))["further"] == {
        "size": 1
    }
    several = Now(named=NAMED, several=(InnerNow(depth=9),))
    assert collect_identifying_values(several)["several"] == [{"size": 1, "depth": 9}]
    assert (
        collect_identifying_values(Now(named={"y": InnerNow(depth=1)}))["named"]["y"]["depth"] == 1
    )
