#!/usr/bin/env python3
"""Makes the golden logs in logs/ and expected.json: one log for each kind of tampering, and honest ones.

Deterministic; run it again after a change of the format and look at the difference. The curve arithmetic is that of
verify.py; records, trees, notes and signatures are made here. expected.json holds one case a line: file, vkeys,
remembered checkpoints, exit code, and the lines that both verifiers print.
"""
import base64
import hashlib
import json
import os

from verify import BASE, L, compress, multiply

HERE = os.path.dirname(os.path.abspath(__file__))
LOGS = os.path.join(HERE, "logs")
ORIGIN = "audit.example.com/keyward"
SAMPLE = open(os.path.join(HERE, "sample.jsonl"), "rb").read().split(b"\n")[:15]


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def b64(data):
    return base64.b64encode(data).decode()


class Key:
    """A log key from the first byte of its seed, with its name."""

    def __init__(self, first, name=ORIGIN):
        digest = hashlib.sha512(bytes(range(first, first + 32))).digest()
        scalar = bytearray(digest[:32])
        scalar[0], scalar[31] = scalar[0] & 248, scalar[31] & 127 | 64
        self.scalar, self.prefix, self.name = int.from_bytes(scalar, "little"), digest[32:], name
        self.public = compress(multiply(self.scalar, BASE))
        self.id = sha256(name.encode(), b"\n\x01", self.public)[:4]
        self.vkey = f"{name}+{self.id.hex()}+{b64(bytes([1]) + self.public)}"

    def sign(self, message):
        r = int.from_bytes(hashlib.sha512(self.prefix + message).digest(), "little") % L
        nonce = compress(multiply(r, BASE))
        k = int.from_bytes(hashlib.sha512(nonce + self.public + message).digest(), "little") % L
        return nonce + ((r + k * self.scalar) % L).to_bytes(32, "little")

    def line(self, text):
        return f"\u2014 {self.name} {b64(self.id + self.sign(text))}\n".encode()


OLD, NEW, AFTER, STRANGER = Key(0x00), Key(0x40), Key(0x60, ORIGIN + "-2"), Key(0x80)


def mth(leaves):
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256()
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\1", mth(leaves[:half]), mth(leaves[half:]))


def leaves_of(records):
    return [sha256(b"\0", record) for record in records]


def chain_of(records, origin=ORIGIN):
    chain = sha256(b"keyward-audit-chain/v1\n", origin.encode(), b"\n")
    for leaf in leaves_of(records):
        chain = sha256(b"\2", chain, leaf)
    return chain


def checkpoint(records, *keys, origin=ORIGIN):
    text = f"{origin}\n{len(records)}\n{b64(mth(leaves_of(records)))}\n".encode()
    return text + b"\n" + b"".join(key.line(text) for key in keys)


def export(records, *keys, note=None, leaves=None):
    """The file of these records, signed; or with another note or other leaves."""
    keys = keys or (OLD,)
    note = checkpoint(records, *keys, origin=keys[-1].name) if note is None else note
    lines = leaves_of(records) if leaves is None else leaves
    block = b"".join(record + b"\n" for record in records)
    return block + b"\n" + note + b"\n" + b"".join(b64(leaf).encode() + b"\n" for leaf in lines)


def record(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def changed(records, place, /, **fields):
    """The records with fields of one set anew; None takes a field out."""
    value = json.loads(records[place]) | fields
    return [*records[:place], record({k: v for k, v in value.items() if v is not None}), *records[place + 1:]]


def renumbered(records):
    return [record(json.loads(each) | {"index": index}) for index, each in enumerate(records)]


def parameters(records, place, /, **fields):
    return changed(records, place, parameters=json.loads(records[place])["parameters"] | fields)


def system(index, time, kind="system", epoch=1, **fields):
    """A record of keyward's own."""
    request = hashlib.md5(f"{index} {kind}".encode()).hexdigest()
    uuid = f"{request[:8]}-{request[8:12]}-{request[12:16]}-{request[16:20]}-{request[20:]}"
    action = "keyward:" + "".join(word.capitalize() for word in kind.split("_"))
    value = {"action": action, "door": "internal", "epoch": epoch, "index": index, "kind": kind, "outcome": "ok",
             "principal": "service/gateway", "request": uuid, "time": time, "version": 1}
    return {key: each for key, each in (value | fields).items() if each is not None}


def seal(records, time, previous=None, **fields):
    counts = {}
    for each in records[0 if previous is None else previous + 1:]:
        kind = json.loads(each)["kind"]
        counts[kind] = counts.get(kind, 0) + 1
    said = {"chain": chain_of(records).hex(), "counts": counts, "root": mth(leaves_of(records)).hex(),
            "size": len(records)} | ({} if previous is None else {"previous": previous})
    return record(system(len(records), time, "seal", outcome=None, parameters=said | fields))


def rotation(index, old, new, time):
    lines = f"keyward-key-rotation/v1\n{ORIGIN}\n{old.vkey}\n{new.vkey}\n{index}\n".encode()
    said = {"new_signature": b64(new.sign(lines)), "new_vkey": new.vkey,
            "old_signature": b64(old.sign(lines)), "old_vkey": old.vkey}
    return record(system(index, time, "key_rotation", parameters=said))


def long_log():
    """Forty-odd records with clock steps, three seals (one of an empty hour) and outcomes."""
    records, time, seals = [], 1767225600000000, []
    while len(records) < 45:
        index, time = len(records), time + 1000003
        if index in (9, 30):
            time -= 50000000
            said = {"after": time, "before": time + 50000000, "source": "monotonic"}
            records.append(record(system(index, time, "clock_step", parameters=said)))
        elif index in (16, 32, 33):
            records.append(seal(records, time, seals[-1] if seals else None))
            seals.append(index)
        elif index in (20, 40):
            answered = json.loads(records[index - 17])
            records.append(record(system(index, time, "outcome", answers=index - 17, action=answered["action"],
                                         outcome="failed", reason="InternalError", request=answered["request"])))
        else:
            text = "caf\u00e9 \u2014 \"quoted\\ \n\u0001\U0001f511\x7f" if index == 7 else f"n{index}"
            records.append(record(system(index, time, parameters={"event": text, "list": [index, {"a": True}, []]})))
    return records


CASES = []


def case(name, data, lines, keys=(OLD,), since=()):
    """Writes a log and what is expected of it: the findings, or the verdict `valid, ...` if there are none."""
    with open(os.path.join(LOGS, name + ".raw"), "wb") as file:
        file.write(data)
    vkeys = "+".join(key_name(key) for key in keys) + ".vkey"
    with open(os.path.join(LOGS, vkeys), "w", encoding="utf-8") as file:
        file.write("".join(key.vkey + "\n" for key in keys))
    notes = []
    for number, note in enumerate(since):
        notes.append(f"{name}.since{number}")
        with open(os.path.join(LOGS, notes[-1]), "wb") as file:
            file.write(note)
    code = 0 if lines and lines[0].startswith("valid") else 4 if lines else 1
    CASES.append({"exit": code, "file": name + ".raw", "lines": lines, "since": notes, "vkey": vkeys})


def key_name(key):
    return {OLD: "old", NEW: "new", AFTER: "after", STRANGER: "stranger"}[key]


def valid(records):
    return [f"valid, {len(records)} records, root {b64(mth(leaves_of(records)))}"]


LEAF = "the record's leaf is not the signed one"
UNFOLDED = "leaf lines: they do not fold to the signed root"
WITHIN = UNFOLDED + ": the first change lies in indices"


def honest():
    sample = export(SAMPLE[:13])
    digest = hashlib.sha256(sample).hexdigest()
    assert digest == "1d46307147d3f7783591e19d6bc646d74acc2e2fe0e94571298f2462f7baba00", digest
    case("sample", sample, valid(SAMPLE[:13]), since=[checkpoint(SAMPLE[:size], OLD) for size in (0, 5, 13)])
    carried = base64.urlsafe_b64encode(checkpoint(SAMPLE[:5], OLD)).rstrip(b"=") + b"\n"
    case("sample-since-header", sample, valid(SAMPLE[:13]), since=[carried])
    case("empty", export([]), valid([]))
    case("one-record", export(SAMPLE[:1]), valid(SAMPLE[:1]))
    case("rotation-border", export(SAMPLE[:14], OLD, NEW), valid(SAMPLE[:14]), keys=(OLD,))
    case("loss", export(SAMPLE[:15], AFTER), valid(SAMPLE[:15]), keys=(OLD, NEW, AFTER),
         since=[checkpoint(SAMPLE[:5], OLD), checkpoint(SAMPLE[:14], OLD, NEW)])
    case("loss-new-key-alone", export(SAMPLE[:15], AFTER), valid(SAMPLE[:15]), keys=(AFTER,))
    records = long_log()
    case("steps-and-seals", export(records), valid(records), since=[checkpoint(records[:33], OLD)])
    rotated = SAMPLE[:14] + [record(system(14, 1767229300000009))]
    case("after-rotation", export(rotated, NEW), valid(rotated), keys=(OLD, NEW),
         since=[checkpoint(SAMPLE[:14], OLD, NEW)])


def bytes_changed():
    good, records = export(SAMPLE[:13]), SAMPLE[:13]
    note, leaves = checkpoint(records, OLD), leaves_of(records)
    flipped = bytearray(good)
    flipped[good.index(b'"index":4,') + 30] ^= 1
    case("t01-bit-of-record", bytes(flipped), [f"index 4: {LEAF}"])
    flipped = bytearray(good)
    flipped[-45 * 3 + 7] ^= 1
    case("t01-bit-of-leaf-line", bytes(flipped),
         [f"{UNFOLDED}, the records do: line 10 is wrong"])
    swapped = [*records[:5], records[6], records[5], *records[7:]]
    case("t02-swap", export(swapped, note=note, leaves=leaves), [f"index 5: {LEAF}"])
    case("t02-swap-leaves-too", export(swapped, note=note), [WITHIN + " 0 to 12", "index 5: `index` is 6"])
    cut = records[:6] + records[7:]
    case("t03-delete", export(cut, note=note, leaves=leaves), ["index 6: the record is missing"])
    case("t03-delete-leaf-too", export(cut, note=note), [WITHIN + " 0 to 12", "index 6: `index` is 7"])
    case("t03-delete-renumber", export(renumbered(cut), note=note, leaves=leaves), [f"index 6: {LEAF}"])
    case("t03-delete-renumber-leaf-too", export(renumbered(cut), note=note),
         [WITHIN + " 4 to 7", "index 9: `answers` does not point backwards"],
         since=[checkpoint(records[:4], OLD), checkpoint(records[:8], OLD)])
    more = [*records[:6], record(system(6, 1767225718104407)), *records[6:]]
    case("t04-insert", export(more, note=note, leaves=leaves), ["index 6: a surplus record"])
    case("t04-insert-renumber", export(renumbered(more), note=note, leaves=leaves), [f"index 6: {LEAF}"])
    case("t04-empty-line", export([*records[:3], b"", *records[3:]], note=note, leaves=leaves),
         ["index 3: a surplus record"])
    case("t05-tail-cut", export(records[:12], note=note, leaves=leaves), ["index 12: the record is missing"])
    case("t05-tail-cut-leaf-too", export(records[:12], note=note), [WITHIN + " 0 to 12"])
    older = ["since 13: larger than the file, which is an older or another history"]
    case("t05-cut-to-checkpoint", export(records[:8]), older, since=[note])
    case("t05-cut-to-zero", export([]), older, since=[note])
    case("t05-cut-in-file", good[:9000], ["file: fewer than three empty lines"])
    case("t05-cut-in-leaf-lines", good[:-50], [f"{UNFOLDED}, the records do: line 11 is wrong"])
    case("t05-last-line-feed", good[:-1], [f"{UNFOLDED}, the records do: line 12 is wrong"])
    case("t01-surplus-leaf", good + b64(leaves[3]).encode() + b"\n", [f"{UNFOLDED}, the records do: line 13 is wrong"])
    case("not-an-export", b"time,action\n1,read\n", [])


def rehashed():
    records = SAMPLE[:13]
    edited = changed(records, 4, source_ip="10.9.9.9")
    note = checkpoint(edited, OLD).replace(checkpoint(edited, OLD)[-40:], checkpoint(records, OLD)[-40:])
    case("t07-rehash-root-too", export(edited, note=note), ["note: the signature does not verify"])
    case("t07-rehash", export(edited, note=checkpoint(records, OLD)),
         [WITHIN + " 3 to 7", "index 12: seal: the root differs"],
         since=[checkpoint(records[:size], OLD) for size in (3, 8, 12, 2)])
    case("t07-resigned", export(edited), ["since 13: of the file's size with another root: another history",
                                          "since 8: not a root of the file's history: another history",
                                          "index 12: seal: the root differs"],
         since=[checkpoint(records[:size], OLD) for size in (13, 8, 3)])


def keys():
    records = SAMPLE[:13]
    unknown = ["note: no signature by a known key of this origin"]
    case("t10-unknown-key", export(records, STRANGER), unknown)
    case("t10-wrong-vkey", export(records), unknown, keys=(STRANGER,))
    case("t10-other-origin", export(records, AFTER), unknown)
    rotated = SAMPLE[:14] + [record(system(14, 1767229300000009))]
    ranged = "not signed by the key that the log names for its size"
    case("t10-old-key-after-rotation", export(rotated, OLD), [f"note: {ranged}"], keys=(OLD, NEW))
    case("t10-border-without-old", export(SAMPLE[:14], NEW), [f"note: {ranged}"], keys=(OLD, NEW))
    case("t10-new-key-too-early", export(rotated, NEW), [f"since 6: {ranged}"], keys=(OLD, NEW),
         since=[checkpoint(SAMPLE[:6], NEW)])
    forged = parameters(SAMPLE[:14], 13, old_signature=b64(NEW.sign(b"forged")))
    case("t10-forged-rotation", export(forged, NEW, OLD),
         ["index 13: key_rotation: the old key's signature does not verify"])
    stolen = [*SAMPLE[:14], rotation(14, STRANGER, NEW, 1767229300000009)]
    case("t10-rotation-of-another-key", export(stolen, NEW), ["index 14: key_rotation: the old key is not the log's"],
         keys=(NEW,))
    forged = parameters(SAMPLE[:15], 14, reason="none", new_signature=b64(STRANGER.sign(b"forged")))
    case("t10-forged-loss", export(forged, AFTER), ["index 14: loss: the new key's signature does not verify"],
         keys=(AFTER,))
    recovered = json.loads(SAMPLE[14])["parameters"]["recovered"] | {"root": "00" * 32}
    forged = parameters(SAMPLE[:15], 14, recovered=recovered)
    case("t10-loss-other-head", export(forged, AFTER), ["index 14: loss: the recovered head is another"], keys=(AFTER,))


def twins():
    """Records that say the same in other bytes, under a good signature."""
    records, said = SAMPLE[:13], "index 7: not in canonical form"
    line = records[7]
    names = list(json.loads(line))
    swapped = {name: json.loads(line)[name] for name in [names[1], names[0], *names[2:]]}
    forms = {
        "key-order": json.dumps(swapped, separators=(",", ":")).encode(),
        "float": line.replace(b'"version":1', b'"version":1.0'),
        "duplicate-key": line.replace(b'"door":"native"', b'"door":"native","door":"native"'),
        "escape": line.replace(b"native", b"\\u006eative"),
        "solidus": line.replace(b"python-requests/2", b"python-requests\\/2"),
        "trailing-space": line + b" ",
        "space": line.replace(b'"door":', b'"door": '),
        "null": line.replace(b'"door":', b'"certificate":null,"door":'),
        "leading-zero": line.replace(b'"version":1', b'"version":01'),
        "negative": line.replace(b'"epoch":1', b'"epoch":-1'),
        "large-integer": line.replace(b'"epoch":1', b'"epoch":9007199254740992'),
        "not-utf-8": line.replace(b"native", b"nat\xedve"),
        "nested": line.replace(b'"claimed_issuer"', b'"a":' + b"[" * 40 + b"]" * 40 + b',"claimed_issuer"'),
    }
    for name, form in forms.items():
        assert form != line
        case(f"t11-{name}", export([*records[:7], form, *records[8:]]), [said])
    note, leaves = checkpoint(records, OLD), leaves_of(records)
    case("t11-unsigned", export([*records[:7], forms["key-order"], *records[8:]], note=note, leaves=leaves),
         [f"index 7: {LEAF}"])


def notes():
    records, leaves = SAMPLE[:13], leaves_of(SAMPLE[:13])
    note = checkpoint(records, OLD)
    text, line = note.split(b"\n\n")
    text += b"\n"

    def signed(text, *lines):
        return text + b"\n" + (b"".join(lines) or OLD.line(text))

    bad, form = "note: the signature does not verify", "note: not a checkpoint"
    collision = line[:line.rindex(b" ") + 1] + b64(OLD.id + STRANGER.sign(text)).encode() + b"\n"
    unknown_type = f"\u2014 witness.example.com/w1 {b64(bytes(4) + bytes(72))}\n".encode()
    forms = {
        "size": (note.replace(b"\n13\n", b"\n12\n"), bad),
        "size-leading-zero": (signed(text.replace(b"\n13\n", b"\n013\n")), form),
        "root": (note.replace(b"KsrYos", b"KsrYot"), bad),
        "root-not-base64": (signed(text.replace(b"jk=\n", b"jl=\n")), form),
        "origin": (note.replace(b"keyward\n", b"keywbrd\n", 1), bad),
        "carriage-return": (note.replace(b"\n13\n", b"\r\n13\n"), "note: not UTF-8, or with control characters"),
        "control": (note.replace(b"\n13\n", b"\n1\x003\n"), "note: not UTF-8, or with control characters"),
        "not-utf-8": (note.replace(b"\n13\n", b"\n\xff13\n"), "note: not UTF-8, or with control characters"),
        "extension": (signed(text + b"extension\n"), "note: extension lines, which keyward never writes"),
        "two-of-one-key": (note + OLD.line(text), "note: two signatures under one name and key id"),
        "key-id-collision": (signed(text, collision), bad),
        "key-id-collision-besides": (signed(text, OLD.line(text), collision),
                                     "note: two signatures under one name and key id"),
        "no-signature": (text + b"\n", "note: a signature line is malformed"),
        "short-dash": (note.replace("\u2014".encode(), b"-"), "note: a signature line is malformed"),
        "too-large": (signed(text, OLD.line(text), unknown_type * 600), "note: larger than 65,536 bytes"),
    }
    for name, (form, said) in forms.items():
        assert form != note, name
        case(f"t13-{name}", export(records, note=form, leaves=leaves), [said])
    # Split at the last three empty lines, one more in the note makes its first lines records.
    case("t13-empty-line", export(records, note=note.replace(b"\n13\n", b"\n\n13\n"), leaves=leaves), [form_of_rest()])
    case("t13-unknown-signature-besides", export(records, note=note + unknown_type, leaves=leaves), valid(records))


def form_of_rest():
    return "note: not a checkpoint"


def rules():
    """Logs that break a rule between records, under a good signature: only the walk finds them."""
    sample, records = SAMPLE[:13], long_log()

    def broken(name, lines, said):
        case(f"rule-{name}", export(lines), [said])

    broken("index", changed(sample, 12, index=13), "index 12: `index` is 13")
    broken("epoch-raised", changed(sample[:12], 8, epoch=2), "index 8: `epoch` is raised without a loss")
    broken("epoch-first", [*changed(sample[:1], 0, epoch=3), *sample[1:12]],
           "index 0: `epoch` is raised without a loss")
    broken("epoch-first-0", [*changed(sample[:1], 0, epoch=0), *sample[1:12]], "index 0: `epoch` falls")
    after = [*SAMPLE[:15], record(system(15, 1767229300000009))]
    case("rule-epoch-falls", export(after, AFTER), ["index 15: `epoch` falls"], keys=(AFTER,))
    case("rule-epoch-leaps", export(changed(SAMPLE[:15], 14, epoch=9), AFTER),
         ["index 14: `epoch` is raised by more than one"], keys=(AFTER,))
    broken("time-falls", changed(sample[:12], 6, time=1767225718004406), "index 6: `time` falls without a clock step")
    broken("clock-step-after", parameters(sample[:12], 11, after=1767225739000001),
           "index 11: clock_step: `after` is not its time")
    answers = "index 10: `answers` "
    broken("answers-itself", changed(sample[:12], 10, answers=10), answers + "does not point backwards")
    broken("answers-forward", changed(sample[:12], 10, answers=11), answers + "does not point backwards")
    broken("answers-another", changed(sample[:12], 10, answers=4), answers + "names a record of another request")
    broken("answers-other-action", changed(sample[:12], 10, action="ssm:DescribeSecret"),
           answers + "names a record of another action")
    broken("answers-other-action-far", changed(records, 40, action="ssm:DescribeSecret"),
           "index 40: `answers` names a record of another action")
    request = json.loads(sample[4])["request"]
    broken("event-twice", changed(sample[:12], 5, request=request), "index 5: same event id as record 4")
    items = sample[:12]
    for place, item in (3, 0), (4, 1), (5, 0):
        items = changed(items, place, request=request, parameters={"item": item})
    broken("event-twice-with-items", items, "index 5: same event id as an earlier record of its request")
    broken("seal-size", parameters(sample, 12, size=11), "index 12: seal: the size is not its index")
    broken("seal-root", parameters(sample, 12, root="00" * 32), "index 12: seal: the root differs")
    broken("seal-chain", parameters(sample, 12, chain="00" * 32), "index 12: seal: the chain differs")
    broken("seal-counts", parameters(sample, 12, counts={"access": 6}), "index 12: seal: the counts differ")
    broken("seal-previous", parameters(sample, 12, previous=3), "index 12: seal: the seal before is another")
    other = [*records[:32], seal(records[:32], json.loads(records[32])["time"], 15), *records[33:]]
    broken("second-seal-previous", other, "index 32: seal: the seal before is another")
    other = [*records[:33], seal(records[:33], json.loads(records[33])["time"], 32, chain="11" * 32), *records[34:]]
    broken("second-seal-chain", other, "index 33: seal: the chain differs")
    fields = {
        "unknown-field": ({"colour": "red"}, "unknown field `colour`"),
        "unknown-field-unprintable": ({"a\u001b[0m": "red"}, "unknown field"),
        "wrong-type": ({"reason": 7}, "field `reason` has a wrong type or value"),
        "wrong-context": ({"context": {"groups": [1]}}, "field `context` has a wrong type or value"),
        "empty-parameters": ({"parameters": {}}, "field `parameters` has a wrong type or value"),
        "empty-groups": ({"context": {"conditions": {}, "groups": []}}, "field `context` has a wrong type or value"),
        "empty-unknown": ({"context": {"conditions": {}, "unknown": []}}, "field `context` has a wrong type or value"),
        "wrong-kind": ({"kind": "acess"}, "field `kind` has a wrong type or value"),
        "wrong-request": ({"request": "F6167BF1-4EC2-4830-A63E-D89C228D10F6"},
                          "field `request` has a wrong type or value"),
        "empty-action": ({"action": ""}, "field `action` has a wrong type or value"),
        "empty-door": ({"door": ""}, "field `door` has a wrong type or value"),
        "version": ({"version": 2}, "field `version` has a wrong type or value"),
        "missing": ({"door": None}, "field `door` is missing"),
        "foreign": ({"answers": 3}, "field `answers` does not belong to this kind"),
        "too-large": ({"user_agent": "x" * 8000}, "larger than 8,192 bytes"),
    }
    for name, (change, said) in fields.items():
        broken(name, changed(sample[:12], 7, **change), f"index 7: {said}")
    closed_forms(sample, broken)


def closed_forms(sample, broken):
    """Values that have the right type, and that the specification's section 1 does not know."""
    layer, policy = {"effect": "deny", "layer": "identity"}, {"revision": "sha256:00", "semantics": 1}
    wrong = {
        "context": {"empty": {}, "unknown": {"conditions": {}, "unknown": ["foo"]}},
        "credential": {
            "empty": {}, "no-form": {"expires": 1, "issued": 1}, "jti-and-hash":
            {"expires": 1, "hash": "00", "issued": 1, "jti": "1"}, "both-forms":
            {"access_key": "AKID", "expires": 1, "issued": 1, "jti": "1"}, "key-with-kid":
            {"access_key": "AKID", "issued": 1, "kid": "1"}, "no-issued": {"expires": 1, "jti": "1"}},
        "policy": {
            "empty": {}, "no-layers": policy, "empty-layer": policy | {"layers": [{}]},
            "effect": policy | {"layers": [layer | {"effect": "maybe"}]},
            "layer": policy | {"layers": [layer | {"layer": "moon"}]},
            "statement": policy | {"layers": [layer | {"statement": 2**40}]},
            "semantics": policy | {"layers": [layer], "semantics": 2**32},
            "shadow": policy | {"layers": [layer], "shadow": {"decision": "perhaps", "revision": "sha256:00"}},
            "empty-shadow": policy | {"layers": [layer], "shadow": {}}},
        "source_ip": {
            "no-address": "localhost", "leading-zero": "10.0.0.01", "not-shortened": "2001:db8:0:0:0:0:0:1",
            "upper-case": "2001:DB8::1", "mapped": "::ffff:10.0.0.1", "mapped-in-hex": "::ffff:a00:1",
            "zone": "fe80::1%eth0"},
        "user_agent": {"long": "x" * 129, "long-in-bytes": "\u00e9" * 65},
    }
    for field, values in wrong.items():
        for name, value in values.items():
            broken(f"{field.replace('_', '-')}-{name}", changed(sample[:12], 7, **{field: value}),
                   f"index 7: field `{field}` has a wrong type or value")
    right = {
        "credential": {"access_key": "AKID", "expires": 1, "issued": 1},
        "policy": policy | {"layers": [layer | {"statement": 2**32 - 1}]},
        "source_ip": "2001:db8::1:0:0:1", "user_agent": "\u001f" * 128,
    }
    lines = changed(sample[:12], 7, **right)
    case("closed-forms", export(lines), valid(lines))


def main():
    os.makedirs(LOGS, exist_ok=True)
    for name in os.listdir(LOGS):
        os.remove(os.path.join(LOGS, name))
    for make in honest, bytes_changed, rehashed, keys, twins, notes, rules:
        make()
    with open(os.path.join(LOGS, "expected.json"), "w", encoding="utf-8") as file:
        file.write("".join(record(each).decode() + "\n" for each in CASES))


if __name__ == "__main__":
    main()
