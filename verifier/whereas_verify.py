#!/usr/bin/env python3
"""Verifies receipts, reports and exports of a whereas ledger, independently of the ledger's software.

    python3 whereas_verify.py receipt FILE --key VKEY [--event FILE --disclosures FILE] [--json]
    python3 whereas_verify.py report  FILE --key VKEY [--checkpoint FILE ...] [--json]
    python3 whereas_verify.py export  FILE --key VKEY [--checkpoint FILE ...] [--json]

Exit codes: 0 verified, 1 refused, 2 something could not be read (a file, a key, openssl).
See README.md beside this file.
"""

import argparse
import json
import os
import sys
from typing import Any, List, Optional

from whereas_verifier.basics import producer_time
from whereas_verifier.export import verify_export
from whereas_verifier.keys import ToolError, VerifierKey
from whereas_verifier.policy import Policy
from whereas_verifier.problems import Result
from whereas_verifier.receipts import verify_receipt
from whereas_verifier.report import MAX_FILE, verify_report
from whereas_verifier.strict_json import FILE_LIMITS, JsonError, read_json
from whereas_verifier.trust import Brought

VERIFIED, REFUSED, UNREADABLE = 0, 1, 2


def main(arguments: Optional[List[str]] = None) -> int:
    options = parse_arguments(arguments)
    if options.what == "batch":
        return batch(sys.stdin, sys.stdout)
    try:
        brought = what_is_brought(options.policy, options.bridges, options.compromised)
        pinned = all_pinned(options.key, brought)
        if options.what == "export":
            outside = [read_file(path) for path in options.checkpoint]
            result = check_export(options.file, pinned, outside, brought)
        elif options.what == "report":
            outside = [read_file(path) for path in options.checkpoint]
            result = verify_report(read_file(options.file), pinned, outside, brought)
        else:
            event = read_file(options.event) if options.event else None
            disclosures = read_disclosures(options.disclosures) if options.disclosures else []
            receipt = read_file(options.file)
            result = verify_receipt(receipt, pinned, event, disclosures, options.source, brought)
    except ToolError as error:
        print(error, file=sys.stderr)
        return UNREADABLE
    except OSError as error:  # of the temporary files
        print("The check could not be carried out: %s." % error, file=sys.stderr)
        return UNREADABLE
    print(as_json(result) if options.json else as_words(options.file, result))
    return VERIFIED if result.accepted else REFUSED


def parse_arguments(arguments: Optional[List[str]]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Verifies receipts, reports and exports of a whereas ledger.",
        epilog="Exit codes: 0 verified, 1 refused, 2 something could not be read.",
    )
    kinds = parser.add_subparsers(dest="what", required=True, metavar="receipt|report|export")
    receipt = kinds.add_parser("receipt", help="an entry's receipt")
    receipt.add_argument("--event", help="the event as it was posted, to compare with the entry")
    receipt.add_argument("--disclosures", help="the entry's disclosures: a JSON list")
    receipt.add_argument("--source", help="the source of an event that does not name its own")
    report = kinds.add_parser("report", help="a report file")
    export = kinds.add_parser("export", help="an export of a ledger, or of a part of it")
    for with_checkpoints in (report, export):
        with_checkpoints.add_argument(
            "--checkpoint",
            action="append",
            default=[],
            help="a checkpoint that came another way than with the file; may be repeated",
        )
    kinds.add_parser("batch", help="many files: JSON lines in, results out")
    for parser_of_kind in (receipt, report, export):
        parser_of_kind.add_argument("file")
        parser_of_kind.add_argument(
            "--key",
            action="append",
            default=[],
            help="a verifier key to trust, or a file with one a line: the ledger's checkpoint key, "
            "or a witness's; may be repeated. Get it from elsewhere than the party that is being checked",
        )
        parser_of_kind.add_argument(
            "--policy", help="a tlog-policy: its keys are trusted; its quorum decides on `witnessed`"
        )
        parser_of_kind.add_argument("--json", action="store_true", help="print JSON")
    for parser_of_kind in (receipt, report):
        parser_of_kind.add_argument(
            "--bridges", help="a file of bridges, from a key that you trust to the later ones"
        )
    for parser_of_kind in (receipt, report, export):
        parser_of_kind.add_argument(
            "--compromised",
            action="append",
            default=[],
            metavar="VKEY=TIME",
            help="a key that somebody else may have held since then; may be repeated",
        )
    export.set_defaults(bridges=None)
    options = parser.parse_args(arguments)
    if options.what == "receipt" and options.disclosures and not options.event:
        parser.error("--disclosures is of use with --event only")
    if options.what != "batch" and not options.key and not options.policy:
        parser.error("--key or --policy is needed: a key to trust")
    return options


def batch(lines: Any, out: Any) -> int:
    """Checks many files: a JSON object a line in (`kind`, `file`, `keys`, and what there is of
    `checkpoints`, `policy`, `bridges`, `compromised`), a result a line out, in the same order."""
    for line in lines:
        job = json.loads(line)
        stolen = job.get("compromised", [])
        brought = what_is_brought(job.get("policy"), job.get("bridges"), stolen)
        pinned = all_pinned(job["keys"], brought)
        outside = [read_file(path) for path in job.get("checkpoints", [])]
        if job["kind"] == "export":
            result = check_export(job["file"], pinned, outside, brought)
        elif job["kind"] == "report":
            result = verify_report(read_file(job["file"]), pinned, outside, brought)
        else:
            result = verify_receipt(read_file(job["file"]), pinned, brought=brought)
        out.write(json.dumps(json.loads(as_json(result))) + "\n")
    out.flush()
    return VERIFIED


def check_export(
    path: str, pinned: List[VerifierKey], outside: List[bytes], brought: Brought
) -> Result:
    try:
        with open(path, "rb") as file:
            return verify_export(file, pinned, outside, brought)
    except OSError as error:
        raise ToolError("%s cannot be read: %s." % (path, error.strerror or error)) from None


def what_is_brought(policy: Optional[str], bridges: Optional[str], stolen: List[str]) -> Brought:
    brought = Brought()
    if policy is not None:
        try:
            brought.policy = Policy.parse(read_file(policy))
        except ValueError as error:
            raise ToolError("The policy %s cannot be used: %s." % (policy, error)) from None
    if bridges is not None:
        brought.bridges = read_file(bridges)
    found = []
    for text in stolen:
        key, _, time = text.rpartition("=")
        since = producer_time(time)
        if since is None:
            raise ToolError("`%s` is not of the form VKEY=2026-11-22T10:15:00Z." % text)
        found += [(parsed, since) for parsed in pinned_keys([key])]
    brought.stolen = found
    return brought


def all_pinned(given: List[str], brought: Brought) -> List[VerifierKey]:
    keys = pinned_keys(given)
    keys += [key for key in (brought.policy.keys if brought.policy else []) if key not in keys]
    return keys


def pinned_keys(given: List[str]) -> List[VerifierKey]:
    """Each is a key, or a file with one key a line."""
    keys: List[VerifierKey] = []
    for text in given:
        lines = [text]
        if os.path.isfile(text):
            lines = read_file(text).decode("utf-8", "replace").splitlines()
        for line in lines:
            try:
                key = VerifierKey.parse(line)
            except ValueError as error:
                raise ToolError("The key `%s` cannot be used: %s." % (line, error)) from None
            if key not in keys:
                keys.append(key)
    return keys


def read_file(path: str) -> bytes:
    """A file's bytes; of a file that is too long for any check, enough of them to see that."""
    try:
        with open(path, "rb") as file:
            return file.read(MAX_FILE + 1)
    except OSError as error:
        raise ToolError("%s cannot be read: %s." % (path, error.strerror)) from None


def read_disclosures(path: str) -> List[str]:
    """The texts of an entry's disclosures: a JSON list of strings."""
    try:
        found: Any = read_json(read_file(path), FILE_LIMITS)
    except JsonError as error:
        raise ToolError("%s is not JSON: %s." % (path, error)) from None
    if isinstance(found, list) and all(isinstance(text, str) for text in found):
        return found
    raise ToolError("%s is not a JSON list of disclosures." % path)


def as_json(result: Result) -> str:
    problems = [
        {"code": p.code, "place": p.place, "explanation": p.explanation} for p in result.problems
    ]
    output = {"accepted": result.accepted, "problems": problems, "verdicts": result.verdicts}
    return json.dumps(output, indent=2, ensure_ascii=True)


WORDS = {
    ("integrity", "intact"): "nothing was changed, and the ledger signed it",
    ("integrity", "broken"): "something does not fit; do not rely on it",
    ("integrity", "unprovable"): "a stolen key could have made it; nothing older speaks for it",
    ("sequence", "complete"): "no entry is left out of what it speaks of",
    ("sequence", "broken"): "entries of the case are left out, added or out of order",
    ("sequence", "not_established"): "whether entries are left out cannot be told",
    ("freshness", "witnessed"): "a pinned witness saw the same history",
    ("freshness", "anchored"): "a checkpoint from outside shows the same history",
    ("freshness", "contradicted"): "a checkpoint from outside shows another history",
    ("freshness", "not_proven"): "nothing from outside shows that others see the same history",
    ("sequence", "part"): "the entries of the part are linked as far as it goes",
    ("sequence", "not_checked"): "the file breaks off",
    ("content", "checked"): "the content is what was recorded",
    ("content", "by_digests"): "content was compared by digests; not all of it is shown",
    ("content", "incomplete"): "content is not there, and nothing tells that it was erased",
    ("content", "not_checked"): "there was no content to check",
    ("content", "broken"): "content is not what was recorded",
    ("index", "not_checked"): "an export has none to check",
    ("keys", "good"): "the keys that signed lead to a pinned one",
    ("keys", "not_checked"): "the file breaks off",
    ("keys", "broken"): "the keys that signed do not lead to a pinned one",
    ("event", "whole"): "the posted event is what the ledger holds",
    ("event", "differs"): "the posted event is not what the ledger holds",
    ("event", "not_checked"): "no event was compared",
}


def as_words(path: str, result: Result) -> str:
    lines = ["%s: %s" % (path, "VERIFIED" if result.accepted else "REFUSED")]
    lines += ["  " + remark for remark in result.remarks]
    for name, verdict in result.verdicts.items():
        if isinstance(verdict, dict):
            basis = " (as the report states it)" if verdict.get("basis") == "stated" else ""
            lines.append("  %s: %s%s" % (name, verdict["value"].replace("_", " "), basis))
        else:
            meaning = WORDS[(name, verdict)]
            lines.append("  %s: %s - %s" % (name, verdict.replace("_", " "), meaning))
    for problem in result.problems:
        place = " at %s" % problem.place if problem.place else ""
        lines.append("  problem %s%s: %s" % (problem.code, place, problem.explanation))
    return printable("\n".join(lines))


def printable(text: str) -> str:
    """Text from a file must not steer the terminal."""
    return "".join(c if c == "\n" or c.isprintable() else "\\u%04x" % ord(c) for c in text)


if __name__ == "__main__":
    sys.exit(main())
