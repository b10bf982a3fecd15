//! Replay of a generated trail by a set that is not live: records a second on one core, distinct inputs, and what is kept of them.
//!
//! A million reads by 2,000 callers of 20 secrets each, at times and from addresses of their own, which the set does not read; a tenth
//! of the callers lose what they had. Beside it the same without what makes it cheap: each record decided by itself. Trust the ratio.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a bench prints what it measures and stops at what fails"
)]

use keyward::access::replay::{Against, decide_again};
use keyward::authz::{IssuerRule, PolicyFile, PolicySet, Settings};
use keyward::resource::Place;
use keyward_audit::record::{
    Context, Credential, Decision, Draft, Effect, Kind, Layer, LayerName, Outcome, Policy, Record, TokenId,
};
use keyward_audit::store::StoreError;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

const RECORDS: u64 = 1_000_000;
const CALLERS: u64 = 2_000;
const SECRETS: u64 = 20;
/// Records that are also decided one by one.
const PLAIN: usize = 100_000;

fn main() {
    let settings = settings();
    let set = Arc::new(PolicySet::load(&files(), &settings).unwrap());
    let trail: Vec<Vec<u8>> = (0..RECORDS).map(|index| record(index, set.revision())).collect();
    let bytes: usize = trail.iter().map(Vec::len).sum();
    println!("{RECORDS} records of {} bytes on average", bytes / trail.len());
    let mut get = |_: &[u8]| -> Result<Option<Vec<u8>>, StoreError> { Ok(None) };

    let (begun, before) = (Instant::now(), resident());
    let mut against = Against::new(Arc::clone(&set), settings.place.clone(), 0);
    for (index, bytes) in (0..).zip(&trail) {
        against.add(index, bytes, &mut get);
    }
    let seconds = begun.elapsed().as_secs_f64();
    let told = against.told();
    assert_eq!((told.decisions, told.undecidable.len()), (RECORDS, 0));
    assert_eq!(told.flips.decisions, RECORDS / 10);
    println!(
        "replay: {:.0} records/s (goal at least 200,000), {} distinct inputs, {} flips, {} MiB kept",
        RECORDS as f64 / seconds,
        against.distinct(),
        told.flips.iter().count(),
        resident().saturating_sub(before) >> 20
    );

    let begun = Instant::now();
    for bytes in &trail[..PLAIN] {
        black_box(decide_again(&Record::parse(bytes).unwrap(), &set, &mut get).unwrap());
    }
    let plain = begun.elapsed().as_secs_f64() / PLAIN as f64;
    println!("each decided by itself: {:.0} records/s", 1.0 / plain);
    println!("replay / each by itself: {:.1}", plain / (seconds / RECORDS as f64));
}

fn settings() -> Settings {
    Settings {
        place: Place { region: "local".to_owned(), account: "100000000001".to_owned() },
        issuers: vec![IssuerRule { name: "corp".to_owned(), groups_required: true }],
        foreign_services: Vec::new(),
        document_characters_max: 6_144,
        catalogue: keyward::actions::CATALOGUE,
    }
}

/// What nine callers of ten keep.
fn files() -> Vec<PolicyFile> {
    let document = json!({"version": "2.0", "statement": [
        {"effect": "allow", "action": "ssm:GetSecretValue", "resource": "qcs::ssm:::secret/creatorUin/*/app/*"},
        {"effect": "deny", "action": "ssm:DeleteSecret", "resource": "*", "condition": {"ip_not_equal": {"qcs:ip": "10.0.0.0/8"}}},
    ]});
    let members: Vec<String> =
        (0..CALLERS).filter(|caller| caller % 10 != 0).map(|caller| format!("user/corp/app-{caller}")).collect();
    let attachments = json!({"version": 1, "groups": {"apps": members}, "boundaries": [],
        "attachments": [{"policy": "apps", "to": ["group/local/apps"]}]});
    let file = |path: &str, text: String| PolicyFile { path: path.to_owned(), bytes: text.into_bytes() };
    vec![file("attachments.json", attachments.to_string()), file("documents/apps.json", document.to_string())]
}

fn record(index: u64, revision: &str) -> Vec<u8> {
    let (caller, secret) = (index % CALLERS, index / CALLERS % SECRETS);
    let request = format!("00000000-0000-4000-8000-{index:012x}");
    let mut draft = Draft::new(Kind::Access, "ssm:GetSecretValue", "native", request);
    let one = |text: String| BTreeSet::from([text]);
    let seconds = 1_800_000_000 + index / 50;
    let time = chrono::DateTime::from_timestamp(i64::try_from(seconds).unwrap(), 0).unwrap();
    draft.context = Some(Context {
        conditions: BTreeMap::from([
            ("keyward:door".to_owned(), one("native".to_owned())),
            ("keyward:secure_transport".to_owned(), one("false".to_owned())),
            ("qcs:create_uin".to_owned(), one("7".to_owned())),
            ("qcs:current_time".to_owned(), one(time.format("%Y-%m-%dT%H:%M:%SZ").to_string())),
            ("qcs:ip".to_owned(), one(format!("10.1.{}.{}", caller % 250, index % 200))),
            ("qcs:owner_uin".to_owned(), one("100000000001".to_owned())),
            ("qcs:resource_tag".to_owned(), one("env&prod".to_owned())),
            ("qcs:uin".to_owned(), one((1_000 + caller).to_string())),
        ]),
        groups: BTreeSet::from(["group/corp/services".to_owned(), "group/local/apps".to_owned()]),
        ..Context::default()
    });
    let id = TokenId::Jti(format!("token-{caller}"));
    draft.credential = Some(Credential::Token { expires: 1_900_000_000, id, issued: 1_799_999_000, kid: None });
    (draft.decision, draft.outcome) = (Some(Decision::Allow), Some(Outcome::Ok));
    draft.issuer = Some("https://corp.example".to_owned());
    draft.principal = Some(format!("user/corp/app-{caller}"));
    draft.resource = Some(format!("qcs::ssm:local:uin/100000000001:secret/creatorUin/7/app/{caller}/{secret}"));
    let layer = Layer {
        document: Some("apps".to_owned()),
        effect: Effect::Allow,
        layer: LayerName::Identity,
        statement: Some(0),
    };
    draft.policy = Some(Policy { layers: vec![layer], revision: revision.to_owned(), semantics: 1, shadow: None });
    draft.frame().unwrap().finish(1, index, seconds * 1_000_000)
}

/// Bytes of this process that are in memory.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4_096
}
