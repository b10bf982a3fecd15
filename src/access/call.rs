//! What a door hands in, [`Call`], and what it gets back, [`Answer`].
//!
//! INVARIANT I1, I3: an answer that carries anything is built from a `Committed<_>`; what is not has no other
//! content than "not now" ([`Unrecorded`]) or stands in a count ([`Counted`]).

mod items;

use super::access_keys::{Issued, status};
use super::export::{Blocks, ExportStream};
use super::grant::{Denial, Done, Exported, Failure, Generated, Grant, Read};
use super::recording;
use super::sessions::Begun;
use super::signed::{Checked, Rejected, Signed, no_credential};
use crate::authn::Authenticated;
use crate::error::{ApiError, Code};
use crate::floods::Counted;
use crate::secret::row::SshKeyPair;
use crate::secret::{Form, Plaintext, Servable, ssh_key};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use keyward_audit::{Committed, Locator, Refused};
use serde::Serialize;
use serde_json::{Map, Value};
use std::net::IpAddr;
use std::sync::Arc;
use zeroize::Zeroizing;

/// One message for every bad token, whatever the cause.
const BAD_TOKEN: &str = "the token is not accepted";

/// What the caller shows as its credential.
pub enum Presented {
    /// No Authorization header.
    Nothing,
    /// Several of them, or not of the form `Bearer <token>`.
    Malformed,
    /// A bearer token, unverified.
    Bearer(Zeroizing<String>),
    /// A signature by an access key, unverified.
    Signed(Box<Signed>),
    /// A token that stands among the parameters, which are not read yet.
    InBody,
    /// A token out of the parameters, unverified.
    WebIdentity(Zeroizing<String>),
    /// A signature that was verified; made by the pipeline alone.
    Checked(Checked),
    /// A signature that speaks for nobody; made by the pipeline alone.
    Rejected(Rejected),
}

/// Which parameters a door's callers know, and in which form they read answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Everything that keyward has; the answer's fields at the top.
    Native,
    /// What the vendor's API has and nothing else; the answer's fields below `Response`.
    Tencent,
}

/// One request as a door read it.
pub struct Call {
    /// The request id.
    pub request: String,
    /// The door's name.
    pub door: &'static str,
    /// The operation asked for, unverified; `None` if the path is no route.
    pub operation: Option<String>,
    /// The credential shown.
    pub presented: Presented,
    /// Whom the credential spoke for when the door asked, if it was good: it is asked again at the decision.
    pub known: Option<Arc<Authenticated>>,
    /// The body; none if it was not read, since nobody was known.
    pub body: Option<Zeroizing<Vec<u8>>>,
    /// What the door found wrong, if anything.
    pub fault: Option<Fault>,
    /// The peer's address.
    pub peer: Option<IpAddr>,
    /// How the caller's program names itself.
    pub user_agent: Option<String>,
    /// Hex SHA-256 of the client's certificate, if its connection showed one.
    pub certificate: Option<String>,
    /// Whether the connection is TLS.
    pub secure_transport: bool,
    /// Whether the newest signed checkpoint is asked for.
    pub wants_checkpoint: bool,
    /// What its door's callers know.
    pub dialect: Dialect,
    /// What the caller calls the request by, unverified.
    pub trace: Option<String>,
}

/// What a door finds wrong with a call.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Size, method: answered before the credential is looked at.
    Outer(ApiError),
    /// Path, content type, body: told only to callers with a good credential.
    Inner(ApiError),
}

/// What is known of a call without looking into it: enough to record that serving it failed.
pub struct Witness {
    pub(super) request: String,
    pub(super) operation: Option<String>,
    pub(super) door: &'static str,
    pub(super) peer: Option<IpAddr>,
    /// Its place in the call, if it is one of several.
    pub(super) item: Option<usize>,
}

impl Call {
    /// The same call for one of its items, without the body.
    pub(super) fn of_item(&self) -> Self {
        Self {
            request: self.request.clone(),
            door: self.door,
            operation: self.operation.clone(),
            presented: match &self.presented {
                Presented::Nothing => Presented::Nothing,
                Presented::Malformed => Presented::Malformed,
                Presented::Bearer(token) => Presented::Bearer(token.clone()),
                Presented::Signed(request) => Presented::Signed(request.clone()),
                Presented::InBody => Presented::InBody,
                Presented::WebIdentity(token) => Presented::WebIdentity(token.clone()),
                Presented::Checked(checked) => Presented::Checked(checked.clone()),
                Presented::Rejected(rejected) => Presented::Rejected(rejected.clone()),
            },
            known: self.known.clone(),
            body: None,
            fault: None,
            peer: self.peer,
            certificate: self.certificate.clone(),
            user_agent: self.user_agent.clone(),
            secure_transport: self.secure_transport,
            wants_checkpoint: false,
            dialect: self.dialect,
            trace: self.trace.clone(),
        }
    }

    /// See [`Witness`].
    #[must_use]
    pub fn witness(&self) -> Witness {
        let operation = self.operation.clone();
        Witness { request: self.request.clone(), operation, door: self.door, peer: self.peer, item: None }
    }
}

/// Why nothing could be recorded; the only answer then is 503.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unrecorded {
    /// The log takes no record now.
    Log(Refused),
    /// The store cannot be read now.
    Store,
    /// The system gives no random bytes.
    Random,
    /// The disk is too full for secrets to be served.
    Disk,
    /// Near the limit of secrets, the creations before it did not come to an end in time.
    Turn,
}

impl Unrecorded {
    /// The label in metrics.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Log(_) => "log",
            Self::Store => "store",
            Self::Random => "random",
            Self::Disk => "disk",
            Self::Turn => "turn",
        }
    }
}

enum Content {
    Object(Map<String, Value>),
    Secret { servable: Arc<Servable>, value: Plaintext },
    Password(Plaintext),
    AccessKey(Issued),
    Session(Begun),
    Items(Vec<Answer>),
    File(Blocks),
    Error(ApiError),
}

/// What a door sends back.
pub struct Answer {
    locator: Option<Locator>,
    checkpoint: Option<String>,
    content: Content,
}

/// An answer's body.
pub enum Body {
    /// A JSON object.
    Json(Vec<u8>),
    /// An export file.
    Stream(Box<ExportStream>),
}

impl Answer {
    fn new(locator: Option<Locator>, content: Content) -> Self {
        Self { locator, checkpoint: None, content }
    }

    /// A change made, or metadata, a list or a proof answered.
    pub(super) fn done(committed: Committed<Grant<Done>>) -> Self {
        let locator = committed.locator();
        Self::new(Some(locator), Content::Object(committed.into_event().into_act().0))
    }

    /// A value, opened under the proof that its read is recorded.
    pub(super) fn value(value: Plaintext, grant: Grant<Read>, locator: Locator) -> Self {
        let Read { servable, .. } = grant.into_act();
        Self::new(Some(locator), Content::Secret { servable, value })
    }

    /// A password that was made for this answer alone.
    pub(super) fn generated(committed: Committed<Grant<Generated>>) -> Self {
        let locator = committed.locator();
        Self::new(Some(locator), Content::Password(committed.into_event().into_act().0))
    }

    /// An access key, whose secret is in this answer alone.
    pub(super) fn issued(committed: Committed<Grant<Issued>>) -> Self {
        let locator = committed.locator();
        Self::new(Some(locator), Content::AccessKey(committed.into_event().into_act()))
    }

    /// A session, whose key is in this answer alone.
    pub(super) fn begun(committed: Committed<Grant<Begun>>) -> Self {
        let locator = committed.locator();
        Self::new(Some(locator), Content::Session(committed.into_event().into_act()))
    }

    /// The answers to the items of a call, in their order: its place in the log is that of the last one. If none of them
    /// could be recorded, the call is answered as the first item is.
    pub(super) fn items(mut answers: Vec<Self>) -> Self {
        let last = answers.iter().rev().find_map(|answer| answer.locator);
        if last.is_none() && !answers.is_empty() {
            return answers.swap_remove(0);
        }
        Self::new(last, Content::Items(answers))
    }

    /// A file, on its way once the body is taken: of an answer that nobody takes, nothing is read.
    pub(super) fn export(committed: Committed<Grant<Exported>>) -> Self {
        let locator = committed.locator();
        Self::new(Some(locator), Content::File(committed.into_event().into_act().0))
    }

    /// 401 or 403.
    pub(super) fn denied(committed: Committed<Denial>) -> Self {
        let locator = committed.locator();
        Self::new(Some(locator), Content::Error(committed.into_event().into_error()))
    }

    /// Anything that policy did not refuse and that was not done.
    pub(super) fn failed(committed: Committed<Failure>) -> Self {
        let locator = committed.locator();
        Self::new(Some(locator), Content::Error(committed.into_event().into_error()))
    }

    /// 401 (or the door's own fault) of a flood: counted, not recorded singly.
    pub(super) fn counted(_counted: Counted, error: ApiError) -> Self {
        Self::new(None, Content::Error(error))
    }

    /// 503: nothing was recorded and nothing is released.
    #[must_use]
    pub fn unrecorded(cause: Unrecorded) -> Self {
        let (code, message) = match cause {
            Unrecorded::Log(_) => (
                Code::AuditUnavailable,
                "the access could not be recorded in time: nothing was released, and a change was either not made or may be \
                 found made",
            ),
            Unrecorded::Disk => {
                (Code::AuditUnavailable, "the disk is too full to record accesses to secrets; nothing was done")
            }
            Unrecorded::Store | Unrecorded::Random | Unrecorded::Turn => {
                (Code::ServiceUnavailable, "the gateway cannot serve now; try again")
            }
        };
        Self::new(None, Content::Error(ApiError::new(code, message)))
    }

    /// Adds the newest signed checkpoint, base64url, for whoever was known.
    pub(super) fn with_checkpoint(mut self, note: Option<&str>) -> Self {
        let codes = [Code::InvalidAuthorization, Code::TokenFailure, Code::AuditUnavailable, Code::ServiceUnavailable];
        if self.error().is_some_and(|error| codes.contains(&error.code)) {
            return self;
        }
        self.checkpoint = note.map(|note| URL_SAFE_NO_PAD.encode(note));
        self
    }

    /// The error, if it is one.
    #[must_use]
    pub fn error(&self) -> Option<&ApiError> {
        match &self.content {
            Content::Error(error) => Some(error),
            _ => None,
        }
    }

    /// Where the record is; none for what was only counted or could not be recorded.
    #[must_use]
    pub fn locator(&self) -> Option<Locator> {
        self.locator
    }

    /// The checkpoint asked for.
    #[must_use]
    pub fn checkpoint(&self) -> Option<&str> {
        self.checkpoint.as_deref()
    }

    /// The same answer with another error, if it is one: a door may know it by another code or in another language.
    #[must_use]
    pub fn with_error(mut self, say: impl FnOnce(ApiError) -> ApiError) -> Self {
        if let Content::Error(error) = self.content {
            self.content = Content::Error(say(error));
        }
        self
    }

    /// The body as the callers of a door read it. A file is on its way from now on: to be called on a runtime.
    #[must_use]
    pub fn into_body(self, request: &str, dialect: Dialect) -> Body {
        let bytes = match self.content {
            Content::Object(mut object) => {
                if dialect == Dialect::Tencent {
                    without_added(&mut object);
                }
                object.insert("RequestId".to_owned(), Value::from(request));
                to_bytes(&object, 256, dialect)
            }
            Content::Secret { servable, value } => match servable.row.pair() {
                Some(pair) => pair_body(&servable, pair, &value, request, dialect),
                None => secret_body(&servable, &value, request, dialect),
            },
            Content::Error(error) => error_body(&error, request, dialect),
            Content::Password(password) => password_body(&password, request, dialect),
            Content::AccessKey(issued) => access_key_body(&issued, request, dialect),
            Content::Session(begun) => session_body(&begun, request, dialect),
            Content::Items(answers) => items::body(&answers, request, dialect),
            Content::File(blocks) => return Body::Stream(Box::new(blocks.stream())),
        };
        Body::Json(bytes)
    }
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
fn secret_body(servable: &Servable, value: &Plaintext, request: &str, dialect: Dialect) -> Vec<u8> {
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
fn pair_body(servable: &Servable, pair: &SshKeyPair, private: &Plaintext, request: &str, dialect: Dialect) -> Vec<u8> {
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
    let public_key = ssh_key::public_line(private, &pair.name).unwrap_or_default();
    let reply = Reply {
        id: pair.id.as_str(),
        public_key: &public_key,
        private_key: value.text,
        project: pair.project,
        description: servable.row.description.as_str(),
        name: &pair.name,
        request,
    };
    // Line feeds take two bytes of JSON.
    to_bytes(&reply, value.bytes().saturating_mul(2).saturating_add(8_192), dialect)
}

fn password_body(password: &Plaintext, request: &str, dialect: Dialect) -> Vec<u8> {
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
fn access_key_body(issued: &Issued, request: &str, dialect: Dialect) -> Vec<u8> {
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
fn session_body(begun: &Begun, request: &str, dialect: Dialect) -> Vec<u8> {
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

fn error_body(error: &ApiError, request: &str, dialect: Dialect) -> Vec<u8> {
    let object = serde_json::json!({
        "Error": { "Code": error.code.as_str(), "Message": error.message },
        "RequestId": request,
    });
    to_bytes(&object, 256, dialect)
}

/// Writes JSON into a buffer large enough never to move, so that no copy of a value stays behind.
fn to_bytes(value: &impl Serialize, capacity: usize, dialect: Dialect) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Wrapped<'a, T> {
        response: &'a T,
    }
    let mut bytes = Vec::with_capacity(capacity.saturating_add(16));
    let written = match dialect {
        Dialect::Native => serde_json::to_writer(&mut bytes, value),
        Dialect::Tencent => serde_json::to_writer(&mut bytes, &Wrapped { response: value }),
    };
    match written {
        Ok(()) => bytes,
        Err(_) => Vec::new(),
    }
}

/// The error that every absent, malformed or bad credential gets.
pub(super) fn credential_error(presented: &Presented, dialect: Dialect) -> ApiError {
    match presented {
        Presented::Bearer(_) => ApiError::new(Code::TokenFailure, BAD_TOKEN),
        Presented::WebIdentity(_) => ApiError::new(Code::WebIdentityTokenError, BAD_TOKEN),
        _ => ApiError::new(Code::InvalidAuthorization, no_credential(dialect)),
    }
}

/// A leaf as replies write it: base64url without padding, 43 characters.
#[must_use]
pub fn leaf_text(locator: &Locator) -> String {
    URL_SAFE_NO_PAD.encode(locator.leaf)
}
