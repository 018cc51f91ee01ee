"""The Spark stages and the Spark launcher on older pysparks, each in a second environment."""

import subprocess

import pytest

from tests.e2e.running import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.long]


@pytest.mark.parametrize("release", ["3.5", "4.0"])
def test_the_stages_and_the_launcher(release: str) -> None:
    done = subprocess.run(
        [ROOT / "scripts/test-spark.sh", release],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert f"pyspark {release}." in done.stdout
