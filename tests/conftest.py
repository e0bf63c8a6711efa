"""Says at the end what this machine lacked; where a run is strict, a skip that nobody allowed fails it."""

from __future__ import annotations

from collections import defaultdict

import pytest

from tests.support import facilities


class Skips:
    """The skipped tests of a run, by their reason."""

    def __init__(self) -> None:
        self.by_reason: dict[str, list[str]] = defaultdict(list)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Notes one test that was skipped."""
        if report.skipped and not hasattr(report, "wasxfail"):
            self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Notes a whole file that was skipped."""
        if report.skipped:
            self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        self.by_reason[str(reason).removeprefix("Skipped: ")].append(report.nodeid)

    def forbidden(self) -> list[str]:
        """The tests that were skipped for a reason that nobody allowed; empty where the run is not strict."""
        if not facilities.named("CAMPUS_EDGE_MUST_HAVE"):
            return []
        allowed = {facilities.REASONS.get(name, "") for name in facilities.named("CAMPUS_EDGE_MAY_LACK")}
        return [test for reason, tests in self.by_reason.items() if reason not in allowed for test in tests]


_SKIPS = pytest.StashKey[Skips]()


def pytest_configure(config: pytest.Config) -> None:
    """Begins to count; a machine that lacks what was promised is told before the first test."""
    lacking = facilities.promised_and_missing()
    if lacking:
        raise pytest.UsageError(f"CAMPUS_EDGE_MUST_HAVE names what is missing here: {', '.join(lacking)}")
    config.stash[_SKIPS] = Skips()
    config.pluginmanager.register(config.stash[_SKIPS])


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fails a strict run for skips that are not allowed."""
    if session.config.stash[_SKIPS].forbidden() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """What this machine lacks, and which tests were skipped for it."""
    skips = config.stash[_SKIPS]
    missing = facilities.missing()
    terminalreporter.section("facilities of this machine")
    for name, reason in facilities.REASONS.items():
        if name not in missing:
            terminalreporter.line(f"{name}: there")
            continue
        listed = "may be" if name in facilities.named("CAMPUS_EDGE_MAY_LACK") else "is not listed"
        terminalreporter.line(f"{name}: MISSING, {listed} ({reason})")
    for reason, tests in skips.by_reason.items():
        terminalreporter.line(f"{len(tests)} tests were skipped: {reason}")
        for test in tests:
            terminalreporter.line(f"  {test}")
    for test in skips.forbidden():
        terminalreporter.line(f"skipped, and CAMPUS_EDGE_MAY_LACK does not allow it: {test}", red=True)
