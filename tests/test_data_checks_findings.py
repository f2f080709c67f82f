"""The report: order, counts, severities and JSON."""

import json

import pytest

from kerasfast.data.checks.findings import (
    KINDS,
    SEVERITIES,
    ClassCounts,
    Findings,
    Item,
    Report,
    add_shared,
    count_classes,
)
from kerasfast.data.checks.throughput import Throughput


def report(*codes, **fields):
    findings = Findings()
    for code in codes:
        findings.add(code, f"train/{code}", "so")
    return Report({"videos": 3}, findings.sorted(), **{"class_counts": ()} | fields)


def test_cases_of_a_kind_are_one_finding():
    found = report("rotated", "short", "missing", "short")
    assert [(finding.severity, finding.code, len(finding.items)) for finding in found.findings] == [
        ("error", "missing", 1),
        ("warning", "short", 2),
        ("note", "rotated", 1),
    ]
    assert found.findings[1].items == (Item("train/short", "so"),) * 2
    assert [found.count(severity) for severity in SEVERITIES] == [1, 2, 1]


@pytest.mark.parametrize(
    ("codes", "passed", "strict"), [(("missing",), False, False), (("short",), True, False), (("rotated",), True, True)]
)
def test_errors_fail_and_warnings_where_they_are_told_to(codes, passed, strict):
    assert report(*codes).passed() == passed
    assert report(*codes).passed(strict=True) == strict


def test_an_unknown_code_is_a_mistake():
    findings = Findings()
    with pytest.raises(ValueError, match=r"code must be one of KINDS\. Received: 'shrot'"):
        findings.add("shrot", "train/a")


def test_kinds_say_what_to_think():
    assert {severity for severity, _ in KINDS.values()} == set(SEVERITIES)
    assert all(message.endswith(".") and message[0].isupper() for _, message in KINDS.values())


def test_json_is_complete():
    counts = ClassCounts("train", "action", ("run", "jump"), (3, 0))
    throughput = Throughput(10.0, 20.0, 9.0, "net", 8, 1.0, 2, False, 224, 256, 320, 2, 2)
    values = report(*["missing"] * 50, class_counts=(counts,)).with_throughput(throughput).to_dict()
    values = json.loads(json.dumps(values))
    assert values["checked"] == {"videos": 3}
    assert values["counts"] == {"error": 50, "warning": 1, "note": 0}
    assert [finding["code"] for finding in values["findings"]] == ["missing", "input_bound"]
    assert values["findings"][0]["count"] == len(values["findings"][0]["items"]) == 50
    assert values["findings"][0]["items"][0] == {"subject": "train/missing", "detail": "so"}
    assert values["class_counts"] == [
        {
            "split": "train",
            "head": "action",
            "classes": [{"class": "run", "videos": 3}, {"class": "jump", "videos": 0}],
        }
    ]
    assert values["throughput"]["ratio"] == 0.5
    assert values["throughput"]["input_bound"] is True


def test_only_what_training_and_test_share_counts():
    splits = {
        "train": (True, {"S1": ["a", "b", "c", "d", "e"], "S2": ["f"]}),
        "train_small": (True, {"S1": ["a"]}),
        "test": (False, {"S1": ["x"], "S3": ["y"]}),
        "novel": (False, {"S3": ["z"]}),
    }
    findings = Findings()
    add_shared(findings, "shared_subject", splits)
    (found,) = findings.sorted()
    assert found.items == (
        Item("S1", "train/a, b, c and 2 more; test/x"),
        Item("S1", "train_small/a; test/x"),
    )


def test_classes_without_a_video():
    findings = Findings()
    counts = count_classes(
        findings, "test", {"verb": ("run", "jump"), "object": ("ball",)}, {"verb": [0, 2], "object": [1]}
    )
    assert counts == [
        ClassCounts("test", "verb", ("run", "jump"), (0, 2)),
        ClassCounts("test", "object", ("ball",), (1,)),
    ]
    (found,) = findings.sorted()
    assert (found.code, found.items) == ("no_positive", (Item("test/verb", "run"),))
