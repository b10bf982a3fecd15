use std::collections::HashMap;

use base64::Engine as _;

use super::*;
use crate::hash;
use crate::samples;
use crate::tree::Frontier;

/// Checkpoint of the sample log at `size`, under `origin`.
fn sample_head(origin: &str, size: usize) -> Checkpoint {
    let mut frontier = Frontier::new();
    for sample in samples::LOG.iter().take(size) {
        frontier.push(hash::leaf(sample.bytes));
    }
    Checkpoint { origin: origin.to_owned(), size: frontier.size(), root: frontier.root() }
}

fn key(origin: &str, first: u8) -> SigningKey {
    SigningKey::from_seed(origin, &samples::seed(first)).unwrap()
}

fn signed(size: usize) -> SignedCheckpoint {
    SignedCheckpoint::sign(sample_head(samples::ORIGIN, size), &[&key(samples::ORIGIN, 0)]).unwrap()
}

fn keys() -> [VerifyingKey; 1] {
    [key(samples::ORIGIN, 0).verifying_key().clone()]
}

const AT_13: &str = "\
audit.example.com/keyward
13
KsrYostxj92tgAHUOAJYB1nLZccFSnXJ8feHjVQ99jk=

\u{2014} audit.example.com/keyward \
5crxfSc9kX8lz+lbZhTuqlpRRCm/IaxpyzusSPR7zWIvtbPKyswVbTGCrY6iL0jFd83JYZwLYqKFErne33PkLs8+RgQ=
";
const AT_THE_BORDER: &str = "\
audit.example.com/keyward
14
DvQUKVf9ydKyf/4ioOU7jDc0bl7XNeFGxR+FpdFE3tU=

\u{2014} audit.example.com/keyward \
5crxfeuMF6grfcOqOSzLHYXl5zO40FoGzq272hfIYs6O+HyrF0SpRyfj362bALDGaveQHVV5HXLibEK5YmuraSKVtgo=
\u{2014} audit.example.com/keyward \
Kd2LC71nyt6tVukNsSLocJUCW3QlHgf4WfidcKAu55PIuF01R6aZgep3LDFz8EX4i7o1EHhl1RqsD1KUAYQdye+D9Q0=
";
const AFTER_THE_LOSS: &str = "\
audit.example.com/keyward-2
15
WgjeEncXTzuuvqQTKbBv30H3lLWVi6/pAJd4WJp+y+I=

\u{2014} audit.example.com/keyward-2 \
IjdoMS5bnELCA8ay1LRQEx0vYzJsCvYlwGq1L9G+YOVD2yhS15+FrmVLkvyq5qKDx3nyBqU8WJwlg/gojmqfWbWaLAA=
";

#[test]
fn the_sample_checkpoints_have_their_bytes() {
    assert_eq!(signed(13).note(), AT_13);
    let both = [key(samples::ORIGIN, 0), key(samples::ORIGIN, 0x40)];
    let border = SignedCheckpoint::sign(sample_head(samples::ORIGIN, 14), &[&both[0], &both[1]]).unwrap();
    assert_eq!(border.note(), AT_THE_BORDER);
    let origin = "audit.example.com/keyward-2";
    let after = SignedCheckpoint::sign(sample_head(origin, 15), &[&key(origin, 0x60)]).unwrap();
    assert_eq!(after.note(), AFTER_THE_LOSS);
}

#[test]
fn the_raw_export_of_the_sample_log_has_its_bytes() {
    let records: Vec<&[u8]> = samples::LOG.iter().take(13).map(|sample| sample.bytes).collect();
    let mut file = Vec::new();
    for record in &records {
        file.extend_from_slice(record);
        file.push(b'\n');
    }
    file.push(b'\n');
    file.extend_from_slice(signed(13).note().as_bytes());
    file.push(b'\n');
    for record in &records {
        file.extend_from_slice(BASE64.encode(hash::leaf(record)).as_bytes());
        file.push(b'\n');
    }
    assert_eq!(file.len(), 10_953);
    let expected = "1d46307147d3f7783591e19d6bc646d74acc2e2fe0e94571298f2462f7baba00";
    assert_eq!(hex::encode(hash::sha256(&file)), expected);
}

#[test]
fn a_signed_checkpoint_verifies_and_comes_back() {
    for size in 0..=15 {
        let checkpoint = signed(size);
        let read = SignedCheckpoint::parse_and_verify(checkpoint.note().as_bytes(), &keys()).unwrap();
        assert_eq!(read, checkpoint);
        assert_eq!(read.checkpoint(), &sample_head(samples::ORIGIN, size));
    }
}

#[test]
fn the_border_checkpoint_verifies_by_the_old_key_the_new_one_and_both() {
    let (old, new) = (key(samples::ORIGIN, 0), key(samples::ORIGIN, 0x40));
    let keys = [old.verifying_key().clone(), new.verifying_key().clone()];
    for trusted in [&keys[..1], &keys[1..], &keys[..]] {
        let read = SignedCheckpoint::parse_and_verify(AT_THE_BORDER.as_bytes(), trusted).unwrap();
        assert_eq!(read.checkpoint().size, 14);
    }
}

#[test]
fn only_keys_of_the_origins_name_sign() {
    let refused = CheckpointError::Origin(samples::ORIGIN.to_owned());
    let head = sample_head(samples::ORIGIN, 1);
    assert_eq!(SignedCheckpoint::sign(head, &[&key("other", 0)]), Err(refused.clone()));
    let other = key("other", 0);
    let note = note::sign(&sample_head(samples::ORIGIN, 1).text(), &[&other]).unwrap();
    let verified = SignedCheckpoint::parse_and_verify(note.as_bytes(), &[other.verifying_key().clone()]);
    assert_eq!(verified, Err(refused));
    let none = SignedCheckpoint::sign(sample_head(samples::ORIGIN, 1), &[]);
    assert_eq!(none, Err(CheckpointError::Note(NoteError::Unsigned)));
}

#[test]
fn a_text_out_of_form_is_no_checkpoint() {
    let root = BASE64.encode([0; 32]);
    let size = |text: &str| CheckpointError::Size(text.to_owned());
    let refused = [
        (String::new(), CheckpointError::Lines),
        ("\n".to_owned(), CheckpointError::Lines),
        ("o\n".to_owned(), CheckpointError::Lines),
        (format!("o\n1\n{root}"), CheckpointError::Lines),
        ("o\n1\n".to_owned(), CheckpointError::Lines),
        (format!("\n1\n{root}\n"), CheckpointError::Lines),
        (format!("o\n01\n{root}\n"), size("01")),
        (format!("o\n+1\n{root}\n"), size("+1")),
        (format!("o\n-1\n{root}\n"), size("-1")),
        (format!("o\n 1\n{root}\n"), size(" 1")),
        (format!("o\n\n{root}\n"), size("")),
        (format!("o\n1.0\n{root}\n"), size("1.0")),
        (format!("o\n18446744073709551616\n{root}\n"), size("18446744073709551616")),
        ("o\n1\nAAAA\n".to_owned(), CheckpointError::Root("AAAA".to_owned())),
        (format!("o\n1\n{root}=\n"), CheckpointError::Root(format!("{root}="))),
        ("o\n1\n\n".to_owned(), CheckpointError::Root(String::new())),
        (format!("o\n1\n{root}\nmore\n"), CheckpointError::Extension("more".to_owned())),
        (format!("o\n1\n{root}\n\n"), CheckpointError::Extension(String::new())),
    ];
    for (text, error) in refused {
        assert_eq!(Checkpoint::parse(&text), Err(error), "{text:?}");
    }
    let root = [7; 32];
    let largest = Checkpoint { origin: "o".to_owned(), size: u64::MAX, root };
    assert_eq!(Checkpoint::parse(&largest.text()), Ok(largest));
}

#[test]
fn tamper_13_an_edited_checkpoint_is_refused() {
    let edit = |from: &str, to: &str| {
        assert!(AT_13.contains(from), "`{from}` is not in the note");
        AT_13.replacen(from, to, 1)
    };
    let edits = [
        ("size", edit("\n13\n", "\n12\n")),
        ("size with a zero before", edit("\n13\n", "\n013\n")),
        ("root", edit("KsrY", "KsrZ")),
        ("origin", edit("audit.example.com/keyward\n", "audit.example.com/keywarD\n")),
        ("origin and key name", AT_13.replace("example.com/keyward", "example.com/keyward-2")),
        ("an empty line more in the text", edit("\n\n", "\n\n\n")),
        ("an empty line after the origin", edit("\n13", "\n\n13")),
        ("an empty line at the end", format!("{AT_13}\n")),
        ("carriage returns", AT_13.replace('\n', "\r\n")),
        ("a control character", edit("13\n", "13\u{1}\n")),
        ("an extension line", edit("\n\n", "\nextension\n\n")),
        ("two signatures of one key", format!("{AT_13}{}\n", AT_13.lines().last().unwrap())),
        ("an unknown key alone", edit("keyward 5crx", "keyward 5crz")),
        ("no signature", AT_13.lines().take(4).map(|line| format!("{line}\n")).collect()),
    ];
    for (what, note) in edits {
        let verified = SignedCheckpoint::parse_and_verify(note.as_bytes(), &keys());
        assert!(verified.is_err(), "{what}");
    }
}

#[test]
fn tamper_13_a_signed_extension_line_is_reported() {
    let text = format!("{}extension\n", sample_head(samples::ORIGIN, 13).text());
    let note = note::sign(&text, &[&key(samples::ORIGIN, 0)]).unwrap();
    let verified = SignedCheckpoint::parse_and_verify(note.as_bytes(), &keys());
    assert_eq!(verified, Err(CheckpointError::Extension("extension".to_owned())));
}

#[test]
fn tamper_13_every_flipped_bit_is_refused() {
    for place in 0..AT_13.len() * 8 {
        let mut bytes = AT_13.as_bytes().to_vec();
        bytes[place / 8] ^= 1 << (place % 8);
        assert!(SignedCheckpoint::parse_and_verify(&bytes, &keys()).is_err(), "bit {place}");
    }
}

/// Two keys of one name and one id. The bytes need not be points of the curve to be trusted by mistake.
fn colliding_keys() -> [VerifyingKey; 2] {
    let mut seen = HashMap::new();
    for count in 0_u64.. {
        let public = hash::sha256(&count.to_be_bytes());
        let id = hash::sha256(&[samples::ORIGIN.as_bytes(), b"\n\x01", &public].concat());
        if let Some(earlier) = seen.insert(id[..4].to_vec(), public) {
            return [earlier, public].map(|public| {
                let typed = BASE64.encode([&[1], public.as_slice()].concat());
                VerifyingKey::parse(&format!("{}+{}+{typed}", samples::ORIGIN, hex::encode(&id[..4]))).unwrap()
            });
        }
    }
    panic!("no two ids of 32 bits collide")
}

#[test]
fn tamper_13_keys_that_share_name_and_id_are_refused() {
    let keys = colliding_keys();
    assert_eq!((keys[0].name(), keys[0].id()), (keys[1].name(), keys[1].id()));
    let signature = BASE64.encode([keys[0].id().as_slice(), &[0; 64]].concat());
    let text = sample_head(samples::ORIGIN, 13).text();
    let note = format!("{text}\n\u{2014} {} {signature}\n", samples::ORIGIN);
    let verified = SignedCheckpoint::parse_and_verify(note.as_bytes(), &keys);
    assert!(matches!(verified, Err(CheckpointError::Note(NoteError::Ambiguous(_)))), "{verified:?}");
}
