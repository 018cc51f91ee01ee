"""Findings as the doctor's JSON has them."""

import json

from headrace.commands.doctor.finding import report_failure, report_ok, report_warning


def test_findings_are_json_objects() -> None:
    findings = [
        report_ok("java", "17"),
        report_warning("clock", "60 s after", "set it"),
        report_failure("gpus", "none", "check the driver"),
    ]
    assert json.loads(json.dumps([finding.to_dict() for finding in findings])) == [
        {"name": "java", "state": "ok", "what": "17", "fix": ""},
        {"name": "clock", "state": "warn", "what": "60 s after", "fix": "set it"},
        {"name": "gpus", "state": "fail", "what": "none", "fix": "check the driver"},
    ]
