//! What would allow a denied request: each remedy, carried out, does.

use super::super::testing::{Ask, ask, attached, document, loaded};
use super::*;
use crate::actions::ConditionKey;

const READ: &str =
    r#"{"effect":"allow","action":"ssm:GetSecretValue","resource":"qcs::ssm:::secret/creatorUin/*/prod/*"}"#;

fn set(statements: &str, to: &[(&str, &str)], boundaries: &[(&str, &str)]) -> PolicySet {
    loaded(&[
        ("documents/p.json", &document(statements)),
        ("documents/cap.json", &document(r#"{"effect":"allow","action":"ssm:List*","resource":"*"}"#)),
        ("attachments.json", &attached(to, boundaries)),
    ])
}

fn remedies(set: &PolicySet, ask: &Ask) -> Vec<Remedy> {
    ask.question(None, |question| set.remedies(question, &set.explain(question).unwrap())).unwrap()
}

#[test]
fn explain_names_the_parts_that_fail_with_what_the_request_has() {
    let from = READ.replace("prod/*\"}", "prod/*\",\"condition\":{\"ip_equal\":{\"qcs:ip\":\"10.0.0.0/8\"}}}");
    let set = set(&from, &[("p", "everyone")], &[]);
    let near = ask("user/dev/c").secret(7, "prod/db");
    assert!(remedies(&set, &near).is_empty(), "it is allowed");
    let elsewhere = near.clone().with(ConditionKey::Ip, &["192.0.2.9"]);
    let told: Vec<String> = remedies(&set, &elsewhere).iter().map(ToString::to_string).collect();
    assert_eq!(told, ["statement 0 of `p` must fit: fails: qcs:ip ip_equal 10.0.0.0/8 (192.0.2.9)"]);
    let absent = near.with(ConditionKey::Ip, &[]);
    let told: Vec<String> = remedies(&set, &absent).iter().map(ToString::to_string).collect();
    assert_eq!(told, ["statement 0 of `p` must fit: fails: qcs:ip ip_equal 10.0.0.0/8 (absent)"]);
}

#[test]
fn explain_names_a_document_that_would_do_if_it_reached_the_caller() {
    let set = set(READ, &[("p", "group/corp/payments")], &[]);
    let told = remedies(&set, &ask("user/corp/a").secret(7, "prod/db"));
    let to = vec!["group/corp/payments".to_owned()];
    let attach = Remedy::Attach { document: "p".to_owned(), statement: 0, to, failing: Vec::new() };
    assert_eq!(told, [attach]);
    assert!(remedies(&set, &ask("user/corp/a").groups(&["group/corp/payments"]).secret(7, "prod/db")).is_empty());
}

#[test]
fn explain_names_every_layer_that_refuses() {
    let deny = r#"{"effect":"deny","action":"ssm:*","resource":"qcs::ssm:::secret/creatorUin/*/prod/db"}"#;
    let set = set(&format!("{READ},{deny}"), &[("p", "user/corp/a")], &[("cap", "user/corp/a")]);
    let told = remedies(&set, &ask("user/corp/a").secret(7, "prod/db"));
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(matches!(&told[0], Remedy::Lift { layer: Layer::Identity, statement: 1, .. }));
    assert!(matches!(&told[1], Remedy::Write { layer: Layer::Boundary, .. }));
}

#[test]
fn explain_says_that_an_allow_must_be_written_where_there_is_none() {
    let set = set(READ, &[("p", "user/corp/a")], &[]);
    let told = remedies(&set, &ask("user/corp/a").secret(7, "prod/db").action("PutSecretValue"));
    assert_eq!(told, [Remedy::Write { layer: Layer::Identity, action: "ssm:PutSecretValue".to_owned() }]);
}
