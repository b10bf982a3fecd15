//! What a door hands in, [`Call`], and what it gets back, [`Answer`].
//!
//! INVARIANT I1, I3: an answer that carries anything is built from a `Committed<_>`; what is not has no other
//! content than "not now" ([`Unrecorded`]) or stands in a count ([`Counted`]).

mod body;

use super::access_keys::Issued;
use super::export::{Blocks, ExportStream};
use super::grant::{Denial, Done, Exported, Failure, Generated, Grant, Read};
use super::sessions::Begun;
use super::signed::{Checked, Rejected, Signed, no_credential};
use crate::authn::Authenticated;
use crate::error::{ApiError, Code};
use crate::floods::Counted;
use crate::secret::{Plaintext, Servable};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyward_audit::{Committed, Locator, Refused};
use serde_json::{Map, Value};
use std::net::IpAddr;
use std::sync::Arc;
use zeroize::Zeroizing;

/// One message for every bad token, whatever the cause.
const BAD_TOKEN: &str = "the token is not accepted";

/// What the caller shows as its credential.
#[derive(Clone)]
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
            presented: self.presented.clone(),
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
    /// Those before it did not come to an end in time: creations near the limit of secrets, or key pairs.
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

/// An answer in the form of a door.
pub struct Reply {
    /// Where the record is; none for what was only counted or could not be recorded.
    pub locator: Option<Locator>,
    /// The checkpoint asked for.
    pub checkpoint: Option<String>,
    /// The error's code, as the door says it, if it is one.
    pub error: Option<Code>,
    /// What follows the head.
    pub body: Body,
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

    /// The answer as the callers of a door read it; `say` is how that door says an error, by another code or in another
    /// language. A file is on its way from now on: to be called on a runtime.
    ///
    /// What cannot be written is 500, though its record says that it was done.
    #[must_use]
    pub fn into_reply(self, request: &str, dialect: Dialect, say: impl Fn(ApiError) -> ApiError) -> Reply {
        let content = match self.content {
            Content::Error(error) => Content::Error(say(error)),
            content => content,
        };
        let error = match &content {
            Content::Error(error) => Some(error.code),
            _ => None,
        };
        let (error, body) = match body::of(content, request, dialect) {
            Ok(body) => (error, body),
            Err(unwritten) => {
                tracing::error!(request, error = %unwritten, "an answer could not be written");
                let error = say(ApiError::new(Code::InternalError, "the answer could not be written"));
                (Some(error.code), Body::Json(body::of_error(&error, request, dialect).unwrap_or_default()))
            }
        };
        Reply { locator: self.locator, checkpoint: self.checkpoint, error, body }
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
