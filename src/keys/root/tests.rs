use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use proptest::prelude::*;

use super::*;
use crate::clock::SystemRandom;

fn provider(folder: &tempfile::TempDir) -> FileProvider {
    FileProvider::new(folder.path().join("root.key"))
}

fn refusal(provider: &FileProvider) -> String {
    provider.load().err().unwrap().to_string()
}

/// Writes `text` with mode 0600 and says why it is refused.
fn refused_text(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let provider = provider(&folder);
    provider.write(text).unwrap();
    refusal(&provider)
}

fn good_text() -> String {
    format(&KeyMaterial::from_bytes(Zeroizing::new([9; 32]))).to_string()
}

#[test]
fn a_created_root_key_is_read_back_and_only_its_owner_may_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let provider = provider(&folder);
    let created = provider.create(&SystemRandom).unwrap();
    assert!(provider.load().unwrap().key.expose() == created.key.expose());
    assert_eq!(fs::metadata(&provider.path).unwrap().mode() & 0o7777, 0o600);
    assert_eq!(created.place(), provider.path.display().to_string());
    assert_eq!(fs::read(&provider.path).unwrap().len(), FILE_BYTES);
}

#[test]
fn a_root_key_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let provider = provider(&folder);
    fs::write(&provider.path, b"").unwrap();
    assert!(matches!(provider.create(&SystemRandom), Err(RootKeyError::Exists(_))));
    assert_eq!(fs::read(&provider.path).unwrap(), b"");
}

#[test]
fn attack_h03_absent_root_key() {
    let folder = tempfile::tempdir().unwrap();
    let provider = provider(&folder);
    assert_eq!(refusal(&provider), format!("the root key file `{}` does not exist", provider.path.display()));
}

#[test]
fn attack_h03_root_key_open_to_others() {
    let folder = tempfile::tempdir().unwrap();
    let provider = provider(&folder);
    provider.create(&SystemRandom).unwrap();
    for mode in [0o640, 0o604, 0o602, 0o620, 0o610, 0o777] {
        fs::set_permissions(&provider.path, Permissions::from_mode(mode)).unwrap();
        let place = provider.path.display();
        let expected = format!("the root key file `{place}` is open to others (mode {mode:04o}); make it 0600");
        assert_eq!(refusal(&provider), expected);
    }
    for mode in [0o600, 0o400] {
        fs::set_permissions(&provider.path, Permissions::from_mode(mode)).unwrap();
        assert!(provider.load().is_ok(), "{mode:o}");
    }
}

#[test]
fn attack_h03_all_zero_root_key() {
    let zero = KeyMaterial::from_bytes(Zeroizing::new([0; 32]));
    assert!(refused_text(&format(&zero)).ends_with("is not a root key: the key is all zero"));
}

#[test]
fn attack_h03_root_key_of_wrong_form_is_refused_in_one_line_that_names_the_file_and_not_the_key() {
    let good = good_text();
    let key = "09".repeat(32);
    let check = good.lines().last().unwrap().to_owned();
    let cases = [
        (String::new(), "the first line is not `keyward-root-key/v1`"),
        (good.replace("v1", "v2"), "the first line is not `keyward-root-key/v1`"),
        (good.replace(&key, ""), "the key is not 64 lower-case hex digits"),
        (good.replace(&key, key.get(2..).unwrap()), "the key is not 64 lower-case hex digits"),
        (good.replace(&key, &format!("{key}09")), "it ends before the check"),
        (good.replacen("09", "0G", 1), "the key is not 64 lower-case hex digits"),
        (good.replacen("09", "0A", 1), "the key is not 64 lower-case hex digits"),
        (good.replacen("09", "08", 1), "the check does not fit the key"),
        (good.replace(&check, ""), "the check is not 16 lower-case hex digits"),
        (good.replace(&check, &check.to_uppercase()), "the check is not 16 lower-case hex digits"),
        (format!("{HEADER}\n{key}"), "it ends before the key"),
        (format!("{good}\n"), "the check is not 16 lower-case hex digits"),
        (good.trim_end().to_owned(), "it ends before the check"),
        (good.replace('\n', "\r\n"), "the first line is not `keyward-root-key/v1`"),
    ];
    for (text, expected) in cases {
        let message = refused_text(&text);
        assert!(message.ends_with(expected), "{message}");
        assert!(message.starts_with("the root key file `/") && !message.contains('\n'), "{message}");
        assert!(!message.contains("0909090909"), "{message}");
    }
}

#[test]
fn the_form_of_the_file_is_fixed() {
    let expected = format!("keyward-root-key/v1\n{}\n{}\n", "09".repeat(32), CHECK_OF_NINES);
    assert_eq!(good_text(), expected);
}

/// HMAC-SHA-256 with 32 bytes 0x09 over `keyward-root-key/v1`, first 8 bytes, computed with another program.
const CHECK_OF_NINES: &str = "41de13af23e8180a";

proptest! {
    #[test]
    fn i10_any_text_is_read_or_refused(text: String) {
        prop_assert!(parse(&text).is_err());
    }

    #[test]
    fn any_changed_byte_is_noticed(at in 0..FILE_BYTES, byte: u8) {
        let mut bytes = good_text().into_bytes();
        prop_assume!(bytes[at] != byte);
        bytes[at] = byte;
        let changed = String::from_utf8(bytes).ok();
        prop_assert!(changed.is_none_or(|text| parse(&text).is_err()));
    }
}
