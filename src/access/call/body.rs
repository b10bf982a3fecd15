//! The bodies of answers, one form for each content.

mod items;

use super::{Answer, Body, Content, Dialect, leaf_text};
use crate::access::access_keys::{Issued, status};
use crate::access::recording;
use crate::access::sessions::Begun;
use crate::error::ApiError;
use crate::secret::row::SshKeyPair;
use crate::secret::{Form, Plaintext, Servable, ssh_key};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

/// Why an answer cannot be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unwritten {
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("the public key cannot be read out of the private one")]
    PublicKey,
}

type Bytes = Result<Vec<u8>, Unwritten>;

/// The body that says `content`.
pub(super) fn of(content: Content, request: &str, dialect: Dialect) -> Result<Body, Unwritten> {
    let bytes = match content {
        Content::Object(object) => object_body(object, request, dialect),
        Content::Secret { servable, value } => match servable.row.pair() {
            Some(pair) => pair_body(pair, servable.row.description.as_str(), &value, request, dialect),
            None => secret_body(&servable, &value, request, dialect),
        },
        Content::Error(error) => of_error(&error, request, dialect),
        Content::Password(password) => password_body(&password, request, dialect),
        Content::AccessKey(issued) => access_key_body(&issued, request, dialect),
        Content::Session(begun) => session_body(&begun, request, dialect),
        Content::Items(answers) => items::body(&answers, request, dialect),
        Content::File(blocks) => return Ok(Body::Stream(Box::new(blocks.stream()))),
    };
    bytes.map(Body::Json)
}

fn object_body(mut object: Map<String, Value>, request: &str, dialect: Dialect) -> Bytes {
    if dialect == Dialect::Tencent {
        without_added(&mut object);
    }
    object.insert("RequestId".to_owned(), Value::from(request));
    to_bytes(&object, 256, dialect)
}

/// Fields that keyward added to answers of the vendor's: who reads those does not know them.
const ADDED_FIELDS: [&str; 6] = ["Current", "CurrentVersionId", "ExpiresAt", "Principal", "Staged", "Tags"];

/// Leaves out what keyward added, in the answer itself and in the objects that it lists.
fn without_added(object: &mut Map<String, Value>) {
    object.retain(|name, _| !ADDED_FIELDS.contains(&name.as_str()));
    let listed = object.values_mut().filter_map(Value::as_array_mut).flatten();
    listed.filter_map(Value::as_object_mut).for_each(without_added);
}

/// A value as replies write it: text, or base64, the other field empty.
struct Written<'a> {
    text: &'a str,
    binary: Zeroizing<String>,
}

impl<'a> Written<'a> {
    fn of(value: &'a Plaintext) -> Self {
        let bytes = value.expose();
        match (value.form(), std::str::from_utf8(bytes)) {
            (Form::Text, Ok(text)) => Self { text, binary: Zeroizing::default() },
            _ => Self { text: "", binary: Zeroizing::new(STANDARD.encode(bytes)) },
        }
    }

    fn bytes(&self) -> usize {
        self.text.len().saturating_add(self.binary.len())
    }
}

/// `{…fields…}` of a value's reply. SECURITY: here, and where the items of a call are written, opened values are written
/// into answers, and nowhere else.
fn secret_body(servable: &Servable, value: &Plaintext, request: &str, dialect: Dialect) -> Bytes {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Reply<'a> {
        secret_name: &'a str,
        version_id: &'a str,
        secret_binary: &'a str,
        secret_string: &'a str,
        request_id: &'a str,
    }
    let value = Written::of(value);
    let reply = Reply {
        secret_name: servable.row.name.as_str(),
        version_id: servable.version.id.as_str(),
        secret_binary: &value.binary,
        secret_string: value.text,
        request_id: request,
    };
    to_bytes(&reply, value.bytes().saturating_add(512), dialect)
}

/// The reply of GetSSHKeyPairValue. The public key is read out of the private one, which holds it.
fn pair_body(pair: &SshKeyPair, description: &str, private: &Plaintext, request: &str, dialect: Dialect) -> Bytes {
    #[derive(Serialize)]
    struct Reply<'a> {
        #[serde(rename = "SSHKeyID")]
        id: &'a str,
        #[serde(rename = "PublicKey")]
        public_key: &'a str,
        #[serde(rename = "PrivateKey")]
        private_key: &'a str,
        #[serde(rename = "ProjectID")]
        project: u64,
        #[serde(rename = "SSHKeyDescription")]
        description: &'a str,
        #[serde(rename = "SSHKeyName")]
        name: &'a str,
        #[serde(rename = "RequestId")]
        request: &'a str,
    }
    let value = Written::of(private);
    let public_key = ssh_key::public_line(private, &pair.name).ok_or(Unwritten::PublicKey)?;
    let reply = Reply {
        id: pair.id.as_str(),
        public_key: &public_key,
        private_key: value.text,
        project: pair.project,
        description,
        name: &pair.name,
        request,
    };
    // Line feeds take two bytes of JSON.
    to_bytes(&reply, value.bytes().saturating_mul(2).saturating_add(8_192), dialect)
}

fn password_body(password: &Plaintext, request: &str, dialect: Dialect) -> Bytes {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Reply<'a> {
        random_password: &'a str,
        request_id: &'a str,
    }
    let value = Written::of(password);
    to_bytes(
        &Reply { random_password: value.text, request_id: request },
        value.bytes().saturating_mul(2).saturating_add(512),
        dialect,
    )
}

/// The reply of CreateAccessKey.
fn access_key_body(issued: &Issued, request: &str, dialect: Dialect) -> Bytes {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Key<'a> {
        access_key_id: &'a str,
        secret_access_key: &'a str,
        status: &'a str,
        create_time: &'a str,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Reply<'a> {
        access_key: Key<'a>,
        request_id: &'a str,
    }
    let secret = issued.secret.expose();
    let access_key = Key {
        access_key_id: issued.id.as_str(),
        secret_access_key: &secret,
        status: status(true),
        create_time: &issued.created,
    };
    to_bytes(&Reply { access_key, request_id: request }, 512, dialect)
}

/// The reply of AssumeRole and its like.
fn session_body(begun: &Begun, request: &str, dialect: Dialect) -> Bytes {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Credentials<'a> {
        token: &'a str,
        tmp_secret_id: &'a str,
        tmp_secret_key: &'a str,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Reply<'a> {
        credentials: Credentials<'a>,
        expired_time: u64,
        expiration: String,
        request_id: &'a str,
    }
    let secret = begun.key.secret.expose();
    let credentials =
        Credentials { token: &begun.key.token, tmp_secret_id: begun.key.id.as_str(), tmp_secret_key: &secret };
    let expiration = recording::time_text(begun.expires_s);
    let reply = Reply { credentials, expired_time: begun.expires_s, expiration, request_id: request };
    to_bytes(&reply, 4_096, dialect)
}

pub(super) fn of_error(error: &ApiError, request: &str, dialect: Dialect) -> Bytes {
    let object = serde_json::json!({
        "Error": { "Code": error.code.as_str(), "Message": error.message },
        "RequestId": request,
    });
    to_bytes(&object, 256, dialect)
}

/// Writes JSON into a buffer large enough never to move, so that no copy of a value stays behind.
fn to_bytes(value: &impl Serialize, capacity: usize, dialect: Dialect) -> Bytes {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Wrapped<'a, T> {
        response: &'a T,
    }
    let mut bytes = Vec::with_capacity(capacity.saturating_add(16));
    match dialect {
        Dialect::Native => serde_json::to_writer(&mut bytes, value)?,
        Dialect::Tencent => serde_json::to_writer(&mut bytes, &Wrapped { response: value })?,
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::{Limits, SshKeyId};
    use serde::{Serializer, ser};

    #[test]
    fn what_cannot_be_written_is_no_empty_answer() {
        struct Never;
        impl Serialize for Never {
            fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(ser::Error::custom("never"))
            }
        }
        for dialect in [Dialect::Native, Dialect::Tencent] {
            assert!(matches!(to_bytes(&Never, 0, dialect), Err(Unwritten::Json(_))));
        }
    }

    #[test]
    fn a_private_key_without_a_public_one_is_not_answered() {
        let id = SshKeyId::parse("skey-0a1b2c3d").unwrap();
        let pair = SshKeyPair { id, name: "pair".to_owned(), project: 0 };
        let private = Plaintext::text("no key".to_owned(), &Limits::default()).unwrap();
        let written = pair_body(&pair, "", &private, "request", Dialect::Native);
        assert!(matches!(written, Err(Unwritten::PublicKey)));
    }
}
