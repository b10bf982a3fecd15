use proptest::prelude::*;

use super::super::fixture::{MemoryRows, installed};
use super::*;
use crate::clock::SystemRandom;

fn principal(text: &str) -> Principal {
    Principal::parse(text).unwrap()
}

fn empty(name: &str) -> AccessKeyRow {
    AccessKeyRow { principal: principal(name), keys: Vec::new() }
}

fn new(at_s: u64) -> NewAccessKey {
    let groups = vec![principal("group/dev/payments"), principal("group/dev/staff")];
    NewAccessKey { at_s, groups, roles: vec![principal("role/dev/deploy")], groups_proved: true }
}

#[test]
fn a_key_opens_where_it_was_made_and_signs_as_its_secret_does() {
    let (keyring, _, mut rows) = installed();
    let installation = keyring.installation();
    let before = empty("user/dev/a");
    let mut row = before.clone();
    let (id, secret) = row.add(installation, new(7), &SystemRandom).unwrap();
    rows.apply(&row.writes(installation.row_key(), &before));
    let found = AccessKeyRow::with(&rows, installation.row_key(), &id).unwrap().unwrap();
    assert_eq!(found, row);
    let opened = found.secret(installation, found.key(&id).unwrap()).unwrap();
    assert_eq!(*opened.expose(), *secret.expose());
    assert_eq!(secret.expose().len(), 32);
    assert!(secret.expose().bytes().all(|byte| byte.is_ascii_alphanumeric()));
    assert_eq!(AccessKeyId::parse(id.as_str()), Some(id));
}

/// The vendor's example, by way of the stored form: row 1 of the vectors.
#[test]
fn a_signature_is_the_published_one() {
    let secret = AccessKeySecret(KeyMaterial::from_bytes(Zeroizing::new(*b"Gu5t9xGARNpq86cd98joQYCN3EXAMPLE")));
    let text = b"TC3-HMAC-SHA256\n1551113065\n2019-02-25/cvm/tc3_request\n\
                 5ffe6a04c0664d6b969fab9a13bdab201d63ee709638e2749d62a09ca18d7031";
    let signature = secret.sign("2019-02-25", "cvm", &[text.to_vec()]).remove(0);
    assert_eq!(hex::encode(signature), "72e494ea809ad7a8c8f7a4507b9bddcbaa8e581f516e8da2f66e2c5a96525168");
}

/// Those of the older methods: one that the vendor published, and one of this project's.
#[test]
fn the_older_signatures_are_the_published_ones() {
    let vendor = AccessKeySecret(KeyMaterial::from_bytes(Zeroizing::new(*b"Gu5t9xGARNpq86cd98joQYCN3EXAMPLE")));
    let text = concat!(
        "GETcvm.tencentcloudapi.com/?Action=DescribeInstances&InstanceIds.0=ins-09dx96dg&Limit=20&Nonce=11886&Offset=0&",
        "Region=ap-guangzhou&SecretId=AKID",
        "z8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE&Timestamp=1465185768&Version=2017-03-12",
    );
    assert_eq!(hex::encode(vendor.sign_sha1(text.as_bytes())), "12588ff585b7a56dbc169b047645edffe59c19e2");
    let own = AccessKeySecret(KeyMaterial::from_bytes(Zeroizing::new(*b"EXAMPLEEXAMPLEEXAMPLEEXAMPLEKEY0")));
    let text = b"POST127.0.0.1:8743/?Action=GetSecretValue&Nonce=12345&Region=ap-guangzhou&SecretId=AKIDEXAMPLE&\
                 SecretName=demo&SignatureMethod=HmacSHA256&Timestamp=1800000000&Version=2019-09-23&VersionId=v1";
    assert_eq!(hex::encode(own.sign_sha256(text)), "c37830c92232208e8b2e1f3a289405c27132f7d8eeb8af0413a0c41d05ef57c2");
}

#[test]
fn a_deleted_key_leaves_no_row_behind() {
    let (keyring, _, mut rows) = installed();
    let installation = keyring.installation();
    let none = rows.clone();
    let before = empty("user/dev/a");
    let mut both = before.clone();
    let first = both.add(installation, new(7), &SystemRandom).unwrap().0;
    let second = both.add(installation, new(8), &SystemRandom).unwrap().0;
    rows.apply(&both.writes(installation.row_key(), &before));
    let mut one = both.clone();
    one.keys.retain(|key| key.id == second);
    rows.apply(&one.writes(installation.row_key(), &both));
    let with = |rows: &MemoryRows, id| AccessKeyRow::with(rows, installation.row_key(), id).unwrap();
    assert_eq!((with(&rows, &first), with(&rows, &second)), (None, Some(one.clone())));
    assert_eq!(AccessKeyRow::of(&rows, installation.row_key(), &before.principal).unwrap(), one);
    rows.apply(&before.writes(installation.row_key(), &one));
    assert_eq!(AccessKeyRow::of(&rows, installation.row_key(), &before.principal).unwrap(), before);
    assert_eq!(rows.0, none.0);
}

#[test]
fn i08_attack_h02_a_row_that_was_altered_or_moved_is_no_row_and_a_secret_opens_in_its_own_alone() {
    let (keyring, _, rows) = installed();
    let installation = keyring.installation();
    let before = empty("user/dev/a");
    let mut row = before.clone();
    let (id, _) = row.add(installation, new(7), &SystemRandom).unwrap();
    let writes = row.writes(installation.row_key(), &before);
    let stored = writes[0].value.clone().unwrap();
    for bit in 0..stored.len() * 8 {
        let mut changed = rows.clone();
        changed.apply(&writes);
        let mut bytes = stored.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        changed.put(&writes[0].key, bytes);
        assert!(AccessKeyRow::with(&changed, installation.row_key(), &id).is_err(), "bit {bit}");
    }
    let mut moved = rows.clone();
    moved.put(&AccessKeyRow::address(&principal("user/dev/b")), stored);
    assert!(AccessKeyRow::of(&moved, installation.row_key(), &principal("user/dev/b")).is_err());
    let key = row.key(&id).unwrap().clone();
    let elsewhere = AccessKeyRow { principal: principal("user/dev/b"), keys: vec![key.clone()] };
    assert!(elsewhere.secret(installation, &key).is_err());
    for changed in [
        AccessKey { created_at_s: 8, ..key.clone() },
        AccessKey { id: AccessKeyId(format!("AKID{}", "a".repeat(28))), ..key.clone() },
    ] {
        assert!(row.secret(installation, &changed).is_err());
    }
    let (other, _, _) = installed();
    assert_eq!(row.secret(other.installation(), &key).is_ok(), other.installation().id() == installation.id());
}

proptest! {
    #[test]
    fn i10_any_bytes_are_read_or_refused_and_what_is_read_has_one_encoding(row: Vec<u8>, start in 0_u8..3) {
        let address = AccessKeyRow::address(&principal("user/dev/a")).bytes;
        for row in [row.clone(), [vec![1, start], row].concat()] {
            if let Ok(read) = AccessKeyRow::decode(&address, &row) { prop_assert_eq!(read.encode(), row); }
        }
    }

    #[test]
    fn ids_are_of_one_form(text in "(AKID)?[A-Za-z0-9]{0,40}") {
        let fits = text.starts_with("AKID") && text.len() == 32;
        prop_assert_eq!(AccessKeyId::parse(&text).is_some(), fits);
    }
}
