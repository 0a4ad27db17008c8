"""What the doctor finds, as a person and as a program sees it."""

from meter_agent.doctor import finding

FINDINGS = [
    finding.ok("disk", "80 MiB are free"),
    finding.warning("clock", "CLOCK_OFF", "6.0 s ahead", remedy="synchronize"),
    finding.error("token", "TOKEN_MISSING", "there is none", remedy="enroll"),
]


def test_a_person_reads_what_to_do_below_each_finding() -> None:
    assert finding.to_text(FINDINGS).splitlines() == [
        "ok       disk      80 MiB are free",
        "warning  clock     6.0 s ahead (CLOCK_OFF)",
        "                   -> synchronize",
        "error    token     there is none (TOKEN_MISSING)",
        "                   -> enroll",
        "1 errors, 1 warnings",
    ]


def test_a_program_gets_every_field_and_the_verdict() -> None:
    view = finding.to_json(FINDINGS)
    assert view["is_healthy"] is False
    assert view["findings"][2] == {
        "check": "token",
        "severity": "error",
        "reason": "TOKEN_MISSING",
        "message": "there is none",
        "remedy": "enroll",
    }
    assert finding.to_json(FINDINGS[:2])["is_healthy"] is True
