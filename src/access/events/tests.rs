use super::*;
use crate::actions::ACTIONS;
use crate::resource::{CreatorNumber, Place};
use keyward_audit::record::{Credential, Decision, Draft, Kind, Outcome, TokenId, UserAgent};
use proptest::prelude::*;
use std::net::IpAddr;

/// Records of the specification, and the rows that they make: each is written out in `expected.json`, the event as an object.
const SAMPLES: [(&str, &[u8]); 9] = [
    ("01-policy-change", include_bytes!("../../../audit/testdata/samples/01-policy-change.json")),
    ("04-access", include_bytes!("../../../audit/testdata/samples/04-access.json")),
    ("05-access", include_bytes!("../../../audit/testdata/samples/05-access.json")),
    ("06-access", include_bytes!("../../../audit/testdata/samples/06-access.json")),
    ("07-unauthenticated", include_bytes!("../../../audit/testdata/samples/07-unauthenticated.json")),
    ("08-summary", include_bytes!("../../../audit/testdata/samples/08-summary.json")),
    ("09-access", include_bytes!("../../../audit/testdata/samples/09-access.json")),
    ("10-outcome", include_bytes!("../../../audit/testdata/samples/10-outcome.json")),
    ("70002-purge", include_bytes!("../../../audit/testdata/samples/70002-purge.json")),
];

fn place() -> Place {
    Place { region: "local".to_owned(), account: "100000000001".to_owned() }
}

/// The row of a record's bytes; every principal has the number 7.
fn row(bytes: &[u8]) -> Value {
    let (record, place) = (Record::parse(bytes).unwrap(), place());
    Event::of(&record, hash::leaf(bytes), &place, |_| CreatorNumber::new(7).unwrap()).row()
}

/// The event in a row.
fn event(row: &Value) -> Value {
    serde_json::from_str(row["CloudAuditEvent"].as_str().unwrap()).unwrap()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("`{field}` is no text: {value}"))
}

#[test]
fn each_kind_of_record_is_told_to_the_byte() {
    let expected: Value = serde_json::from_str(include_str!("expected.json")).unwrap();
    assert_eq!(expected.as_object().unwrap().len(), SAMPLES.len());
    for (name, bytes) in SAMPLES {
        let bytes = bytes.trim_ascii_end();
        let mut expected = expected[name].clone();
        expected["CloudAuditEvent"] = Value::from(expected["CloudAuditEvent"].to_string());
        assert_eq!(row(bytes), expected, "{name}");
    }
}

#[test]
fn what_a_caller_was_told_is_the_code_and_what_is_keywards_own_word_is_the_text() {
    let told = |reason: Option<&str>, decision, kind| {
        let mut draft = Draft::new(kind, "ssm:GetSecretValue", "native", REQUEST);
        draft.decision = decision;
        draft.outcome = Some(Outcome::Failed);
        draft.reason = reason.map(str::to_owned);
        let event = event(&row(&draft.frame().unwrap().finish(1, 1, 1)));
        let fields = ["errorCode", "errorMessage", "apiErrorCode", "apiErrorMessage"];
        fields.map(|field| event[field].as_str().map_or_else(|| event[field].to_string(), str::to_owned))
    };
    let (allow, error) = (Some(Decision::Allow), Some(Decision::Error));
    let cases = [
        (Some("LimitExceeded"), allow, Kind::Access, ["0", "", "LimitExceeded", ""]),
        (Some("MissingParameter"), error, Kind::Access, ["0", "", "MissingParameter", ""]),
        (Some("contention"), error, Kind::Access, ["0", "", "ServiceUnavailable", "contention"]),
        (Some("record_too_large"), error, Kind::Access, ["0", "", "RequestSizeLimitExceeded", "record_too_large"]),
        (Some("creator_collision"), allow, Kind::Access, ["0", "", "InternalError", "creator_collision"]),
        (Some("signature"), Some(Decision::Deny), Kind::Unauthenticated, ["401", "signature", "", ""]),
        (Some("rate_limited"), Some(Decision::Deny), Kind::Summary, ["0", "", "RequestLimitExceeded", "rate_limited"]),
        (Some("policy_refused"), None, Kind::System, ["0", "", "policy_refused", ""]),
        (None, allow, Kind::Access, ["0", "", "InternalError", ""]),
    ];
    for (reason, decision, kind, expected) in cases {
        assert_eq!(told(reason, decision, kind), expected, "{reason:?}");
    }
}

#[test]
fn names_of_events_lead_back_to_their_actions() {
    for action in ACTIONS {
        assert_eq!(full_name(action.name), action.full_name());
    }
    for kind in Kind::ALL {
        let own: String = kind.word().split('_').map(capital).collect();
        assert_eq!(full_name(&own), format!("keyward:{own}"), "an action has the name of a kind");
    }
}

fn capital(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_ascii_uppercase() + rest
}

#[test]
fn a_trail_that_cannot_be_read_is_told_so_and_a_closed_one_is_for_the_next_attempt() {
    assert!(matches!(unreadable(StoreError::Closed), Err(StoreError::Closed)));
    let told = unreadable(StoreError::Damaged("a row".to_owned())).unwrap();
    assert!(
        matches!(told, Carried::Failed(error) if error.code == Code::SearchError && !error.message.contains("row"))
    );
}

const REQUEST: &str = "2244a341-e0fd-4058-aa83-9d27fc886ed6";
/// Stands in everything that no event may tell.
const SECRET: &str = "hunter2-marker";

fn one_of(texts: &[&str]) -> impl Strategy<Value = Option<String>> + use<> {
    let owned: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    prop::option::of(prop::sample::select(owned))
}

/// Records of any form, with what must not be told in every place that may hold such a thing.
fn drafts() -> impl Strategy<Value = Draft> {
    let names = ["ssm:GetSecretValue", "ssm:PutSecretValue", "kms:DisableKey", "keyward:Unknown", "cam:RevokeToken"];
    let resources = [
        "qcs::ssm:local:uin/100000000001:secret/creatorUin/42/prod/a:b",
        "qcs::ssm:local:uin/100000000001:secret/creatorUin/*/x",
        "qcs::kms:local:uin/100000000001:key/k-1",
    ];
    let who = ["user/dev/a b/\u{20ac}", "role/local/reader", "service/purger", "user/corp/\"q\""];
    let end = (
        prop::sample::select(vec![None, Some(Decision::Allow), Some(Decision::Deny), Some(Decision::Error)]),
        prop::sample::select(vec![Outcome::Ok, Outcome::Denied, Outcome::Failed]),
        one_of(&["LimitExceeded", "explicit_deny", "contention", "UnsupportedRegion"]),
    );
    let from = (
        prop::sample::select(vec!["native", "tencent", "internal"]),
        prop::option::of(any::<IpAddr>()),
        one_of(&["agent/1 \u{1f512}", "curl"]),
        0..3_u8,
    );
    let what = (prop::sample::select(names.to_vec()), one_of(&resources), one_of(&who), one_of(&["v1"]));
    (what, end, from).prop_map(|(what, (decision, outcome, reason), (door, ip, agent, credential))| {
        let mut draft = Draft::new(Kind::Access, what.0, door, REQUEST);
        (draft.resource, draft.principal, draft.secret_version) = (what.1, what.2, what.3);
        (draft.decision, draft.outcome, draft.reason, draft.source_ip) = (decision, Some(outcome), reason, ip);
        draft.user_agent = agent.map(|agent| UserAgent::shortened(&agent));
        let hash = || TokenId::Hash(SECRET.to_owned());
        draft.credential = match credential {
            0 => None,
            1 => Some(Credential::Token { expires: 2, id: hash(), issued: 1, kid: Some(SECRET.to_owned()) }),
            _ => Some(Credential::AccessKey { access_key: "AKIDsample".to_owned(), issued: 1 }),
        };
        (draft.certificate, draft.personal) = (Some(SECRET.to_owned()), Some(SECRET.to_owned()));
        for hidden in ["credential_hash", "set", "config", "new", "old", "certificate", "anything_new"] {
            draft.parameters.insert(hidden.to_owned(), RecordValue::from(SECRET));
        }
        draft.parameters.insert("stage".to_owned(), RecordValue::from(true));
        draft
    })
}

/// Says again what an event says, as a record does.
fn said(row: &Value, event: &Value) -> (String, String, String, String, String, String) {
    let action = format!("{}:{}", text(event, "resourceType"), text(event, "eventName"));
    let resource = text(event, "resources").replacen("qcs:id/0:", "qcs::", 1);
    let user = text(&event["userIdentity"], "userName").to_owned();
    assert_eq!((text(row, "Username"), text(row, "EventId")), (user.as_str(), text(event, "eventID")));
    let (ip, agent) = (text(event, "sourceIPAddress"), text(event, "userAgent"));
    (action, resource, user, text(event, "requestID").to_owned(), ip.to_owned(), agent.to_owned())
}

proptest! {
    #[test]
    fn i04_an_event_says_what_its_record_says_and_never_what_is_secret(
        draft in drafts(),
        index in 0..=INTEGER_MAX,
        second in 0..4_000_000_000_u64,
    ) {
        let bytes = draft.frame().unwrap().finish(3, index, second * 1_000_000 + 7);
        let row = row(&bytes);
        let event = event(&row);
        let plain = |text: &Option<String>| text.clone().unwrap_or_default();
        let ip = draft.source_ip.map(|ip| ip.to_canonical().to_string()).unwrap_or_default();
        let agent = draft.user_agent.as_ref().map(|agent| agent.as_str().to_owned()).unwrap_or_default();
        let (resource, user) = (plain(&draft.resource), plain(&draft.principal));
        prop_assert_eq!(said(&row, &event), (draft.action.clone(), resource, user, REQUEST.to_owned(), ip, agent));
        // The place in the log, and the second.
        let id = text(&event, "eventID");
        let place: String = id.split('-').skip(3).collect();
        prop_assert_eq!(u64::from_str_radix(place.get(1..).unwrap(), 16).unwrap(), index);
        let time = chrono::NaiveDateTime::parse_from_str(text(&event, "eventTime"), "%Y-%m-%d %H:%M:%S").unwrap();
        prop_assert_eq!(time.and_utc().timestamp() as u64, second);
        // Done or not, and by whose word.
        let (refused, code) = (event["errorCode"].as_u64().unwrap(), text(&event, "apiErrorCode"));
        let is_done = draft.outcome == Some(Outcome::Ok) && draft.decision != Some(Decision::Deny);
        prop_assert_eq!(refused == 0 && code.is_empty(), is_done);
        prop_assert_eq!(refused, if draft.decision == Some(Decision::Deny) { 403 } else { 0 });
        let parameters: Value = serde_json::from_str(text(&event, "requestParameters")).unwrap();
        prop_assert_eq!(&parameters["stage"], &Value::from(true));
        let all = row.to_string();
        prop_assert!(!all.contains(SECRET), "{}", all);
        let digest = hex::encode(hash::sha256(SECRET.as_bytes()));
        prop_assert!(!all.contains(&digest));
    }
}
