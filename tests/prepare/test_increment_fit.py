"""When an increment fits again, and what is said of new rows that are unlike the old ones."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from headrace.errors import LakeError
from headrace.lake import DatasetVersion
from tests.prepare.daily import (
    build,
    day_of,
    list_processed,
    rebuild,
    write_day,
)

pytestmark = pytest.mark.spark


def test_a_lake_that_loses_its_labels_publishes_nothing(lake: Path) -> None:
    first = build(lake, "increments.by=table")
    for day in (1, 2, 3):
        rows = day_of(day)
        write_day(lake, day, rows.set_column(4, "y", pa.nulls(rows.num_rows, pa.bool_())))
    with pytest.raises(LakeError, match=r"no row of table 'events' is left to train on, of 450"):
        build(lake, "increments.by=table")
    assert DatasetVersion.open(first.dataset.root).version == 0


def test_another_recipe_fits_again(lake: Path) -> None:
    first = build(lake)
    second = build(lake, "features.x.kind=min_max")
    assert second.why == "the recipe changed (features.x.kind)"
    assert second.dataset.build.transform_of is None
    assert second.dataset.transform_json != first.dataset.transform_json
    # what rows do not depend on is no change
    assert not build(lake, "features.x.kind=min_max", "train.epochs=3").published


@pytest.mark.long
def test_increments_may_refit_always(lake: Path) -> None:
    first = build(lake, "increments.refit=always")
    assert not build(lake, "increments.refit=always").published
    write_day(lake, 4)
    second = build(lake, "increments.refit=always")
    assert list_processed(second) == {f"day=0{n}" for n in (1, 2, 3, 4)}
    assert second.dataset.transform_json != first.dataset.transform_json


def test_the_profile_is_of_all_rows_of_a_version(lake: Path) -> None:
    build(lake)
    write_day(lake, 4)
    second = build(lake).dataset
    whole = rebuild(lake, second)
    assert second.profile.distributions == whole.profile.distributions
    assert second.profile.columns == whole.profile.columns
    x = next(d for d in second.build_profile.distributions if d.name == "x")
    assert sum(map(sum, x.counts.values())) == 147


def test_drift_of_new_rows_is_found_and_what_is_done_about_it(lake: Path) -> None:
    first = build(lake)
    write_day(lake, 4)
    same = build(lake)
    names = {"x", "height", "place", "label", "x is missing", "height is missing"}
    assert {d.name for d in same.dataset.build.drift} == names
    assert not [d for d in same.dataset.build.drift if d.has_drifted]
    moved = day_of(5, rows=400)
    moved = moved.set_column(2, "x", pc.add(moved["x"], 40.0))
    moved = moved.set_column(3, "place", pa.array(["elsewhere"] * 400))
    write_day(lake, 5, moved)
    with pytest.raises(LakeError, match=r"x: population stability index \d") as caught:
        build(lake, "increments.on_drift=fail")
    assert "place: rise of the share of unknown values" in str(caught.value)
    assert "fit again with --refit" in str(caught.value)
    assert DatasetVersion.open(first.dataset.root).version == same.dataset.version
    warned = build(lake)
    far = {(d.name, d.measure) for d in warned.dataset.build.drift if d.has_drifted}
    assert {("x", "psi"), ("place", "l_infinity"), ("place", "unknown_share")} <= far
    assert "label" not in {name for name, _ in far}
    assert "above their limits" in warned.dataset.read_text("report.html")
    assert warned.dataset.transform_json == first.dataset.transform_json
    write_day(lake, 5, moved, file="again")
    refitted = build(lake, "increments.on_drift=refit")
    assert refitted.why.startswith("rows drifted (")
    assert refitted.dataset.build.transform_of is None
    assert "elsewhere" in refitted.dataset.transform_json
    assert not refitted.dataset.build.is_partial
    left = {
        str(p.relative_to(first.dataset.root))
        for p in Path(first.dataset.root).glob(f"split=*/part-{refitted.dataset.build.build_id}-*")
    }
    assert left == {f.path for f in refitted.dataset.build.files}


def test_classes_that_the_transform_does_not_know_are_drift(lake: Path) -> None:
    classes = (
        "label={expression: \"coalesce(place, 'none')\", kind: classes}",
        "features={x: {kind: standardize}}",
    )
    build(lake, *classes)
    new = day_of(4, rows=100)
    place = pa.array(["elsewhere"] * 40 + new["place"].to_pylist()[40:])
    write_day(lake, 4, new.set_column(3, "place", place))
    second = build(lake, *classes).dataset.build
    left_out = second.processed_ledger.filtered["label class is not in the train split"]
    assert left_out == 37  # of the 40, three are out by the rule
    drift = next(d for d in second.drift if (d.name, d.measure) == ("label", "unknown_share"))
    assert (drift.has_drifted, drift.rows) == (True, 97)
    assert drift.value == pytest.approx(37 / 97)
