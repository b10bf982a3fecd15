use super::*;
use proptest::prelude::*;

fn manifest(files: Vec<Entry>) -> Manifest {
    Manifest::new("audit.example.com/keyward".to_owned(), 7, 5, 1_767_225_600_000_000, files)
}

fn entry(name: &str, bytes: &[u8]) -> Entry {
    Entry { name: name.to_owned(), bytes: bytes.len() as u64, sha256: hex::encode(hash::sha256(bytes)) }
}

/// A backup as it travels.
fn stream(files: &[(&str, &[u8])], manifest: &Manifest) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, content) in files {
        bytes.extend_from_slice(header(name, content.len() as u64).as_bytes());
        bytes.extend_from_slice(content);
    }
    let last = manifest.encode();
    bytes.extend_from_slice(header(MANIFEST, last.len() as u64).as_bytes());
    bytes.extend_from_slice(&last);
    bytes
}

fn receive(bytes: &[u8], block: usize) -> Result<Manifest, ReceiveError> {
    let scratch = tempfile::tempdir().unwrap();
    let mut receiver = Receiver::new(&scratch.path().join("in")).unwrap();
    bytes.chunks(block.max(1)).try_for_each(|block| receiver.push(block))?;
    receiver.finish()
}

#[test]
fn a_manifest_reads_back_and_no_byte_of_it_can_change() {
    let manifest = manifest(vec![entry("db/000004.sst", b"x"), entry("mark", b""), entry("head", b"h")]);
    let bytes = manifest.encode();
    assert_eq!(Manifest::parse(&bytes).unwrap(), manifest);
    for place in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[place] ^= 1 << bit;
            assert_eq!(Manifest::parse(&changed), Err(ManifestError), "bit {bit} of byte {place}");
        }
        assert_eq!(Manifest::parse(&bytes[..place]), Err(ManifestError), "cut at {place}");
    }
}

#[test]
fn no_name_leads_out_of_the_directory() {
    for good in ["manifest", "mark", "head", "db/CURRENT", "db/000012.sst", "db/MANIFEST-000005"] {
        assert!(is_name(good), "{good}");
    }
    let long = format!("db/{}", "a".repeat(65));
    let bad =
        ["", "db", "db/", "db/..", "db/.hidden", "db/a/b", "/mark", "../mark", "db/a b", "other", "db/a\0", "marks"];
    for bad in bad.into_iter().chain([long.as_str()]) {
        assert!(!is_name(bad), "{bad}");
    }
}

#[test]
fn what_is_sent_is_received_whatever_the_blocks() {
    let files: [(&str, &[u8]); 4] =
        [("db/a.sst", b"first"), ("db/b.log", b""), ("mark", b"m"), ("head", b"text\nfile x 3\n")];
    let manifest = manifest(files.iter().map(|(name, bytes)| entry(name, bytes)).collect());
    let bytes = stream(&files, &manifest);
    for block in [1, 2, 3, 7, 64, bytes.len() - 1, bytes.len()] {
        assert_eq!(receive(&bytes, block).unwrap(), manifest, "blocks of {block}");
    }
    // Every file is synced: not each place is tried.
    for cut in (0..bytes.len()).step_by(13) {
        assert!(receive(&bytes[..cut], 7).is_err(), "cut at {cut}");
    }
    for place in (0..bytes.len()).step_by(11) {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        assert!(receive(&changed, 64).is_err(), "byte {place} changed");
    }
}

#[test]
fn a_file_that_comes_twice_behind_the_manifest_or_unnamed_is_refused() {
    let one: (&str, &[u8]) = ("mark", b"m");
    let named = manifest(vec![entry("mark", b"m")]);
    assert!(receive(&stream(&[one], &named), 64).is_ok());
    assert!(receive(&stream(&[one, one], &named), 64).is_err());
    assert!(receive(&stream(&[one, ("head", b"h")], &named), 64).is_err());
    let behind = [stream(&[one], &named), b"file head 0\n".to_vec()].concat();
    assert!(receive(&behind, 64).is_err());
    assert!(receive(b"file db/../../x 0\n", 64).is_err());
    assert!(receive(b"file mark 01\n", 64).is_err());
}

proptest! {
    #[test]
    fn i10_backups_in_transit(bytes in proptest::collection::vec(any::<u8>(), 0..300), block in 1_usize..64) {
        prop_assert!(receive(&bytes, block).is_err());
        prop_assert!(Manifest::parse(&bytes).is_err());
    }
}
