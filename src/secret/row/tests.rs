use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;

use super::*;
use crate::secret::fixture::{created, engine};

fn names() -> impl Strategy<Value = SecretName> {
    "[A-Za-z0-9][A-Za-z0-9_+=@-]{0,20}(/[a-z.]{0,3}[a-z]){0,3}".prop_map(|text| SecretName::parse(&text).unwrap())
}

fn version_ids() -> impl Strategy<Value = VersionId> {
    "[A-Za-z0-9][A-Za-z0-9_.-]{0,63}".prop_map(|text| VersionId::parse(&text).unwrap())
}

fn states() -> impl Strategy<Value = State> {
    prop_oneof![
        Just(State::Enabled),
        Just(State::Disabled),
        (1..=u64::MAX).prop_map(|delete_at_s| State::PendingDelete { delete_at_s }),
    ]
}

fn tag_lists() -> impl Strategy<Value = Tags> {
    btree_map("[^&\\p{Cc}]{1,8}", "[^\\p{Cc}]{0,8}", 0..6)
        .prop_map(|tags| Tags::new(tags.into_iter().map(|(key, value)| Tag { key, value }).collect()).unwrap())
}

fn version_lists() -> impl Strategy<Value = Vec<VersionMeta>> {
    let expiry = prop_oneof![2 => Just(0), 1 => any::<u64>()];
    let metas = vec((any::<[u8; 16]>(), any::<u64>(), any::<bool>(), any::<bool>(), expiry), 12);
    (btree_set(version_ids(), 1..12), metas).prop_map(|(ids, metas)| {
        let versions =
            ids.into_iter().zip(metas).map(|(id, (value, created_at_s, staged, text, expires_at_s))| VersionMeta {
                id,
                value: value.into(),
                created_at_s,
                staged,
                form: if text { Form::Text } else { Form::Binary },
                expires_at_s,
            });
        versions.collect()
    })
}

fn kinds() -> impl Strategy<Value = SecretKind> {
    let pair = ("skey-[a-z0-9]{8}", "[A-Za-z0-9][A-Za-z0-9_]{0,24}", any::<u64>()).prop_map(|(id, name, project)| {
        SecretKind::SshKeyPair(SshKeyPair { id: SshKeyId::parse(&id).unwrap(), name, project })
    });
    prop_oneof![Just(SecretKind::Custom), pair]
}

/// Rows of every shape that keeps the rules.
pub(in crate::secret) fn rows() -> impl Strategy<Value = SecretRow> {
    let who = ("[a-z0-9]{1,8}/[^\\p{Cc}]{1,20}", 0..crate::resource::CREATOR_LIMIT, any::<u64>());
    let what = (any::<[u8; 16]>(), names(), kinds(), states(), "\\PC{0,40}", tag_lists(), "[0-9_]{0,30}");
    (who, what, version_lists(), any::<prop::sample::Index>()).prop_map(|(who, what, mut versions, current)| {
        let (principal, number, created_at_s) = who;
        let (id, name, kind, state, description, tags, resource_id) = what;
        let current = current.index(versions.len());
        versions[current].staged = false;
        SecretRow {
            id: id.into(),
            name,
            kind,
            creator: CreatorNumber::new(number).unwrap(),
            creator_principal: Principal::parse(&format!("user/{principal}")).unwrap(),
            created_at_s,
            state,
            description: Description::new(description).unwrap(),
            tags,
            key: KeyId::default_key(),
            resource_id,
            current: versions[current].id.clone(),
            versions,
        }
    })
}

proptest! {
    #[test]
    fn a_row_comes_back_as_it_was(row in rows()) {
        prop_assert_eq!(SecretRow::decode(&row.encode()), Ok(row));
    }

    #[test]
    fn i10_any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        let _total = SecretRow::decode(&bytes);
    }

    #[test]
    fn i10_a_changed_row_is_refused_or_is_another_row_with_one_encoding(
        row in rows(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
        cuts: bool,
    ) {
        let mut bytes = row.encode();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if cuts {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok(read) = SecretRow::decode(&bytes) {
            prop_assert_eq!(read.encode(), bytes);
        }
    }
}

#[test]
fn a_row_cut_anywhere_or_with_a_byte_more_is_refused() {
    let row = created(&engine(), "prod/db").row.encode();
    assert!(SecretRow::decode(&row).is_ok());
    for length in 0..row.len() {
        assert!(SecretRow::decode(&row[..length]).is_err(), "{length}");
    }
    assert_eq!(SecretRow::decode(&[row.as_slice(), &[0]].concat()), Err(Damaged("trailing bytes")));
}

#[test]
fn a_row_that_breaks_a_rule_on_versions_is_refused() {
    let good = created(&engine(), "prod/db").row;
    let second = VersionMeta { id: VersionId::parse("v2").unwrap(), value: [9; 16].into(), ..good.versions[0].clone() };
    let with = |change: &dyn Fn(&mut SecretRow)| {
        let mut row = SecretRow { versions: vec![good.versions[0].clone(), second.clone()], ..good.clone() };
        change(&mut row);
        SecretRow::decode(&row.encode()).err()
    };
    assert_eq!(with(&|_| {}), None);
    assert_eq!(with(&|row| row.current = VersionId::parse("v3").unwrap()), Some(Damaged("current version")));
    assert_eq!(with(&|row| row.versions.clear()), Some(Damaged("current version")));
    assert_eq!(with(&|row| row.versions[0].staged = true), Some(Damaged("versions")));
    assert_eq!(with(&|row| row.versions[1].id = row.versions[0].id.clone()), Some(Damaged("versions")));
    assert_eq!(with(&|row| row.versions[1].value = row.versions[0].value), Some(Damaged("versions")));
    assert_eq!(with(&|row| row.versions[1].staged = true), None);
}

/// The bytes of a row as the first version of keyward wrote it, before there was anything else to say.
#[test]
fn a_row_of_the_first_version_is_read_and_written_the_same() {
    let row = created(&engine(), "prod/db").row;
    let bytes = row.encode();
    assert_eq!(bytes[0], ROW_VERSION);
    let read = SecretRow::decode(&bytes).unwrap();
    assert_eq!((&read.kind, read.versions[0].expires_at_s), (&SecretKind::Custom, 0));
    // With the same to say in the wider form it would have two encodings.
    let mut wider = [&[WIDER_ROW_VERSION], &bytes[1..], &[CUSTOM], &[0; 8]].concat();
    assert_eq!(SecretRow::decode(&wider), Err(Damaged("row version")));
    wider[bytes.len() + 8] = 9;
    let read = SecretRow::decode(&wider).unwrap();
    assert_eq!(read.versions[0].expires_at_s, 9);
    assert_eq!(read.encode(), wider);
}

#[test]
fn tags_in_another_order_or_twice_are_refused() {
    let tag = |key: &str| Tag { key: key.to_owned(), value: "x".to_owned() };
    let tags = Tags::new(vec![tag("first"), tag("other")]).unwrap();
    let row = SecretRow { tags, ..created(&engine(), "prod/db").row }.encode();
    let at = |key: &[u8]| row.windows(5).position(|window| window == key).unwrap();
    for (first, other) in [(b"other", b"first"), (b"first", b"first")] {
        let mut changed = row.clone();
        changed[at(b"first")..][..5].copy_from_slice(first);
        changed[at(b"other")..][..5].copy_from_slice(other);
        assert_eq!(SecretRow::decode(&changed), Err(Damaged("tags")));
    }
}

#[test]
fn i06_a_row_with_a_name_that_is_not_canonical_is_refused() {
    let row = created(&engine(), "prod/db").row.encode();
    let at = row.windows(7).position(|window| window == b"prod/db").unwrap();
    for bad in [b"prod//b", b"/rod/db", b"prod/..", b"prod/d/", b"prod%db", b"prod/d\0"] {
        let mut changed = row.clone();
        changed[at..at + 7].copy_from_slice(bad);
        assert_eq!(SecretRow::decode(&changed), Err(Damaged("name")), "{bad:?}");
    }
}

#[test]
fn states_have_one_form_each() {
    for state in [State::Enabled, State::Disabled, State::PendingDelete { delete_at_s: 1 }] {
        let (code, delete_at_s) = state.code();
        assert_eq!(State::from_code(code, delete_at_s), Ok(state));
        assert_eq!(state.delete_at_s(), delete_at_s);
    }
    for (code, delete_at_s) in [(0, 0), (1, 1), (2, 1), (3, 0), (4, 0)] {
        assert_eq!(State::from_code(code, delete_at_s), Err(Damaged("state")));
    }
}

#[test]
fn a_resource_id_has_the_vendors_form_and_is_new_for_each_life_of_a_name() {
    let mut life = [0; 16];
    life[1] = 1;
    life[2] = 27;
    let id = resource_id("100000000001", CreatorNumber::new(7).unwrap(), 1_767_225_600_000_001, life.into());
    assert_eq!(id, "100000000001_7_customize_1767225600000001000_abb");
}
