#!/usr/bin/env python3
"""Writes the names of the tests into the attack tables of docs/THREATS.md.

A test stands for every row that its name carries: `attack_a03_a08_...` for A3 and A8. Names that were put in by hand stay as
long as such a test exists. Run it after tests were added or renamed; tests/structure says when that is due.
"""
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
THREATS = ROOT / "docs" / "THREATS.md"
GROUPS = "abcdefghjkls"
NONE = "none of its own yet"


def tests():
    """The names of all functions: a test is one of them."""
    names = set()
    for folder in ("src", "audit", "tests"):
        for path in (ROOT / folder).rglob("*.rs"):
            names.update(re.findall(r"^\s*(?:async )?fn ([a-z0-9_]+)\(", path.read_text(), re.MULTILINE))
    return names


def rows_of(name):
    """A3 and A8 for `attack_a03_a08_...`; a later group (`d04_c04`) is a row of the conformance table of policies."""
    found = re.search(r"(?:^|_)attack_((?:[a-z]\d+_)+)", name)
    rows = found[1].strip("_").split("_") if found else []
    return {row[0].upper() + str(int(row[1:])) for row in rows if row[0] in GROUPS and (row[0] == rows[0][0] or row[0] != "c")}


def cell(row, before, names):
    kept = [item for item in before.split(", ") if item != NONE]
    quoted = [item for item in kept if not re.fullmatch(r"`[a-z0-9_]+`", item) or item.strip("`") in names]
    own = {f"`{name}`" for name in names if row in rows_of(name)}
    texts = [item for item in quoted if not re.fullmatch(r"`[a-z0-9_]+`", item)]
    listed = sorted(own | {item for item in quoted if item not in texts})
    return ", ".join(listed + texts) or NONE


def main():
    names = tests()
    lines = []
    seen = set()
    for line in THREATS.read_text().splitlines():
        found = re.fullmatch(r"\| ([A-Z]\d+) \| (.*?) \| (.*) \|", line)
        if found:
            row, attack, before = found.groups()
            seen.add(row)
            line = f"| {row} | {attack} | {cell(row, before, names)} |"
        lines.append(line)
    THREATS.write_text("\n".join(lines) + "\n")
    for row in sorted({row for name in names for row in rows_of(name)} - seen):
        print(f"no row {row} in {THREATS.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
