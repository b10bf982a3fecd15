//! A record as CloudAudit tells it: the event, a JSON text, and the row around it. The one place where a field of an event is
//! made; each is made from the record and from where the gateway is, and of nothing else.
//!
//! SECURITY, INVARIANT I4: no field holds a value, a token or a key, or a hash or length of one. Of a record's parameters only
//! those of [`PARAMETERS`] are told, so that one that is added later is left out until somebody has looked at it.

use crate::actions::{self, Action, BUNDLES, Effect, Operation};
use crate::error::Code;
use crate::principal::Principal;
use crate::resource::{CreatorNumber, Place};
use chrono::DateTime;
use keyward_audit::hash::Digest;
use keyward_audit::record::{Credential, Decision, Draft, Kind, Outcome, Record, UserAgent};
use serde_json::{Map, Value, json};

/// The form of the event.
const EVENT_VERSION: u64 = 2;
/// What callers of the native door, whose actions have no other version, see in place of the vendor's.
const NATIVE_VERSION: &str = "v1";
const TENCENT_VERSION: &str = "3.0";
/// Who is not known is refused with this, as the native door's status says it; who is denied with the other.
const UNAUTHENTICATED: u64 = 401;
const DENIED: u64 = 403;

/// Parameters of records that are told. Left out on purpose: `credential_hash` (of a token), `set` (digest of an issuer's keys),
/// `config` (digest of keyward.toml), `certificate`, what RotateRootKey says of root keys.
const PARAMETERS: &[&str] = &[
    "access_key",
    "action",
    "added",
    "after",
    "attributes",
    "before",
    "catalogue",
    "cause",
    "changes",
    "claimed_access_key",
    "claimed_issuer",
    "claimed_jti",
    "claimed_kid",
    "claimed_subject",
    "claimed_trace",
    "count",
    "counts",
    "current",
    "data_keys",
    "decision",
    "delete_time",
    "due",
    "duplicate",
    "end_index",
    "end_time",
    "event",
    "expected_current",
    "expires",
    "expires_at",
    "failed",
    "first",
    "generation",
    "group",
    "index",
    "issued_before",
    "issuer",
    "issuers",
    "issuers_before",
    "item",
    "jti",
    "key",
    "kms",
    "last",
    "limit",
    "offset",
    "others",
    "outcome",
    "path",
    "policy",
    "previous",
    "principal",
    "program",
    "proposed",
    "provider",
    "reason",
    "remaining",
    "requested",
    "resource",
    "resource_prefix",
    "revision",
    "rows",
    "secrets",
    "session",
    "shadow",
    "size",
    "source",
    "ssh_key",
    "stage",
    "start_index",
    "start_time",
    "status",
    "subject",
    "trigger",
    "withdrawn",
];
/// Actions that hand out a value, a key or everything, or that nothing takes back.
const SENSITIVE: [Operation; 15] = [
    Operation::GetSecretValue,
    Operation::GetSSHKeyPairValue,
    Operation::CreateSSHKeyPairSecret,
    Operation::GetRandomPassword,
    Operation::DeleteSecret,
    Operation::DeleteSecretVersion,
    Operation::UpdateSecret,
    Operation::CreateAccessKey,
    Operation::AssumeRole,
    Operation::AssumeRoleWithWebIdentity,
    Operation::GetFederationToken,
    Operation::CreateBackup,
    Operation::RotateRootKey,
    Operation::RetireKeyGeneration,
    Operation::ScheduleKeyDeletion,
];

/// Reasons that are no code, with the code that the caller was told.
const TOLD_AS: [(&str, Code); 4] = [
    ("record_too_large", Code::RequestSizeLimitExceeded),
    ("contention", Code::ServiceUnavailable),
    ("creator_collision", Code::InternalError),
    ("rate_limited", Code::RequestLimitExceeded),
];

/// What authentication and policy came to, and what the action did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Verdict<'a> {
    /// 0, or the status of the refusal.
    refused: u64,
    /// Why it was refused.
    cause: &'a str,
    /// The code of what went wrong besides; empty if nothing did.
    code: &'a str,
    /// What is known of that besides the code.
    text: &'a str,
}

/// A record, as far as it is read for its event.
pub(super) struct Event<'a> {
    record: &'a Record,
    place: &'a Place,
    leaf: Digest,
    service: &'a str,
    name: &'a str,
    action: Option<&'static Action>,
    uin: String,
    verdict: Verdict<'a>,
}

impl<'a> Event<'a> {
    /// The event of a record whose leaf is `leaf`; `uin` is the number of a principal.
    pub(super) fn of(
        record: &'a Record,
        leaf: Digest,
        place: &'a Place,
        uin: impl FnOnce(&Principal) -> CreatorNumber,
    ) -> Self {
        let (service, name) = record.action().split_once(':').unwrap_or(("", record.action()));
        let principal = record.principal().and_then(|text| Principal::parse(text).ok());
        Self {
            record,
            place,
            leaf,
            service,
            name,
            action: actions::by_name(name).filter(|action| action.service.name() == service),
            uin: principal.map(|principal| uin(&principal).to_string()).unwrap_or_default(),
            verdict: verdict(record.draft()),
        }
    }

    fn draft(&self) -> &'a Draft {
        self.record.draft()
    }

    /// A UUID of version 8 (RFC 9562): 15 digits of the record's leaf, then 15 of its index.
    pub(super) fn id(&self) -> String {
        let leaf = hex::encode(self.leaf);
        let part = |from: usize, to: usize| leaf.get(from..to).unwrap_or_default();
        let index = format!("{:015x}", self.record.index());
        let (high, low) = index.split_at_checked(3).unwrap_or_default();
        format!("{}-{}-8{}-8{high}-{low}", part(0, 8), part(8, 12), part(12, 15))
    }

    /// eventName
    pub(super) fn name(&self) -> &'a str {
        self.name
    }

    /// resourceType
    pub(super) fn service(&self) -> &'a str {
        self.service
    }

    /// requestID
    pub(super) fn request(&self) -> &'a str {
        self.record.request()
    }

    /// userIdentity.principalId: the principal's creator number; empty if nobody was known.
    pub(super) fn uin(&self) -> &str {
        &self.uin
    }

    /// userIdentity.userName: the qualified principal.
    pub(super) fn user(&self) -> &'a str {
        self.record.principal().unwrap_or_default()
    }

    /// userIdentity.secretId: the id of an access key, never what is secret of it.
    pub(super) fn access_key(&self) -> &'a str {
        match &self.draft().credential {
            Some(Credential::AccessKey { access_key, .. } | Credential::Session { access_key, .. }) => access_key,
            Some(Credential::Token { .. }) | None => "",
        }
    }

    /// Whether the action only reads.
    pub(super) fn reads(&self) -> bool {
        self.action.is_some_and(|action| action.effect == Effect::Read)
    }

    /// sensitiveAction
    pub(super) fn is_sensitive(&self) -> bool {
        self.action.is_some_and(|action| SENSITIVE.contains(&action.operation))
    }

    /// errorCode
    pub(super) fn refused(&self) -> u64 {
        self.verdict.refused
    }

    /// apiErrorCode
    pub(super) fn code(&self) -> &'a str {
        self.verdict.code
    }

    /// sourceIPAddress
    pub(super) fn source_ip(&self) -> String {
        self.draft().source_ip.map(|address| address.to_string()).unwrap_or_default()
    }

    /// resources: the six segments with the vendor's project; empty if the action has none.
    pub(super) fn resource(&self) -> String {
        self.record.resource().map(with_project).unwrap_or_default()
    }

    /// resourceName: of a secret or key.
    pub(super) fn resource_name(&self) -> &'a str {
        self.record.resource().and_then(type_and_name).map_or("", |(_, name)| name)
    }

    /// The tags that the decision saw on the resource, as key and value.
    pub(super) fn tags(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let conditions = self.draft().context.as_ref().map(|context| &context.conditions);
        let tags = conditions.and_then(|conditions| conditions.get("qcs:resource_tag"));
        tags.into_iter().flatten().map(|tag| tag.split_once('&').unwrap_or((tag.as_str(), "")))
    }

    fn time(&self) -> String {
        let time = i64::try_from(self.record.time_us()).ok().and_then(DateTime::from_timestamp_micros);
        time.unwrap_or_default().format("%Y-%m-%d %H:%M:%S").to_string()
    }

    /// Whether it is what the gateway did by itself.
    fn is_own(&self) -> bool {
        self.draft().door == "internal"
    }

    /// eventSource: the path; which host was named no record says.
    fn source(&self) -> String {
        match (self.draft().door.as_str(), self.action) {
            ("native", Some(action)) => {
                let is_item = self.draft().parameters.contains_key("item");
                let bundle = BUNDLES.iter().find(|bundle| is_item && bundle.of == action.operation);
                format!("/v1/{}", bundle.map_or(action.name, |bundle| bundle.name))
            }
            ("tencent", _) => "/".to_owned(),
            _ => String::new(),
        }
    }

    fn api_version(&self) -> &'static str {
        match self.draft().door.as_str() {
            "native" => NATIVE_VERSION,
            "tencent" => TENCENT_VERSION,
            _ => "",
        }
    }

    /// httpMethod: the native door has no other than this; which one came through the other door no record says.
    fn method(&self) -> &'static str {
        let is_call = self.draft().door == "native" && self.verdict.code != Code::UnsupportedProtocol.as_str();
        if is_call && self.verdict.cause != Code::UnsupportedProtocol.as_str() { "POST" } else { "" }
    }

    /// region: the one that was asked for, which is the gateway's unless that is why it was refused.
    fn asked_region(&self) -> &'a str {
        let elsewhere = self.verdict.code == Code::UnsupportedRegion.as_str();
        if elsewhere { "" } else { &self.place.region }
    }

    fn identity_type(&self) -> &'static str {
        match self.user().split_once('/') {
            _ if self.draft().session.is_some() => "AssumedRole",
            Some(("role", _)) => "AssumedRole",
            Some(("service", _)) => "service",
            Some(_) => "user",
            None => "",
        }
    }

    fn session_context(&self) -> Value {
        let draft = self.draft();
        match (&draft.session, &draft.assumed_by) {
            (None, None) => json!({}),
            (session, assumed_by) => json!({
                "role": self.user(),
                "session": session.as_deref().unwrap_or_default(),
                "assumedBy": assumed_by.as_deref().unwrap_or_default(),
            }),
        }
    }

    /// What was asked, as far as the record says it.
    fn request_parameters(&self) -> Map<String, Value> {
        let mut told = Map::new();
        match self.record.resource().and_then(type_and_name) {
            Some(("secret", name)) => drop(told.insert("SecretName".to_owned(), name.into())),
            Some(("key", id)) => drop(told.insert("KeyId".to_owned(), id.into())),
            _ => {}
        }
        let is_revision = self.record.kind() == Kind::PolicyChange;
        for (name, value) in &self.draft().parameters {
            let is_told = PARAMETERS.contains(&name.as_str());
            if is_told || (is_revision && matches!(name.as_str(), "new" | "old")) {
                told.insert(name.clone(), serde_json::to_value(value).unwrap_or_default());
            }
        }
        told
    }

    /// Which version and which value was served or written.
    fn response_elements(&self) -> Map<String, Value> {
        let draft = self.draft();
        let told = [("VersionId", &draft.secret_version), ("ValueId", &draft.value)];
        told.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.as_deref()?.into()))).collect()
    }

    /// The event itself.
    fn event(&self) -> Value {
        let resource = self.resource();
        let tags: Vec<Value> = self.tags().map(|(key, value)| json!({"key": key, "value": value})).collect();
        json!({
            "userIdentity": {
                "principalId": self.uin(),
                "accountId": self.place.account,
                "secretId": self.access_key(),
                "type": self.identity_type(),
                "userName": self.user(),
                "sessionContext": self.session_context(),
            },
            "eventVersion": EVENT_VERSION,
            "eventID": self.id(),
            "requestID": self.request(),
            "eventTime": self.time(),
            "eventName": self.name(),
            "eventSource": self.source(),
            "resourceType": self.service(),
            "eventRegion": self.place.region,
            "region": self.asked_region(),
            "apiVersion": self.api_version(),
            "httpMethod": self.method(),
            "eventType": if self.is_own() { "ServiceEvent" } else { "ApiCall" },
            "actionType": if self.reads() { "Read" } else { "Write" },
            "userAgent": self.draft().user_agent.as_ref().map_or("", UserAgent::as_str),
            "sourceIPAddress": self.source_ip(),
            "errorCode": self.verdict.refused,
            "errorMessage": self.verdict.cause,
            "apiErrorCode": self.verdict.code,
            "apiErrorMessage": self.verdict.text,
            "requestParameters": Value::Object(self.request_parameters()).to_string(),
            "responseElements": Value::Object(self.response_elements()).to_string(),
            "resources": resource,
            "resourceName": self.resource_name(),
            "resourceSet": if resource.is_empty() { json!([]) } else { json!([resource]) },
            "sensitiveAction": u64::from(self.is_sensitive()),
            "eventPlatform": 0,
            "tags": tags,
        })
    }

    /// The row around it.
    pub(super) fn row(&self) -> Value {
        json!({
            "EventId": self.id(),
            "EventName": self.name(),
            "EventNameCn": self.name(),
            "EventTime": self.time(),
            "EventSource": self.source(),
            "EventRegion": self.place.region,
            "RequestID": self.request(),
            "ErrorCode": self.verdict.refused,
            "CloudAuditEvent": self.event().to_string(),
            "Username": self.user(),
            "SecretId": self.access_key(),
            "AccountID": self.place.account.parse::<u64>().unwrap_or_default(),
            "SourceIPAddress": self.source_ip(),
            "Location": "",
            "ResourceTypeCn": self.service(),
            "ResourceRegion": self.place.region,
            "Resources": { "ResourceType": self.service(), "ResourceName": self.resource_name() },
        })
    }
}

/// What a record says of authentication, policy and the action.
fn verdict(draft: &Draft) -> Verdict<'_> {
    let reason = draft.reason.as_deref().unwrap_or_default();
    let refused = |refused| Verdict { refused, cause: reason, ..Verdict::default() };
    let is_unknown_caller = matches!(draft.kind, Kind::Unauthenticated | Kind::Summary);
    match (draft.decision, draft.outcome) {
        (Some(Decision::Deny), _) if draft.kind == Kind::Summary && reason == "rate_limited" => went_wrong(reason),
        (Some(Decision::Deny), _) if is_unknown_caller => refused(UNAUTHENTICATED),
        (Some(Decision::Deny), _) => refused(DENIED),
        // Policy was asked and could not say.
        (Some(Decision::Error), _) if draft.policy.is_some() => refused(DENIED),
        (_, Some(Outcome::Ok | Outcome::Pending) | None) => Verdict::default(),
        (_, Some(Outcome::Failed | Outcome::Denied | Outcome::Unknown)) => went_wrong(reason),
    }
}

fn went_wrong(reason: &str) -> Verdict<'_> {
    let told = TOLD_AS.into_iter().find(|(name, _)| *name == reason);
    match (told, reason) {
        (Some((_, code)), _) => Verdict { code: code.as_str(), text: reason, ..Verdict::default() },
        (None, "") => Verdict { code: Code::InternalError.as_str(), ..Verdict::default() },
        (None, code) => Verdict { code, ..Verdict::default() },
    }
}

/// Six segments as the vendor prints them: with a project.
fn with_project(resource: &str) -> String {
    resource.strip_prefix("qcs::").map_or_else(|| resource.to_owned(), |rest| format!("qcs:id/0:{rest}"))
}

/// Six segments as records have them, whichever way they were written.
pub(super) fn without_project(resource: &str) -> String {
    resource.strip_prefix("qcs:id/0:").map_or_else(|| resource.to_owned(), |rest| format!("qcs::{rest}"))
}

/// Type and name in a resource: `secret/creatorUin/<creator>/<name>`, or `<type>/<name>`.
fn type_and_name(resource: &str) -> Option<(&str, &str)> {
    let (kind, rest) = resource.splitn(6, ':').nth(5)?.split_once('/')?;
    let named = rest.strip_prefix("creatorUin/").and_then(|created| created.split_once('/'));
    Some((kind, named.map_or(rest, |(_, name)| name)))
}
