"""Look up a finding among those of a check."""

from headrace.commands.doctor.finding import Finding


def find_finding(findings: list[Finding], name: str) -> Finding:
    """Return the one finding of a name."""
    (finding,) = [finding for finding in findings if finding.name == name]
    return finding
