#!/usr/bin/env python3
"""Verifies a raw export of a keyward audit log: a second, independent implementation of the specification.

usage: verify.py FILE --vkey FILE [--since CHECKPOINT]...
exit:  0 valid, 4 findings (one a line), 1 could not check, 2 usage

Python 3.11, standard library only. Reads the whole file; keyward-audit-verify is the one for large logs. Both give
the same verdict, line for line.
"""
import argparse
import base64
import binascii
import hashlib
import ipaddress
import json
import re
import sys

# ---- Ed25519 (RFC 8032), verification only, in extended coordinates ----

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
IDENTITY = (0, 1, 1, 0)


def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(scalar, point):
    total = IDENTITY
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point, scalar = add(point, point), scalar >> 1
    return total


def compress(point):
    inverse = pow(point[2], -1, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decompress(data):
    """The point of 32 bytes, or None: not on the curve, or not the shortest form."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x * x % P != square or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


BASE = decompress((4 * pow(5, -1, P) % P).to_bytes(32, "little"))


def small(point):
    """Whether the point's order divides 8: such keys and nonces are refused."""
    return compress(multiply(8, point)) == compress(IDENTITY)


def signature_holds(key, message, signature):
    if len(signature) != 64:
        return False
    a, r, s = decompress(key), decompress(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or small(a) or small(r) or s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    minus_a = (P - a[0], a[1], 1, P - a[3])
    return compress(add(multiply(s, BASE), multiply(k, minus_a))) == signature[:32]


# ---- hashes, tree, texts ----


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


class Tree:
    """The frontier of an RFC 6962 tree."""

    def __init__(self):
        self.size, self.roots = 0, []

    def push(self, leaf):
        bits = self.size
        while bits & 1:
            leaf, bits = sha256(b"\1", self.roots.pop(), leaf), bits >> 1
        self.roots.append(leaf)
        self.size += 1

    def root(self):
        if not self.roots:
            return sha256()
        root = self.roots[-1]
        for left in reversed(self.roots[:-1]):
            root = sha256(b"\1", left, root)
        return root


def unbase64(text):
    """The bytes of canonical base64, or None."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if base64.b64encode(data) == (text.encode() if isinstance(text, str) else text) else None


def unhex(text):
    return bytes.fromhex(text) if isinstance(text, str) and re.fullmatch("[0-9a-f]{64}", text) else None


# ---- vkeys and notes ----


class CannotCheck(Exception):
    """There is no verdict."""


class Bad(Exception):
    """A note, vkey or record is not as it has to be."""


def is_name(name):
    return name != "" and "+" not in name and not any(c.isspace() for c in name)


class Vkey:
    def __init__(self, text):
        name, _, rest = text.partition("+")
        key_id, _, encoded = rest.partition("+")
        typed = unbase64(encoded) if encoded.isascii() else None
        if not is_name(name) or not re.fullmatch("[0-9a-f]{8}", key_id) or not typed:
            raise Bad("not a vkey, or its key id is wrong")
        self.text, self.name, self.id, self.key = text, name, bytes.fromhex(key_id), typed[1:]
        if sha256(name.encode(), b"\n", typed)[:4] != self.id:
            raise Bad("not a vkey, or its key id is wrong")
        if typed[0] != 1:
            raise Bad("a key of another type than Ed25519")
        if len(self.key) != 32 or decompress(self.key) is None:
            raise Bad("not a vkey, or its key id is wrong")

    def holds(self, message, signature):
        return isinstance(signature, bytes) and signature_holds(self.key, message, signature)


class Checkpoint:
    """A note whose text is origin, size and root, with a good signature of a known key of its origin, and no bad one."""

    def __init__(self, note, keys):
        if len(note) > 65536:
            raise Bad("larger than 65,536 bytes")
        try:
            note = note.decode()
        except UnicodeDecodeError:
            raise Bad("not UTF-8, or with control characters") from None
        if any(c < " " and c != "\n" for c in note):
            raise Bad("not UTF-8, or with control characters")
        text, empty, signatures = note.rpartition("\n\n")
        lines = text.split("\n")
        if not empty or len(lines) < 3:
            raise Bad("not a checkpoint")
        if len(lines) > 3:
            raise Bad("extension lines, which keyward never writes")
        self.origin, size, root = lines
        self.root = unbase64(root) if root.isascii() else None
        if not is_name(self.origin) or not re.fullmatch("0|[1-9][0-9]{0,15}", size) or int(size) >= 2**53:
            raise Bad("not a checkpoint")
        if self.root is None or len(self.root) != 32:
            raise Bad("not a checkpoint")
        self.text, self.size = (text + "\n").encode(), int(size)
        self.signatures = [self.signature(line) for line in signatures.split("\n")[:-1]]
        if not self.signatures or not signatures.endswith("\n"):
            raise Bad("a signature line is malformed")
        self.verify({(key.name, key.id): key for key in keys})

    @staticmethod
    def signature(line):
        match = re.fullmatch("\u2014 ([^ ]+) ([^ ]+)", line)
        data = unbase64(match[2]) if match and match[2].isascii() and is_name(match[1]) else None
        if data is None or len(data) < 5:
            raise Bad("a signature line is malformed")
        return match[1], data[:4], data[4:]

    def verify(self, keys):
        seen, of_origin = set(), False
        for name, key_id, signature in self.signatures:
            if (name, key_id) not in keys:
                continue
            if (name, key_id) in seen:
                raise Bad("two signatures under one name and key id")
            if not keys[name, key_id].holds(self.text, signature):
                raise Bad("the signature does not verify")
            seen.add((name, key_id))
            of_origin |= name == self.origin
        if not of_origin:
            raise Bad("no signature by a known key of this origin")

    def signed_by(self, key):
        pairs = [s for name, key_id, s in self.signatures if (name, key_id) == (key.name, key.id)]
        return key.name == self.origin and any(key.holds(self.text, signature) for signature in pairs)


# ---- one record ----

KINDS = ("access clock_step hold key_rotation loss outcome policy_change prune purge seal summary system "
         "unauthenticated").split()
REQUIRED = ["action", "door", "epoch", "index", "kind", "request", "time", "version"]


def is_text(value):
    return isinstance(value, str)


def is_integer(value):
    return isinstance(value, int) and not isinstance(value, bool)


def texts(value):
    return isinstance(value, list) and all(is_text(v) for v in value)


def some_texts(value):
    """A list that is left out when it is empty."""
    return texts(value) and value != []


def members(required="", **shapes):
    """An object of members of these shapes, with all that are required."""
    def check(value):
        return (isinstance(value, dict) and all(k in shapes and shapes[k](v) for k, v in value.items())
                and all(name in value for name in required.split()))
    return check


def one_of(*words):
    return lambda value: is_text(value) and value in words


def some(value):
    return is_text(value) and value != ""


def is_small(value):
    return is_integer(value) and value < 2**32


def is_address(value):
    """The one text that there is for an address; IPv4 never within IPv6."""
    try:
        address = ipaddress.ip_address(value) if is_text(value) and "%" not in value else None
    except ValueError:
        return False
    return address is not None and str(address) == value and getattr(address, "ipv4_mapped", None) is None


def is_credential(value):
    shape = members(access_key=is_text, expires=is_integer, hash=is_text, issued=is_integer, jti=is_text, kid=is_text)
    forms = "expires issued jti", "expires hash issued", "access_key issued", "access_key expires issued"
    names = " ".join(sorted(value)) if shape(value) else ""
    return names in forms or names in [form + " kid" for form in forms[:2]]


FIELDS = dict.fromkeys(
    "assumed_by certificate issuer personal principal reason resource secret_version session session_policy "
    "value".split(), is_text)
LAYER = members(
    "effect layer", document=is_text, effect=one_of("allow", "deny"),
    layer=one_of("identity", "boundary", "session", "trust"), statement=is_small)
FIELDS |= {
    "action": some,
    "answers": is_integer,
    "context": members(
        "conditions", conditions=lambda v: isinstance(v, dict) and all(texts(each) for each in v.values()),
        groups=some_texts, roles=some_texts,
        unknown=lambda v: some_texts(v) and all(each in ("creator", "tags") for each in v)),
    "credential": is_credential,
    "decision": one_of("allow", "deny", "error"),
    "door": some,
    "epoch": is_small,
    "index": is_integer,
    "kind": one_of(*KINDS),
    "outcome": one_of("ok", "denied", "failed", "pending", "unknown"),
    "parameters": lambda value: isinstance(value, dict) and value != {},
    "policy": members(
        "layers revision semantics",
        layers=lambda v: isinstance(v, list) and all(LAYER(each) for each in v),
        revision=is_text, semantics=is_small,
        shadow=members("decision revision", decision=one_of("allow", "deny", "error"), revision=is_text)),
    "request": lambda v: is_text(v) and re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", v) is not None,
    "source_ip": is_address,
    "time": is_integer,
    "user_agent": lambda value: is_text(value) and len(value.encode()) <= 128,
    "version": lambda value: is_integer(value) and value == 1,
}


def refuse(*_):
    raise ValueError


def no_doubles(pairs):
    if len({key for key, _ in pairs}) != len(pairs) or not all(key.isascii() for key, _ in pairs):
        raise ValueError
    return dict(pairs)


def plain(value, depth=1):
    """No null, no integer out of range, not nested too deep."""
    if isinstance(value, (dict, list)):
        return depth <= 32 and all(plain(v, depth + 1) for v in (value.values() if isinstance(value, dict) else value))
    return isinstance(value, (str, bool)) or 0 <= value < 2**53 if value is not None else False


def parse_record(line):
    """The record of a line's bytes, canonical and of schema version 1."""
    if len(line) > 8192:
        raise Bad("larger than 8,192 bytes")
    try:
        record = json.loads(line.decode(), object_pairs_hook=no_doubles, parse_float=refuse, parse_constant=refuse)
        again = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise Bad("not in canonical form") from None
    if again != line or not isinstance(record, dict) or not plain(record):
        raise Bad("not in canonical form")
    for name, value in record.items():
        if name not in FIELDS:
            raise Bad(f"unknown field `{name}`" if re.fullmatch("[a-z_]{1,32}", name) else "unknown field")
        if not FIELDS[name](value):
            raise Bad(f"field `{name}` has a wrong type or value")
    for name in REQUIRED:
        if name not in record:
            raise Bad(f"field `{name}` is missing")
    for name, wanted in ("answers", record["kind"] == "outcome"), ("outcome", record["kind"] != "seal"):
        if wanted and name not in record:
            raise Bad(f"field `{name}` is missing")
        if not wanted and name in record:
            raise Bad(f"field `{name}` does not belong to this kind")
    return record


# ---- the rules between records ----


def event_id(record):
    item = record.get("parameters", {}).get("item")
    return record["request"], record["kind"], item if is_integer(item) else None


def is_remembered(event):
    """Whether an event is looked for among all records of its request, as the other verifier does it."""
    return event[1] in ("access", "outcome") and (event[2] is None or event[2] < 127)


class Walk:
    """Checks records in order; `keys` says which checkpoint has to bear which keys."""

    def __init__(self, first_origin, checkpoints):
        self.tree, self.chain = Tree(), sha256(b"keyward-audit-chain/v1\n", first_origin.encode(), b"\n")
        self.answerable, self.last, self.sealed, self.counts, self.events = [], None, None, {}, {}
        self.key, self.checkpoints, self.wanted = None, checkpoints, [[] for _ in checkpoints]

    def step(self, line, leaf):
        record = parse_record(line)
        index, kind, last, request = self.tree.size, record["kind"], self.last, record["request"]
        if record["index"] != index:
            raise Bad(f"`index` is {record['index']}")
        epoch = last["epoch"] if last else 1
        if record["epoch"] < epoch:
            raise Bad("`epoch` falls")
        if record["epoch"] > epoch and kind != "loss":
            raise Bad("`epoch` is raised without a loss")
        if record["epoch"] == epoch and kind == "loss":
            raise Bad("`epoch` is not raised by a loss")
        if record["epoch"] > epoch + 1:
            raise Bad("`epoch` is raised by more than one")
        if last and record["time"] < last["time"] and kind != "clock_step":
            raise Bad("`time` falls without a clock step")
        # Like the other verifier: of the requests with the same last 16 bits, only the newest is remembered.
        event, (newest, newest_index, seen) = event_id(record), self.events.get(request[-4:], (None, None, set()))
        if newest == event:
            raise Bad(f"same event id as record {newest_index}")
        if event in seen:
            raise Bad("same event id as an earlier record of its request")
        if kind == "outcome" and record["answers"] >= index:
            raise Bad("`answers` does not point backwards")
        if kind == "outcome" and self.answerable[record["answers"]][0] != request:
            raise Bad("`answers` names a record of another request")
        if kind == "outcome" and self.answerable[record["answers"]][1] != record["action"]:
            raise Bad("`answers` names a record of another action")
        getattr(self, kind, lambda *_: None)(record, record.get("parameters", {}))
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if kind == "seal":
            self.sealed, self.counts = index, {}
        seen = seen if newest and newest[0] == request else set()
        self.events[request[-4:]] = event, index, seen | {event} if is_remembered(event) else seen
        self.answerable.append((request, record["action"]))
        self.last = record
        self.chain = sha256(b"\2", self.chain, leaf)
        self.tree.push(leaf)

    def clock_step(self, record, parameters):
        if not is_integer(parameters.get("after")) or parameters["after"] != record["time"]:
            raise Bad("clock_step: `after` is not its time")

    def seal(self, record, parameters):
        same = lambda name, value: json.dumps(parameters.get(name)) == json.dumps(value)
        if not same("size", self.tree.size):
            raise Bad("seal: the size is not its index")
        if "previous" in parameters and parameters["previous"] is None or not same("previous", self.sealed):
            raise Bad("seal: the seal before is another")
        if not same("counts", dict(sorted(self.counts.items()))):
            raise Bad("seal: the counts differ")
        if not same("root", self.tree.root().hex()):
            raise Bad("seal: the root differs")
        if not same("chain", self.chain.hex()):
            raise Bad("seal: the chain differs")

    def key_rotation(self, record, parameters):
        old, new = self.vkeys("key_rotation", parameters)
        if old.name != new.name or old.text == new.text:
            raise Bad("key_rotation: malformed")
        lines = ["keyward-key-rotation/v1", old.name, old.text, new.text, record["index"]]
        self.signed("key_rotation", "old", old, lines, parameters)
        self.signed("key_rotation", "new", new, lines, parameters)
        self.change("key_rotation", old, new, record["index"])

    def loss(self, record, parameters):
        origins = [parameters.get("old_origin"), parameters.get("new_origin")]
        old, new = self.vkeys("loss", parameters)
        if [old.name, new.name] != origins or old.name == new.name:
            raise Bad("loss: malformed")
        lost = self.head(parameters["lost"]) if "lost" in parameters else None
        recovered = self.head(parameters.get("recovered"))
        if recovered != (self.tree.size, self.tree.root(), self.chain):
            raise Bad("loss: the recovered head is another")
        lines = ["keyward-audit-loss/v1", *origins, old.text, new.text, record["index"]]
        lines += [lost[0], base64.b64encode(lost[1]).decode()] if lost else ["-", "-"]
        lines += [recovered[0], base64.b64encode(recovered[1]).decode()]
        self.signed("loss", "new", new, lines, parameters)
        if "old_signature" in parameters:
            self.signed("loss", "old", old, lines, parameters)
        self.change("loss", old, new, record["index"])

    @staticmethod
    def vkeys(kind, parameters):
        try:
            return Vkey(parameters["old_vkey"]), Vkey(parameters["new_vkey"])
        except (Bad, KeyError, AttributeError):
            raise Bad(f"{kind}: malformed") from None

    @staticmethod
    def head(value):
        head = value if isinstance(value, dict) else {}
        size, root, chain = head.get("size"), unhex(head.get("root")), unhex(head.get("chain"))
        if not is_integer(size) or root is None or chain is None:
            raise Bad("loss: malformed")
        return size, root, chain

    @staticmethod
    def signed(kind, which, key, lines, parameters):
        signature = parameters.get(f"{which}_signature")
        signature = unbase64(signature) if is_text(signature) and signature.isascii() else None
        if not key.holds("".join(f"{line}\n" for line in lines).encode(), signature):
            raise Bad(f"{kind}: the {which} key's signature does not verify")

    def change(self, kind, old, new, index):
        if self.key and self.key.text != old.text:
            raise Bad(f"{kind}: the old key is not the log's")
        for number, checkpoint in enumerate(self.checkpoints):
            if checkpoint.size > index:
                border = kind == "key_rotation" and checkpoint.size == index + 1
                self.wanted[number] = [old, new] if border else [new]
            elif not self.key:
                self.wanted[number] = [old]
        self.key = new

    def bears_its_keys(self, number):
        return all(self.checkpoints[number].signed_by(key) for key in self.wanted[number])


def first_origin(lines, note):
    """The log's first origin: what the first loss gave up, else the checkpoint's."""
    for line in lines:
        try:
            record = parse_record(line) if b'"loss"' in line else {}
        except Bad:
            continue
        if record.get("kind") == "loss" and is_text(record.get("parameters", {}).get("old_origin")):
            return record["parameters"]["old_origin"]
    return note.origin


# ---- the file ----


def blocks(data):
    """Records, note and leaf lines, split at the last three empty lines; None if there are fewer."""
    empty, at = [], len(data)
    while len(empty) < 3 and at > 0:
        at = data.rfind(b"\n", 0, at)
        if at < 0:
            return None
        if at == 0 or data[at - 1:at] == b"\n":
            empty.append(at)
    return (data[:empty[2]], data[empty[2] + 1:empty[0]], data[empty[0] + 1:]) if len(empty) == 3 else None


def leaf_lines(block):
    """The leaves up to the first malformed line, and whether that is all."""
    leaves = []
    for at in range(0, len(block), 45):
        leaf = unbase64(block[at:at + 44]) if block[at + 44:at + 45] == b"\n" else None
        if leaf is None or len(leaf) != 32:
            break
        leaves.append(leaf)
    return leaves, len(leaves) * 45 == len(block)


def roots_of(leaves):
    tree = Tree()
    roots = [tree.root()]
    for leaf in leaves:
        tree.push(leaf)
        roots.append(tree.root())
    return roots


def changed(place, records, leaves):
    missing = len(leaves) - len(records)
    if place == len(records) or (missing > 0 and leaves[place + missing:place + missing + 1] == [records[place]]):
        return "the record is missing"
    if place == len(leaves) or (missing < 0 and leaves[place] in records[place + 1:]):
        return "a surplus record"
    return "the record's leaf is not the signed one"


def interval(note, since, roots):
    holds = [c.size < len(roots) and roots[c.size] == c.root for c in since]
    low = max([c.size for c, held in zip(since, holds) if held], default=0)
    high = min([c.size for c, held in zip(since, holds) if not held] + [max(note.size, len(roots) - 1)])
    return f"the first change lies in indices {low} to {high - 1}" if low < high else f"the first {low} leaf lines hold"


def judge_since(note, since, roots, folds):
    if since.size > note.size:
        return "larger than the file, which is an older or another history"
    if since.size == note.size and since.root != note.root:
        return "of the file's size with another root: another history"
    if folds and roots[since.size] != since.root:
        return "not a root of the file's history: another history"
    return None


def walk(lines, leaves, walker):
    """The first finding of the walk over these records."""
    for index, line in enumerate(lines):
        try:
            walker.step(line, leaves[index])
        except Bad as reason:
            return f"index {index}: {reason}"
    return None


def verify(data, keys, since):
    """(size, root) and the findings of an export."""
    parts = blocks(data)
    if parts is None:
        if data[:1] not in (b"{", b"\n"):
            raise CannotCheck("is not a raw export")
        return None, ["file: fewer than three empty lines"]
    try:
        note = Checkpoint(parts[1], keys)
    except Bad as reason:
        return None, [f"note: {reason}"]
    lines = parts[0].split(b"\n")[:-1]
    records = [sha256(b"\0", line) for line in lines]
    leaves, whole = leaf_lines(parts[2])
    roots = roots_of(leaves)
    shared = min(len(records), len(leaves))
    place = next((i for i in range(shared) if records[i] != leaves[i]), shared)
    differs = place < max(len(records), len(leaves))
    folds = whole and len(leaves) == note.size and roots[-1] == note.root
    records_fold = differs and len(records) == note.size and roots_of(records)[-1] == note.root
    findings = []
    if folds and differs:
        findings.append(f"index {place}: {changed(place, records, leaves)}")
    elif not folds and records_fold:
        findings.append(f"leaf lines: they do not fold to the signed root, the records do: line {place} is wrong")
    elif not folds:
        findings.append(f"leaf lines: they do not fold to the signed root: {interval(note, since, roots)}")
    faults = [judge_since(note, each, roots, folds) for each in since]
    findings += [f"since {each.size}: {fault}" for each, fault in zip(since, faults) if fault]
    walker = Walk(first_origin(lines[:place], note), [note, *since])
    found = walk(lines[:place], records, walker)
    if found:
        findings.append(found)
    elif differs and not folds and not records_fold:
        findings.append(f"index {place}: record and leaf line differ")
    elif folds and not differs:
        findings += judge_keys(walker, note, since, faults)
    return (note.size, base64.b64encode(note.root).decode()), findings


def judge_keys(walker, note, since, faults):
    reason = "not signed by the key that the log names for its size"
    findings = [] if walker.bears_its_keys(0) else [f"note: {reason}"]
    for number, (each, fault) in enumerate(zip(since, faults), 1):
        if not fault and not walker.key and each.origin != note.origin:
            findings.append(f"since {each.size}: of another origin")
        elif not fault and not walker.bears_its_keys(number):
            findings.append(f"since {each.size}: {reason}")
    return findings


def read_vkeys(path):
    with open(path, encoding="utf-8") as file:
        keys = [Vkey(line.strip()) for line in file if line.strip()]
    if not keys:
        raise Bad("no signature by a known key of this origin")
    if len({(key.name, key.id) for key in keys}) != len(keys):
        raise Bad("two signatures under one name and key id")
    return keys


def carried(note):
    """A note, also from the base64url without padding in which answers carry it."""
    text = note.strip(b"\t\n\x0c\r ")
    standard = text.translate(bytes.maketrans(b"-_", b"+/")) + b"=" * (-len(text) % 4)
    return note if re.search(rb"[^A-Za-z0-9_-]", text) else unbase64(standard) or note


def main(arguments=None):
    parser = argparse.ArgumentParser(description="Verifies a raw export of a keyward audit log.")
    parser.add_argument("file")
    parser.add_argument("--vkey", required=True)
    parser.add_argument("--since", action="append", default=[], metavar="CHECKPOINT")
    options = parser.parse_args(arguments)
    path = options.vkey
    try:
        keys, since = read_vkeys(path), []
        for path in options.since:
            with open(path, "rb") as file:
                since.append(Checkpoint(carried(file.read()), keys))
        path = options.file
        with open(path, "rb") as file:
            head, findings = verify(file.read(), keys, since)
    except (OSError, UnicodeDecodeError, Bad, CannotCheck) as reason:
        print(f"could not check: `{path}`: {reason}", file=sys.stderr)
        return 1
    print("\n".join(findings) if findings else f"valid, {head[0]} records, root {head[1]}")
    return 4 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
