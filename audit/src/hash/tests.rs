use super::*;
use crate::samples;

const CT_ENTRIES: [&[u8]; 8] = [
    b"",
    b"\x00",
    b"\x10",
    b"\x20\x21",
    b"\x30\x31",
    b"\x40\x41\x42\x43",
    b"\x50\x51\x52\x53\x54\x55\x56\x57",
    b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
];

fn hex_of(digest: Digest) -> String {
    hex::encode(digest)
}

#[test]
fn every_sample_has_its_leaf() {
    for sample in samples::all() {
        assert_eq!(hex_of(leaf(sample.bytes)), sample.leaf, "record {}", sample.index);
    }
}

#[test]
fn the_sample_log_has_its_chain_at_every_size() {
    let vectors = [
        (1, "e2ca41a977c670170a5d284c1c1d49f7e53db05f3d16d9ba9b9b49a08d2a315c"),
        (2, "cad25ece42ab2502863c0474c528d4ce0c4652e1aaf9fdf8e1d5f5fe770ab7a4"),
        (3, "01f3945f7c6700fd2df2d66b2bba8ea2f2b05e3b6e263f0586daa00fadf545db"),
        (5, "0c30275021203891e176216d4f25299dfc810221fea86624f20b0d3a71b3fa08"),
        (8, "ea04045e002de9969d199a1e6a29ae06bffcf0ebc33fbc4d0af6cf2c94c8c96f"),
        (12, "25b3dbedb20331e297739fd022fa44f074cc4148664587a1e43c5c2a43503c0c"),
        (13, "2f2a76812b74bb1c01bb332bd493f2583475166a45cb96ab62f7d0fa1f8d2dd2"),
        (14, "dc4dde7888e638d241a69ce78122395c71f3aa7113bf846bfb5fd9dba4bb51da"),
        (15, "ab464232bc82dea7c779b736eff08b79b1667c10c2aca6ed2deb2679e234e27f"),
    ];
    let start = chain_start(samples::ORIGIN);
    for (size, expected) in vectors {
        let chain = samples::LOG.iter().take(size).fold(start, |chain, sample| chain_next(&chain, &leaf(sample.bytes)));
        assert_eq!(hex_of(chain), expected, "size {size}");
    }
}

#[test]
fn the_chain_starts_from_the_first_origin() {
    let start = chain_start(samples::ORIGIN);
    assert_eq!(hex_of(start), "2c477e3e911695bbe337b7153981a7a982154a7b3e9f8b90166416425b2ad0a8");
    assert_eq!(hex::encode(chain_id(&start)), "2c477e3e911695bb");
}

#[test]
fn the_chain_over_the_ct_entries_is_the_known_one() {
    let mut chain = chain_start(samples::ORIGIN);
    let chains: Vec<String> = CT_ENTRIES
        .iter()
        .map(|entry| {
            chain = chain_next(&chain, &leaf(entry));
            hex_of(chain)
        })
        .collect();
    assert_eq!(chains[0], "9fed2f1e35e92e68d621269d5aff06c2ac2f3fd4861f81b6d7ac2a4afad5c293");
    assert_eq!(chains[7], "83d1be0a6f3b06c91a013db7886c349a79181d1c3bec69366c38f19ae9a686d2");
}

#[test]
fn leaf_node_and_chain_of_the_same_bytes_differ() {
    let (left, right) = ([1; 32], [2; 32]);
    let both = [left, right].concat();
    assert_ne!(leaf(&both), node(&left, &right));
    assert_ne!(node(&left, &right), chain_next(&left, &right));
}

#[test]
fn an_empty_tree_has_the_hash_of_nothing() {
    assert_eq!(hex_of(empty_root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_eq!(empty_root(), sha256(b""));
}
