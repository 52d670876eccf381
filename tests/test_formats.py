"""JUnit and Markdown: every gate is told, failures as such, and whatever a name holds the form stays whole."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as Xml

import pytest

from compress.judging import verdict
from compress.judging.verdict import BoundRecord, RunVerdict
from compress.reporting import formats
from small_verdict import gate, small

COUNTED = {"value": 2e6, "lower": 2e6, "upper": 2e6, "unit": "bytes", "method": "counted", "subset": "model"}


def run(*gates: dict[str, Any], name: str = "small", **changes: Any) -> RunVerdict:
    return verdict.gathered(name, [small(*gates, **changes)])


def group(label: str, metric: str = "psnr_db", **changes: Any) -> dict[str, Any]:
    plain = {"subset": "rendered", "category": "skin", "label": label, "n": 30, "judged": True, "metric": metric}
    return plain | {"value": 21.5, "lower": 21.0, "upper": 22.0, "gap": 0.25} | changes


def test_junit_has_a_suite_for_each_tier_and_a_case_for_each_gate() -> None:
    both = verdict.gathered("small", [small(gate(), gate("ssim_mean")), small(gate(), tier="npu")])
    root = Xml.fromstring(formats.junit(both))
    assert (root.tag, root.get("name"), root.get("tests"), root.get("failures")) == ("testsuites", "small", "3", "0")
    assert [(suite.get("name"), suite.get("tests")) for suite in root] == [("small.cpu", "2"), ("small.npu", "1")]
    cases = [(case.get("classname"), case.get("name")) for case in root.iter("testcase")]
    assert cases[1] == ("small.cpu.rendered", "ssim_mean")
    assert len(set(cases)) == 3


def test_junit_tells_what_missed_and_by_how_much() -> None:
    root = Xml.fromstring(formats.junit(run(gate(), gate("ssim_mean", "failed"), gate("ssim_p5", "undecided"))))
    failures = {case.get("name"): case.find("failure") for case in root.iter("testcase")}
    assert failures["psnr_mean_db"] is None
    assert root.get("failures") == root[0].get("failures") == "2"
    failed, undecided = failures["ssim_mean"], failures["ssim_p5"]
    assert failed is not None and undecided is not None
    assert failed.get("message") == "18 dB (17 to 19), asked for ≥ 20: 18 is below 20"
    assert (failed.get("type"), undecided.get("type")) == ("failed", "undecided")
    assert "80 samples, 80 independent; bootstrap, 95% interval" in str(failed.text)


def test_junit_skips_what_was_left_out() -> None:
    root = Xml.fromstring(formats.junit(run(left_out=["latency_ms"])))
    (case,) = root.findall("testsuite/testcase[skipped]")
    assert case.get("name") == "latency_ms"
    assert (root.get("tests"), root.get("skipped")) == ("2", "1")


def test_junit_skips_a_part_that_was_not_judged() -> None:
    root = Xml.fromstring(formats.junit(run(not_judged={"photographs": "25 images, needs 30"})))
    (case,) = root.findall("testsuite/testcase[skipped]")
    skipped = case.find("skipped")
    assert (case.get("classname"), case.get("name")) == ("small.cpu", "photographs")
    assert skipped is not None and skipped.get("message") == "not judged: 25 images, needs 30"
    assert (root.get("tests"), root.get("skipped"), root.get("failures")) == ("2", "1", "0")


@pytest.mark.parametrize("name", ["a<b>&\"'", "null\x00bell\x07", "🙂 Ünï", "a]]>b", "\ufffe"])
def test_junit_is_xml_whatever_a_name_holds(name: str) -> None:
    root = Xml.fromstring(formats.junit(run(gate(state="failed", detail=name), name=name)))
    expected = "".join(c if c.isprintable() and c != "\ufffe" else "\N{REPLACEMENT CHARACTER}" for c in name)
    assert root.get("name") == expected
    failure = root.find(".//failure")
    assert failure is not None and str(failure.get("message")).endswith(expected)


def test_forms_are_the_same_for_the_same_verdict() -> None:
    one = run(gate(state="failed"), groups=[group("dark")])
    assert formats.junit(one) == formats.junit(one.model_copy(deep=True))
    assert formats.markdown(one) == formats.markdown(one.model_copy(deep=True))


def test_markdown_begins_with_the_verdict_in_one_line() -> None:
    bad = small(gate(), gate("ssim_mean", "undecided"), gate("macs", "failed"), tier="npu")
    first = formats.markdown(verdict.gathered("small", [small(), bad])).splitlines()[0]
    assert first == "## ❌ small: cpu passed 1 of 1 gates, npu failed 1 and undecided 1 of 3 gates"


def test_headline_says_once_what_was_not_judged() -> None:
    few = {"photographs": "25 images, needs 30"}
    tiers = [small(not_judged=few), small(tier="npu", not_judged=few)]
    told = "cpu passed 1 of 1 gates, npu passed 1 of 1 gates; not judged: photographs (25 images, needs 30)"
    assert formats.headline(verdict.gathered("small", tiers)) == f"✅ small: {told}"


def test_markdown_shows_failed_gates_first() -> None:
    lines = formats.markdown(run(gate(), gate("ssim_p5", "undecided"), gate("size_bytes", "failed", **COUNTED)))
    rows = [line for line in lines.splitlines() if line.startswith(("| ❌", "| ❓", "| ✅"))]
    assert rows == [
        "| ❌ | size_bytes | model | 2000000 bytes | counted | ≥ 20 | 18 is below 20 |",
        "| ❓ | ssim_p5 | rendered | 20.5 dB | 19.5 to 21.5 | ≥ 20 | undecided: needs about 60 more images |",
        "| ✅ | psnr_mean_db | rendered | 21 dB | 20 to 22 | ≥ 20 |  |",
    ]


def test_markdown_has_a_row_for_each_group() -> None:
    small_one = group("light", "", n=3, judged=False, value=None, lower=None, upper=None, gap=None)
    groups = [group("dark"), group("dark", "perceptual", value=0.2, gap=0.01), group("medium"), small_one]
    text = formats.markdown(run(groups=groups))
    assert "| group | on | images | psnr_db (gap) | perceptual (gap) |" in text
    assert "| skin dark | rendered | 30 | 21.5 (0.25) | 0.2 (0.01) |" in text
    assert "| skin medium | rendered | 30 | 21.5 (0.25) |  |" in text
    assert "Groups not judged, too few images in them or beside them: skin light (3 rendered)." in text


def test_markdown_names_what_was_not_judged_and_the_report() -> None:
    text = formats.markdown(run(left_out=["macs"], not_judged={"photographs": "6 images, needs 30"}), "page.html")
    assert "Left out on the command line, so not judged: macs." in text
    assert "Not judged: photographs (6 images, needs 30)." in text
    assert "`page.html`" in text


def test_markdown_table_survives_bars_and_line_breaks() -> None:
    (row,) = [
        line for line in formats.markdown(run(gate(state="failed", detail="a|b\nc"))).splitlines() if "❌ |" in line
    ]
    assert row.endswith("| a\\|b c |")


@pytest.mark.parametrize(
    ("sides", "text"),
    [({"min": 20.0}, "≥ 20"), ({"max": 4e5}, "≤ 400000"), ({"min": 0.9, "max": 1.1}, "≥ 0.9 and ≤ 1.1")],
)
def test_bound_is_told_for_people(sides: dict[str, float], text: str) -> None:
    assert formats.bound(BoundRecord(**sides)) == text
