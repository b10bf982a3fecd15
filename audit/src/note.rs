//! Signed notes and the Ed25519 keys that sign them (C2SP signed-note v1.0.0; `SPEC.md` 5).
//!
//! A note is a text and signature lines. A signature is matched to a key by the pair of key name and key id; a pair
//! that is not known is ignored, a known pair with a bad signature makes the whole note invalid.
//!
//! SECURITY: parsing is total on any bytes and bounded by [`Limits`]. A [`SigningKey`] has neither `Debug`, `Clone` nor
//! a serializer; its seed leaves only through [`SigningKey::to_text`], in a buffer that is wiped.
//! Pure computation: nothing here is lost when the process dies.

mod key;
mod parse;

#[cfg(test)]
mod tests;

pub use key::{KeyError, SigningKey, VerifyingKey};
pub use parse::{Limits, Note, NoteError, Signature};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// Signs `text` with each of `keys`: the whole note, one signature line for each key, in their order.
///
/// # Errors
/// [`NoteError::Text`] if the text is empty, does not end in a line feed or holds a control character;
/// [`NoteError::Unsigned`] without keys; [`NoteError::Signing`] if the library cannot sign.
pub fn sign(text: &str, keys: &[&SigningKey]) -> Result<String, NoteError> {
    parse::check_text(text)?;
    if keys.is_empty() {
        return Err(NoteError::Unsigned);
    }
    let mut note = format!("{text}\n");
    for key in keys {
        let verifying = key.verifying_key();
        let mut payload = verifying.id().to_vec();
        payload.extend_from_slice(&key.sign(text.as_bytes()).map_err(|_| NoteError::Signing)?);
        note.push_str(parse::SIGNATURE_PREFIX);
        note.push_str(verifying.name());
        note.push(' ');
        BASE64.encode_string(&payload, &mut note);
        note.push('\n');
    }
    Ok(note)
}
