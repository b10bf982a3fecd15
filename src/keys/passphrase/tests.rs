use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use proptest::prelude::*;

use super::*;
use crate::clock::SystemRandom;

const PASSPHRASE: &str = "correct horse battery staple";

/// A provider with its passphrase in a file of that text.
fn provider(folder: &tempfile::TempDir, passphrase: &str) -> PassphraseProvider {
    let file = folder.path().join("passphrase");
    fs::write(&file, passphrase).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    PassphraseProvider::new(folder.path().join("root.key"), PassphraseSource::File(file))
}

fn refusal(provider: &PassphraseProvider) -> String {
    let text = provider.load().err().unwrap().to_string();
    assert!(!text.contains('\n') && !text.contains("horse"), "{text}");
    text
}

#[test]
fn a_root_key_comes_back_from_its_passphrase_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let made = provider(&folder, PASSPHRASE).create(&SystemRandom).unwrap();
    let file = folder.path().join("root.key");
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o7777, 0o600);
    for ended in [PASSPHRASE.to_owned(), format!("{PASSPHRASE}\n"), format!("{PASSPHRASE}\r\n")] {
        assert_eq!(provider(&folder, &ended).load().unwrap().id(), made.id());
    }
    let before = fs::read(&file).unwrap();
    for other in ["correct horse battery stapl", "correct horse battery staple ", "x"] {
        let text = refusal(&provider(&folder, other));
        assert!(text.contains("is not the one of the root key in"), "{text}");
    }
    assert_eq!(fs::read(&file).unwrap(), before, "nothing is touched");
    let again = provider(&folder, PASSPHRASE).create(&SystemRandom);
    assert!(matches!(again, Err(RootKeyError::Exists(_))));
    let other = tempfile::tempdir().unwrap();
    let other = provider(&other, PASSPHRASE).create(&SystemRandom).unwrap();
    assert_ne!(other.id(), made.id(), "the salt makes another key of the same passphrase");
}

#[test]
fn passphrases_that_are_none_are_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    provider(&folder, PASSPHRASE).create(&SystemRandom).unwrap();
    for bad in ["", "\n", "two\nlines", &"x".repeat(1025)] {
        let text = refusal(&provider(&folder, bad));
        assert!(text.ends_with("it is one line of 1 to 1024 bytes"), "{text}");
    }
    let open = provider(&folder, PASSPHRASE);
    fs::set_permissions(folder.path().join("passphrase"), Permissions::from_mode(0o640)).unwrap();
    assert!(refusal(&open).contains("is open to others (mode 0640)"));
    let absent = |source| refusal(&PassphraseProvider::new(folder.path().join("root.key"), source));
    // Never mistaken for the root key's own file, which is made if it is not there.
    let no_such = folder.path().join("no-such");
    let said = format!("the passphrase in `{}` cannot be used: the file does not exist", no_such.display());
    assert_eq!(absent(PassphraseSource::File(no_such)), said);
    let variable = absent(PassphraseSource::Variable("KEYWARD_NO_SUCH_VARIABLE".to_owned()));
    assert_eq!(variable, "the passphrase in `$KEYWARD_NO_SUCH_VARIABLE` cannot be used: the variable is not set");
    assert!(absent(PassphraseSource::Credential("none".to_owned())).contains("`$CREDENTIALS_DIRECTORY/none`"));
}

#[test]
fn a_new_root_key_takes_a_passphrase_of_some_length() {
    let folder = tempfile::tempdir().unwrap();
    let error = provider(&folder, "elevenbytes").create(&SystemRandom).err().unwrap().to_string();
    assert!(error.ends_with("a new root key takes a passphrase of at least 12 bytes"), "{error}");
    assert!(!folder.path().join("root.key").exists());
    assert!(provider(&folder, "twelve bytes").create(&SystemRandom).is_ok());
}

/// A vector of the reference implementation (argon2id, version 0x13).
#[test]
fn the_derivation_is_that_of_others() {
    let cost = Cost { memory_kib: 65_536, passes: 2, lanes: 1 };
    let key = cost.derive(b"password", b"somesalt").unwrap();
    assert_eq!(hex::encode(key.expose()), "09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7");
}

fn form() -> Form {
    Form { cost: Cost::NEW, salt: [7; SALT_BYTES], check: [9; CHECK_BYTES] }
}

#[test]
fn the_form_of_the_file_is_fixed_and_its_cost_is_stated_and_bounded() {
    let text = form().text();
    let expected = format!(
        "keyward-root-passphrase/v1\nargon2id m=65536 t=3 p=4\n{}\n{}\n",
        "07".repeat(SALT_BYTES),
        "09".repeat(CHECK_BYTES)
    );
    assert_eq!(text, expected);
    assert_eq!(Form::parse(&text), Ok(form()));
    let cost = |cost: &str| Form::parse(&text.replace("m=65536 t=3 p=4", cost)).err().unwrap_or("");
    for bad in [
        "m=19455 t=3 p=4",
        "m=1048577 t=3 p=4",
        "m=65536 t=1 p=4",
        "m=65536 t=17 p=4",
        "m=65536 t=3 p=0",
        "m=65536 t=3 p=17",
    ] {
        assert!(cost(bad).contains("out of bounds"), "{bad}: {}", cost(bad));
    }
    for bad in [
        "m=065536 t=3 p=4",
        "m=65536 t=3 p=4 ",
        "m=65536  t=3 p=4",
        "m=65536 t=3",
        "t=3 m=65536 p=4",
        "m=99999999999 t=3 p=4",
    ] {
        assert!(cost(bad).contains("the cost is not"), "{bad}: {}", cost(bad));
    }
    for good in ["m=19456 t=2 p=1", "m=1048576 t=16 p=16"] {
        assert_eq!(cost(good), "", "{good}");
    }
}

#[test]
fn a_changed_salt_or_cost_is_another_passphrase() {
    let folder = tempfile::tempdir().unwrap();
    let provider = provider(&folder, PASSPHRASE);
    provider.create(&SystemRandom).unwrap();
    let good = fs::read_to_string(&provider.path).unwrap();
    let salt = good.lines().nth(2).unwrap();
    let digit = if salt.starts_with('0') { "1" } else { "0" };
    for changed in [good.replace("t=3", "t=2"), good.replace(salt, &format!("{digit}{}", salt.get(1..).unwrap()))] {
        fs::write(&provider.path, changed).unwrap();
        assert!(refusal(&provider).ends_with("or that file was changed"));
    }
    let file = crate::keys::FileProvider::new(&provider.path);
    assert!(file.load().err().unwrap().to_string().contains("the first line is not `keyward-root-key/v1`"));
}

proptest! {
    #[test]
    fn i10_any_text_is_read_or_refused_and_what_is_read_has_one_form(text: String, at in 0..120_usize, byte: u8) {
        prop_assert!(Form::parse(&text).is_err());
        let mut bytes = form().text().into_bytes();
        if let Some(place) = bytes.get_mut(at) { *place = byte; }
        if let Ok(text) = String::from_utf8(bytes) && let Ok(read) = Form::parse(&text) {
            prop_assert_eq!(read.text(), text);
        }
    }
}
