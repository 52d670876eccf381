"""Verdicts in the forms that build servers read: JUnit XML for their test pages, Markdown for their job summaries.

The same verdict always gives the same text: no times, no paths of a machine. The page is `reporting.page`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from xml.etree import ElementTree as Xml

from compress.judging.verdict import BoundRecord, GateRecord, GroupRecord, IntervalRecord, RunVerdict, Verdict

MARKS = {"passed": "✅", "failed": "❌", "undecided": "❓"}
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MARKUP = re.compile(r"([\\`*\[\]<>|~])")


def junit(run: RunVerdict) -> str:
    """JUnit XML: a suite for each tier, a case for each gate on each part of the test set.

    An undecided gate is a failure of type `undecided`; gates that were left out, and parts of the test set that were
    not judged, are skipped cases. Source: the schema that Jenkins, GitLab and GitHub's readers share (testsuites,
    testsuite, testcase, failure, skipped).
    """
    root = Xml.Element("testsuites", name=_printable(run.name))
    for tier in run.tiers.values():
        suite = Xml.SubElement(root, "testsuite", name=_printable(f"{run.name}.{tier.tier}"))
        for gate in tier.gates:
            _case(suite, _printable(f"{run.name}.{tier.tier}.{gate.subset}"), gate)
        skipped = dict.fromkeys(tier.left_out, "left out on the command line (--without)")
        skipped |= {part: f"not judged: {reason}" for part, reason in tier.not_judged.items()}
        for name, message in skipped.items():
            class_name = _printable(f"{run.name}.{tier.tier}")
            case = Xml.SubElement(suite, "testcase", classname=class_name, name=_printable(name))
            Xml.SubElement(case, "skipped", message=_printable(message))
        _count(suite, [suite])
    _count(root, list(root))
    Xml.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{Xml.tostring(root, encoding="unicode")}\n'


def _case(suite: Xml.Element, class_name: str, gate: GateRecord) -> None:
    case = Xml.SubElement(suite, "testcase", classname=class_name, name=gate.name)
    value = f"{number(gate.value)} {gate.unit}".rstrip()
    story = f"{gate.meaning}: {value} ({interval(gate)}), asked for {bound(gate.bound)}"
    basis = f"{gate.n} samples, {gate.clusters} independent; {gate.method}, {gate.confidence:.0%} interval"
    if gate.passed:
        Xml.SubElement(case, "system-out").text = _printable(f"{story}\n{basis}")
        return
    message = _printable(f"{value} ({interval(gate)}), asked for {bound(gate.bound)}: {gate.detail}")
    Xml.SubElement(case, "failure", type=gate.state, message=message).text = _printable(f"{story}\n{basis}")


def _count(element: Xml.Element, suites: Sequence[Xml.Element]) -> None:
    for kind, path in (("tests", "testcase"), ("failures", "testcase/failure"), ("skipped", "testcase/skipped")):
        element.set(kind, str(sum(len(suite.findall(path)) for suite in suites)))
    element.set("errors", "0")


def _printable(text: str) -> str:
    """Without the characters that XML 1.0 has no way to write. Source: XML 1.0, production 2 (Char)."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def markdown(run: RunVerdict, report: str = "report.html") -> str:
    """A summary for a job's page: one line of verdict, gates (failed ones first), groups, what was not judged.

    `report` is the name of the page that the reader finds among the job's files.
    """
    lines = [f"## {headline(run)}", ""]
    for tier in run.tiers.values():
        lines += [*_tier(tier), ""]
    lines.append(f"Pictures, worst cases first, and all numbers: `{report}` among the files of this job.")
    return "\n".join(lines) + "\n"


def headline(run: RunVerdict) -> str:
    """The verdict in one line: `❌ quickstart: cpu failed 2 of 13 gates, npu passed 13 of 13 gates`.

    It ends with what no tier, or not every tier, was judged on: `; not judged: photographs (25 images, needs 30)`.
    """
    states = [tier.state for tier in run.tiers.values()]
    worst = next(state for state in ("failed", "undecided", "passed") if state in states)
    tiers = ", ".join(f"{escape(name)} {told(tier)}" for name, tier in run.tiers.items())
    parts = dict.fromkeys(f"{part} ({why})" for tier in run.tiers.values() for part, why in tier.not_judged.items())
    missing = f"; not judged: {escape(', '.join(parts))}" if parts else ""
    return f"{MARKS[worst]} {escape(run.name)}: {tiers}{missing}"


def told(tier: Verdict) -> str:
    """How many gates say what: `failed 2 and undecided 1 of 13 gates`."""
    states: list[str] = [gate.state for gate in tier.gates]
    named = ["passed"] if tier.passed else [state for state in ("failed", "undecided") if state in states]
    return " and ".join(f"{state} {states.count(state)}" for state in named) + f" of {len(states)} gates"


def _tier(tier: Verdict) -> Iterator[str]:
    images = " and ".join(f"{n} {part}" for part, n in tier.images.items() if n)
    file = f"{escape(tier.candidate.file)} ({tier.candidate.size_bytes / 1e3:.4g} kB, {tier.candidate.sha256[:8]})"
    yield from (f"### {MARKS[tier.state]} {escape(tier.tier)}", "")
    yield from (f"{file} against the teacher {escape(tier.teacher.name)}, {images}, seed {tier.seed}.", "")
    yield "| | gate | on | value | interval | asked for | |"
    yield "|---|---|---|---:|---|---|---|"
    for gate in [*tier.missed(), *(gate for gate in tier.gates if gate.passed)]:
        value = f"{number(gate.value)} {gate.unit}".rstrip()
        cells = (MARKS[gate.state], gate.name, gate.subset, value, interval(gate), bound(gate.bound), gate.detail)
        yield _row(cells)
    yield from _groups(tier.groups)
    if tier.left_out:
        yield from ("", f"Left out on the command line, so not judged: {', '.join(tier.left_out)}.")
    for part, reason in tier.not_judged.items():
        yield from ("", f"Not judged: {escape(part)} ({escape(reason)}).")


def _groups(groups: Sequence[GroupRecord]) -> Iterator[str]:
    """A row for each group, its mean and gap by metric; groups that were too small to judge in one line."""
    judged = [group for group in groups if group.judged]
    metrics = list(dict.fromkeys(group.metric for group in judged))
    cells: dict[tuple[str, str, str, int], dict[str, str]] = {}
    for group in judged:
        if group.value is not None and group.gap is not None:
            row = cells.setdefault((group.subset, group.category, group.label, group.n), {})
            row[group.metric] = f"{number(group.value)} ({number(group.gap)})"
    if cells:
        heading = ["group", "on", "images", *(f"{metric} (gap)" for metric in metrics)]
        yield from ("", _row(heading), "|---|---|---:|" + "---:|" * len(metrics))
    for (subset, category, label, n), row in cells.items():
        yield _row([f"{category} {label}", subset, str(n), *(row.get(metric, "") for metric in metrics)])
    small = [f"{group.category} {group.label} ({group.n} {group.subset})" for group in groups if not group.judged]
    if small:
        yield from ("", f"Groups not judged, too few images in them or beside them: {escape(', '.join(small))}.")


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(escape(cell) for cell in cells) + " |"


def interval(record: IntervalRecord) -> str:
    """`27.9 to 28.5`, or `counted` for a number that was not sampled."""
    return "counted" if record.lower == record.upper else f"{number(record.lower)} to {number(record.upper)}"


def bound(asked: BoundRecord) -> str:
    """`≥ 26`, `≤ 0.25`, or both."""
    sides = [(sign, limit) for sign, limit in (("≥", asked.min), ("≤", asked.max)) if limit is not None]
    return " and ".join(f"{sign} {number(limit)}" for sign, limit in sides)


def number(value: float) -> str:
    """Four digits, whole numbers for large ones: bytes and MACs read badly with exponents."""
    return f"{value:.0f}" if abs(value) >= 1e4 else f"{value:.4g}"


def escape(text: str) -> str:
    """Text that Markdown shows as it is, in one line."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))
