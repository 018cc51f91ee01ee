"""Open pages in Debian's Chromium, without a window, as somebody who follows a link does."""

import os
import shutil
import subprocess
from pathlib import Path

_SECONDS = 120


def read_page(url: str, profile: Path, budget_milliseconds: int = 20_000) -> str:
    """Return the document at an address once its scripts have run.

    Args:
        url: address of the page.
        profile: folder of the browser's profile; a new one has no settings.
        budget_milliseconds: time that the page's own clock runs on; requests are waited for.
    """
    chromium = shutil.which("chromium")
    assert chromium, "Chromium is not installed: make setup-browser"
    sandbox = ["--no-sandbox"] if os.getuid() == 0 else []
    done = subprocess.run(
        [
            chromium, "--headless", *sandbox, "--disable-gpu", "--disable-dev-shm-usage",
            "--window-size=1280,2400", f"--user-data-dir={profile}",
            f"--virtual-time-budget={budget_milliseconds}", "--dump-dom", url,
        ],
        capture_output=True, text=True, timeout=_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
