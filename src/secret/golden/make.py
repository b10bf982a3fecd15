#!/usr/bin/env python3
"""A second implementation of the sealing formats (docs/adr/0002-sealing.md), written from their description.

Prints the rows of a small store, one a line: family, key (hex), row (hex). `rows.txt` is its output; the tests load
it, open it, and write it again. Needs the package `cryptography`.
"""
import hashlib
import hmac

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

ROOT, CREATOR_KEY = bytes(range(0x00, 0x20)), bytes(range(0x20, 0x40))
KEK, DATA_KEY = bytes(range(0x40, 0x60)), bytes(range(0x60, 0x80))
INSTALLATION, SECRET, VALUE = b"\x01" * 16, b"\x02" * 16, b"\x03" * 16
CREATED, GENERATION = 1767225600, 1
NAME, VERSION, KEY, PRINCIPAL = b"prod/pay/db-password", b"v1", b"default", b"user/corp/r.lee"
TEXT = 1
PLAINTEXT = "golden välue".encode()


def u32(number):
    return number.to_bytes(4, "big")


def u64(number):
    return number.to_bytes(8, "big")


def sized(text):
    return u32(len(text)) + text


def nonce(number):
    return bytes([number]) * 12


def derive(parent, salt, info):
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=salt, info=info).derive(parent)


def wrap(parent, salt, associated, key, number):
    derived = derive(parent, salt, associated)
    return nonce(number) + AESGCM(derived).encrypt(nonce(number), key, associated)


def binding(label):
    return sized(label) + INSTALLATION + SECRET + VALUE + bytes([TEXT]) + sized(NAME) + sized(VERSION)


def row(family, key, value):
    print(family, key.hex(), value.hex())


def authentic(family, key, value):
    place = sized(b"keyward/row/v1") + sized(family.encode()) + sized(key)
    row(family, key, value + hmac.new(ROW_KEY, place + value, hashlib.sha256).digest())


ROW_KEY = derive(CREATOR_KEY, INSTALLATION, b"keyward/row-key/v1")
installation = sized(b"keyward/installation/v1") + INSTALLATION + u64(CREATED)
row("keys", b"installation",
    b"\x01" + INSTALLATION + u64(CREATED) + wrap(ROOT, INSTALLATION, installation, CREATOR_KEY, 0xa1))
authentic("keys", b"key/" + KEY, b"\x01\x01" + u64(CREATED) + u32(GENERATION))
generation = sized(b"keyward/key-encryption-key/v1") + INSTALLATION + sized(KEY) + u32(GENERATION)
authentic("keys", b"generation/" + KEY + b"/" + u32(GENERATION),
          b"\x01" + u64(CREATED) + wrap(ROOT, INSTALLATION, generation, KEK, 0xa2))

creator = int.from_bytes(hmac.new(CREATOR_KEY, PRINCIPAL, hashlib.sha256).digest()[:8], "big") >> 12
tags = u32(2) + sized(b"env") + sized(b"prod") + sized(b"team") + sized(b"pay")
versions = u32(1) + sized(VERSION) + VALUE + u64(CREATED + 70) + b"\x00" + bytes([TEXT])
authentic("secrets", b"s" + NAME,
          b"\x01" + SECRET + sized(NAME) + u64(creator) + sized(PRINCIPAL) + u64(CREATED + 70) + b"\x01" + u64(0)
          + sized(b"password of the payments database") + tags + sized(KEY) + sized(b"1_2_customize_3_abc")
          + sized(VERSION) + versions)
authentic("secrets", b"c" + u64(creator), PRINCIPAL)

data_key = binding(b"keyward/data-key/v1") + sized(KEY) + u32(GENERATION)
sealed = AESGCM(DATA_KEY).encrypt(nonce(0xa4), PLAINTEXT, binding(b"keyward/value/v1"))
row("secrets", b"v" + SECRET + VALUE,
    b"\x01" + sized(KEY) + u32(GENERATION) + wrap(KEK, VALUE, data_key, DATA_KEY, 0xa3) + nonce(0xa4) + sealed)
