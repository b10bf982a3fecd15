//! The stored bytes are for ever: rows made by a second implementation (`golden/make.py`) load, open, and are
//! written again byte for byte.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use keyward_audit::store::{Family, Key};

use super::fixture::{name, opened};
use super::{Engine, address, lookup};
use crate::clock::SystemRandom;
use crate::keys::fixture::MemoryRows;
use crate::keys::{FileProvider, Keyring, RootKey, RootKeyProvider as _};

/// Key bytes 0x00 to 0x1f.
const ROOT_KEY: &str = "keyward-root-key/v1\n\
    000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n\
    8ac1fa88534311be\n";

fn root_key() -> RootKey {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("root.key");
    fs::write(&path, ROOT_KEY).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    FileProvider::new(path).load().unwrap()
}

fn rows() -> MemoryRows {
    let mut rows = MemoryRows::default();
    for line in include_str!("golden/rows.txt").lines() {
        let [family, key, row] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let family = if family == "keys" { Family::Keys } else { Family::Secrets };
        rows.0.insert((family, hex::decode(key).unwrap()), hex::decode(row).unwrap());
    }
    rows
}

#[test]
fn i08_rows_of_a_second_implementation_open_and_are_written_the_same() {
    let rows = rows();
    let keyring = Keyring::load(&rows, &root_key()).unwrap();
    let engine = Engine::new(keyring.into(), std::sync::Arc::new(SystemRandom));
    let (keyring, row_key) = (engine.keyring(), engine.row_key());
    let row = lookup::secret(&rows, row_key, &name("prod/pay/db-password")).unwrap().unwrap();
    assert_eq!(row.creator, keyring.creator_number(&row.creator_principal));
    let view = lookup::creation(&rows, row_key, &name("free"), row.creator).unwrap();
    assert_eq!(view.creator_principal.as_ref(), Some(&row.creator_principal));
    let version = row.serve(None).unwrap();
    let sealed = lookup::value(&rows, &row, version).unwrap();
    assert_eq!(opened(&engine, &sealed, &row.binding(version)).unwrap().expose(), "golden välue".as_bytes());

    let mut again = rows.clone();
    let mut authentic = |key: Key, row| again.put(&key, row_key.authenticate(&key, row));
    authentic(address::secret(&row.name), row.encode());
    authentic(address::creator(row.creator), row.creator_principal.as_str().into());
    again.put(&address::value(row.id, version.value), sealed.encode());
    assert_eq!(again, rows);
}
