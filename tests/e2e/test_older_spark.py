"""The Spark stages and the Spark launcher on pyspark 3.5, in a second environment."""

import subprocess

import pytest

from tests.e2e.running import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.long]


def test_the_stages_and_the_launcher_on_spark_3_5() -> None:
    done = subprocess.run(
        [ROOT / "scripts/test-spark35.sh"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert "pyspark 3.5." in done.stdout
