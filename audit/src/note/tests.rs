use base64::Engine as _;
use proptest::prelude::*;
use signed_note::{StandardVerifier, VerifierList};

use super::*;
use crate::samples;

const EXAMPLE: &str = "This is an example message.\n\n\u{2014} example.com/foo \
    Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
const EXAMPLE_VKEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const SAMPLE_VKEY: &str = "audit.example.com/keyward+e5caf17d+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";

fn key(name: &str, first: u8) -> SigningKey {
    SigningKey::from_seed(name, &samples::seed(first)).unwrap()
}

fn sample_key() -> SigningKey {
    key(samples::ORIGIN, 0)
}

fn read(note: &str) -> Result<Note, NoteError> {
    Note::parse(note.as_bytes(), Limits::default())
}

fn verify(note: &str, keys: &[VerifyingKey]) -> Result<usize, NoteError> {
    read(note)?.verified_by(keys).map(|signers| signers.len())
}

#[test]
fn the_official_vector_verifies() {
    let note = read(EXAMPLE).unwrap();
    let keys = [VerifyingKey::parse(EXAMPLE_VKEY).unwrap()];
    assert_eq!(note.text(), "This is an example message.\n");
    assert_eq!(note.verified_by(&keys).unwrap(), [&keys[0]]);
}

#[test]
fn keys_of_the_vectors_have_their_vkeys() {
    let vectors = [
        (samples::ORIGIN, 0x00, SAMPLE_VKEY),
        (samples::ORIGIN, 0x40, "audit.example.com/keyward+29dd8b0b+ASVDuS/xCVURR2rcg2nbbdyTNmWhGXjdoUBO4QZsqVWd"),
        (
            "audit.example.com/keyward-2",
            0x60,
            "audit.example.com/keyward-2+22376831+ARdFU7RW3d/GkI7KscEB/mqyHiuqBhd5W31DpjSCmT/V",
        ),
    ];
    for (name, first, vkey) in vectors {
        assert_eq!(key(name, first).verifying_key().to_string(), vkey);
        assert_eq!(VerifyingKey::parse(vkey).unwrap().to_string(), vkey);
    }
}

#[test]
fn a_signing_key_comes_back_from_its_text() {
    let text = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    let vkey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    for written in [text.to_owned(), format!("{text}\n")] {
        let key = SigningKey::parse(&written).unwrap();
        assert_eq!(key.to_text().unwrap().as_str(), text);
        assert_eq!(key.verifying_key().to_string(), vkey);
    }
}

#[test]
fn a_key_out_of_form_is_refused() {
    let refused = [
        ("", KeyError::Form),
        ("name", KeyError::Form),
        ("name+e5caf17d", KeyError::Form),
        ("+e5caf17d+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4", KeyError::Name(String::new())),
        ("a b+e5caf17d+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4", KeyError::Name("a b".to_owned())),
        ("a\u{3000}b+e5caf17d+AQOh", KeyError::Name("a\u{3000}b".to_owned())),
        ("a+e5caf17d+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4", KeyError::Id("e5caf17d".to_owned())),
        ("a+e5caf17d+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVQ==", KeyError::Form),
        ("a+e5caf17d+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG", KeyError::Form),
        ("a+e5caf17d+BCmsuuFBvMrwsi4alNNNC8c2HlJtC/4SyJeUvJMilm3X", KeyError::Type(4)),
        ("a+e5caf17d+", KeyError::Form),
    ];
    for (text, error) in refused {
        assert_eq!(VerifyingKey::parse(text).unwrap_err(), error, "{text}");
        assert_eq!(SigningKey::parse(&format!("PRIVATE+KEY+{text}")).err(), Some(error), "{text}");
    }
    assert_eq!(SigningKey::parse(SAMPLE_VKEY).err(), Some(KeyError::Form));
    let upper = SAMPLE_VKEY.replace("e5caf17d", "E5CAF17D");
    assert_eq!(VerifyingKey::parse(&upper), Err(KeyError::Id("E5CAF17D".to_owned())));
}

#[test]
fn a_note_of_two_keys_verifies_by_either() {
    let (old, new) = (sample_key(), key(samples::ORIGIN, 0x40));
    let note = sign("text\n", &[&old, &new]).unwrap();
    let keys = [old.verifying_key().clone(), new.verifying_key().clone()];
    assert_eq!(verify(&note, &keys), Ok(2));
    assert_eq!(verify(&note, &keys[..1]), Ok(1));
    assert_eq!(verify(&note, &keys[1..]), Ok(1));
    assert_eq!(verify(&note, &[]), Err(NoteError::Untrusted));
}

#[test]
fn only_a_text_in_form_is_signed() {
    for text in ["", "no line feed", "carriage\r\n", "tab\t\n", "nul\0\n"] {
        assert_eq!(sign(text, &[&sample_key()]), Err(NoteError::Text), "{text:?}");
    }
    assert_eq!(sign("text\n", &[]), Err(NoteError::Unsigned));
}

#[test]
fn text_and_signatures_part_at_the_last_empty_line() {
    for text in ["a\n\nb\n", "a\n\n", "\n", "\n\n\n", "\u{2014} looks like a signature\n"] {
        let note = sign(text, &[&sample_key()]).unwrap();
        assert_eq!(read(&note).unwrap().text(), text, "{text:?}");
        assert_eq!(verify(&note, &[sample_key().verifying_key().clone()]), Ok(1), "{text:?}");
    }
}

#[test]
fn tamper_13_a_note_out_of_form_is_refused() {
    let note = sign("origin\n1\nroot\n", &[&sample_key()]).unwrap();
    let line = note.lines().last().unwrap();
    let edit = |from: &str, to: &str| {
        assert!(note.contains(from), "`{from}` is not in the note");
        note.replacen(from, to, 1)
    };
    let edits = [
        (edit("\n\n", "\n"), NoteError::NoSignatures),
        (format!("{note}\n"), NoteError::NoSignatures),
        (note.trim_end().to_owned(), NoteError::NoSignatures),
        (String::new(), NoteError::NoSignatures),
        ("\n\n".to_owned(), NoteError::NoSignatures),
        (edit("origin", "ori\rgin"), NoteError::Characters),
        (edit("\n1\n", "\r\n1\r\n"), NoteError::Characters),
        (edit("origin", "ori\u{0}gin"), NoteError::Characters),
        (edit("origin", "ori\tgin"), NoteError::Characters),
        (edit("\u{2014} ", "- "), NoteError::Line(1)),
        (edit("\u{2014} ", "\u{2014}\u{a0}"), NoteError::Line(1)),
        (edit("\u{2014} audit", "\u{2014}  audit"), NoteError::Line(1)),
        (edit("keyward 5", "keyward  5"), NoteError::Line(1)),
        (edit("keyward 5", "keyward"), NoteError::Line(1)),
        (edit("keyward 5", "key+ward 5"), NoteError::Line(1)),
        (edit("keyward 5", "key\u{2003}ward 5"), NoteError::Line(1)),
        (format!("{note}{line} \n"), NoteError::Line(2)),
        (format!("{note}\u{2014} name AAAAAA==\n"), NoteError::Line(2)),
        (format!("{note}\u{2014} name\n"), NoteError::Line(2)),
        (format!("{note}\u{2014}\n"), NoteError::Line(2)),
        (format!("{note}{}\n", line.trim_end_matches('=')), NoteError::Line(2)),
    ];
    for (edited, error) in edits {
        assert_eq!(read(&edited), Err(error), "{edited:?}");
    }
    assert_eq!(
        Note::parse(&[b"text\n\n\xff"[..].to_vec(), note.into_bytes()].concat(), Limits::default()).err(),
        Some(NoteError::Characters)
    );
}

#[test]
fn tamper_13_a_changed_text_or_signature_is_refused() {
    let key = sample_key();
    let keys = [key.verifying_key().clone()];
    let note = sign("origin\n1\nroot\n", &[&key]).unwrap();
    let bad = NoteError::BadSignature(SAMPLE_VKEY.to_owned());
    for (from, to) in [("origin", "Origin"), ("1", "2"), ("root", "roots"), ("root\n", "root\n\n")] {
        assert_eq!(verify(&note.replacen(from, to, 1), &keys), Err(bad.clone()), "{to}");
    }
    let signature = read(&note).unwrap().signatures()[0].clone();
    for length in [1, 63, 65, 128] {
        let mut bytes = signature.bytes.clone();
        bytes.resize(length, 0);
        let line = line_of(&signature.name, signature.id, &bytes);
        assert_eq!(verify(&format!("origin\n1\nroot\n\n{line}"), &keys), Err(bad.clone()), "{length} bytes");
    }
}

fn line_of(name: &str, id: [u8; 4], bytes: &[u8]) -> String {
    format!("\u{2014} {name} {}\n", BASE64.encode([&id, bytes].concat()))
}

#[test]
fn tamper_13_two_signatures_of_one_key_are_refused() {
    let key = sample_key();
    let note = sign("text\n", &[&key, &key]).unwrap();
    let refused = NoteError::Repeated(SAMPLE_VKEY.to_owned());
    assert_eq!(verify(&note, &[key.verifying_key().clone()]), Err(refused));
}

#[test]
fn tamper_13_a_signature_of_an_unknown_key_or_type_is_ignored() {
    let key = sample_key();
    let keys = [key.verifying_key().clone()];
    let note = sign("text\n", &[&key]).unwrap();
    let other_name = line_of("other", keys[0].id(), &[1; 64]);
    let other_id = line_of(samples::ORIGIN, [0; 4], &[6; 2_420]);
    assert_eq!(verify(&format!("{note}{other_name}{other_id}"), &keys), Ok(1));
    assert_eq!(verify(&format!("text\n\n{other_name}{other_id}"), &keys), Err(NoteError::Untrusted));
}

#[test]
fn tamper_13_a_known_name_and_id_with_another_keys_signature_is_refused() {
    let (key, forger) = (sample_key(), key(samples::ORIGIN, 9));
    let forged = forger.sign(b"text\n").unwrap();
    let note = format!("text\n\n{}", line_of(samples::ORIGIN, key.verifying_key().id(), &forged));
    let refused = NoteError::BadSignature(SAMPLE_VKEY.to_owned());
    assert_eq!(verify(&note, &[key.verifying_key().clone()]), Err(refused));
}

#[test]
fn the_same_key_trusted_twice_is_one_key() {
    let key = sample_key().verifying_key().clone();
    let note = sign("text\n", &[&sample_key()]).unwrap();
    assert_eq!(verify(&note, &[key.clone(), key]), Ok(1));
}

#[test]
fn size_and_number_of_signatures_are_limited() {
    let limits = Limits { bytes_max: 4_000, signatures_max: 16 };
    let with = |lines: usize| {
        let others: String = (1..lines).map(|n| line_of(&format!("w{n}"), [0; 4], &[1; 64])).collect();
        format!("{}{others}", sign("text\n", &[&sample_key()]).unwrap())
    };
    assert_eq!(Note::parse(with(16).as_bytes(), limits).unwrap().signatures().len(), 16);
    assert_eq!(Note::parse(with(17).as_bytes(), limits), Err(NoteError::TooMany(16)));
    let long = sign(&format!("{}\n", "x".repeat(4_000)), &[&sample_key()]).unwrap();
    assert_eq!(Note::parse(long.as_bytes(), limits), Err(NoteError::TooLarge(long.len())));
}

/// What another implementation makes of a note: its text, and whether the sample key has signed it.
fn other_reading(note: &[u8]) -> Option<(Vec<u8>, bool)> {
    let read = signed_note::Note::from_bytes(note).ok()?;
    let known = VerifierList::new(vec![Box::new(StandardVerifier::new(SAMPLE_VKEY).unwrap())]);
    Some((read.text().to_vec(), read.verify(&known).is_ok()))
}

fn assert_read_alike(note: &[u8]) {
    let ours = Note::parse(note, Limits::default()).ok();
    let theirs = other_reading(note);
    let texts = (ours.as_ref().map(|note| note.text().as_bytes()), theirs.as_ref().map(|(text, _)| text.as_slice()));
    assert_eq!(texts.0, texts.1, "{:?}", String::from_utf8_lossy(note));
    if let (Some(ours), Some((_, theirs))) = (ours, theirs) {
        let keys = [sample_key().verifying_key().clone()];
        let verdict = ours.verified_by(&keys);
        assert!(verdict.is_ok() == theirs || matches!(verdict, Err(NoteError::Repeated(_))), "{verdict:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn i10_parsing_a_note_is_total(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        assert_read_alike(&bytes);
    }

    #[test]
    fn a_damaged_note_is_read_as_another_implementation_reads_it(
        text in "[a-z\n]{0,12}\n", place in any::<prop::sample::Index>(), cut in 0..3_usize,
        with in "(\\PC|[\n\u{2014} +=A]){0,3}",
    ) {
        let note = sign(&text, &[&sample_key(), &key("other", 7)]).unwrap().into_bytes();
        assert_read_alike(&note);
        let place = place.index(note.len());
        let end = (place + cut).min(note.len());
        assert_read_alike(&[&note[..place], with.as_bytes(), &note[end..]].concat());
    }

    #[test]
    fn any_text_in_form_is_signed_as_another_implementation_signs_it(text in "[^\\p{Cc}]{0,40}\n") {
        let key = sample_key();
        let other = signed_note::StandardSigner::new(&key.to_text().unwrap()).unwrap();
        let mut theirs = signed_note::Note::new(text.as_bytes(), &[]).unwrap();
        theirs.add_sigs(&[&other]).unwrap();
        prop_assert_eq!(sign(&text, &[&key]).unwrap().into_bytes(), theirs.to_bytes());
    }
}
