"""Lists the differences that were found, of whichever process."""


def pytest_terminal_summary(terminalreporter):
    reports = (report for kind in ("passed", "failed") for report in terminalreporter.getreports(kind))
    lines = [value for report in reports for name, value in report.user_properties if name == "parity"]
    if lines:
        terminalreporter.section("largest differences")
    for line in sorted(lines):
        terminalreporter.write_line(line)
