"""Do the time zones of schedules exist? Asked where the rules of time zones are known, which is not in the core."""

from headrace.core.authoring.findings import Findings, did_you_mean
from headrace.core.definition import Definition, ScheduleTrigger
from headrace.core.errors import Problem
from headrace.core.schedule import Zones


def check_zones(definition: Definition, zones: Zones) -> tuple[Problem, ...]:
    """A problem for each schedule whose time zone `zones` does not know."""
    findings = Findings()
    for node in definition.triggers:
        config = node.config
        if isinstance(config, ScheduleTrigger) and zones(config.timezone) is None:
            message = f'There is no time zone "{config.timezone[:80]}".'
            hint = did_you_mean(config.timezone, _KNOWN) or "Write an IANA name, such as Europe/Berlin or UTC."
            findings.error(f"{node.pointer}/config/timezone", "unknown-time-zone", message, hint)
    return findings.result()


_KNOWN = (
    "UTC", "Europe/London", "Europe/Berlin", "Europe/Paris", "America/New_York", "America/Chicago",
    "America/Los_Angeles", "America/Sao_Paulo", "Asia/Tokyo", "Asia/Kolkata", "Asia/Jerusalem", "Australia/Sydney",
)  # fmt: skip
"""Names to guess from what was meant; the zones themselves are known elsewhere."""
