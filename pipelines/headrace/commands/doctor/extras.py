"""Check which extras of the package are installed, and so which commands work on this machine."""

from headrace.commands.doctor.finding import Finding, State, report_failure, report_ok
from headrace.extras import BUILD_HOROVOD, EXTRAS, find_horovod_obstacle, list_missing_modules


def check_extras() -> list[Finding]:
    """List every extra: one that is not installed is no problem, but what it is for is refused."""
    findings = []
    for extra in EXTRAS.values():
        name = f"headrace[{extra.name}]"
        missing = list_missing_modules(extra)
        if not missing and extra.name == "horovod" and (obstacle := find_horovod_obstacle()):
            findings.append(report_failure(name, obstacle, "run: headrace install-horovod"))
        elif not missing:
            findings.append(report_ok(name, f"installed: {extra.purpose}"))
        else:
            command = BUILD_HOROVOD if extra.name == "horovod" else extra.install_command
            text = f"not installed ({', '.join(missing)}): no {extra.purpose}"
            findings.append(Finding(name, State.OK, text, f"where it is needed: {command}"))
    return findings
