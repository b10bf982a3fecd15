use super::super::testing::{
    Ask, ask, attached, document, golden_files, golden_settings, loaded, one_document, settings, statement,
};
use super::*;
use crate::actions::{ConditionKey, by_name};
use StatementEffect::{Allow, Deny};

fn decided(layer: Layer, effect: StatementEffect, document: &str, place: u32) -> DecidingStatement {
    DecidingStatement { layer, effect, document: Some(document.to_owned()), statement: Some(place) }
}

fn me() -> Ask {
    ask("user/dev/a")
}

const READ: &str = "ssm:GetSecretValue";

#[test]
fn attack_d02_nothing_attached_is_a_default_deny_without_statement() {
    let empty = loaded(&[]);
    let lacking = Decision {
        outcome: Verdict::Deny(Reason::Default),
        layers: vec![DecidingStatement { layer: Layer::Identity, effect: Deny, document: None, statement: None }],
    };
    assert_eq!(me().decide(&empty), lacking);
    let unattached = loaded(&[("documents/p.json", &document(&statement("allow", "*")))]);
    assert_eq!(me().decide(&unattached), lacking);
    let of_another = loaded(&[
        ("documents/p.json", &document(&statement("allow", "*"))),
        ("attachments.json", &attached(&[("p", "user/dev/b")], &[])),
    ]);
    assert_eq!(me().decide(&of_another), lacking);
    assert_eq!(ask("service/ssm").decide(&one_document(&statement("allow", "*"))), lacking, "everyone is no service");
}

#[test]
fn attack_d01_a_deny_wins_in_every_order_of_statements_and_documents() {
    let narrow =
        format!(r#"{{"effect":"allow","action":"{READ}","resource":"qcs::ssm:::secret/creatorUin/7/prod/db"}}"#);
    let broad = statement("deny", "*");
    for statements in [format!("{narrow},{broad}"), format!("{broad},{narrow}")] {
        let decision = me().decide(&one_document(&statements));
        assert_eq!(decision.outcome, Verdict::Deny(Reason::Explicit));
    }
    for (allowing, denying) in [("a", "b"), ("b", "a")] {
        let set = loaded(&[
            (&format!("documents/{allowing}.json"), &document(&narrow)),
            (&format!("documents/{denying}.json"), &document(&broad)),
            ("attachments.json", &attached(&[(allowing, "user/dev/a"), (denying, "everyone")], &[])),
        ]);
        assert_eq!(
            me().decide(&set),
            Decision {
                outcome: Verdict::Deny(Reason::Explicit),
                layers: vec![decided(Layer::Identity, Deny, denying, 0)]
            }
        );
    }
}

#[test]
fn an_allow_names_the_first_matching_statement_by_document_bytes_and_place() {
    let two = format!("{},{},{}", statement("allow", "kms:*"), statement("allow", READ), statement("allow", "*"));
    let set = loaded(&[
        ("documents/b.json", &document(&statement("allow", "*"))),
        ("documents/a-b.json", &document(&statement("allow", "*"))),
        ("documents/a.json", &document(&two)),
        ("attachments.json", &attached(&[("b", "everyone"), ("a-b", "user/dev/a"), ("a", "issuer/dev")], &[])),
    ]);
    assert_eq!(
        me().decide(&set),
        Decision { outcome: Verdict::Allow, layers: vec![decided(Layer::Identity, Allow, "a", 1)] }
    );
}

fn layered(identity: &str, boundaries: &[(&str, &str)]) -> PolicySet {
    let mut files = vec![("documents/id.json".to_owned(), document(identity))];
    files.extend(boundaries.iter().map(|(name, text)| (format!("documents/{name}.json"), document(text))));
    let capped: Vec<(&str, &str)> = boundaries.iter().map(|(name, _)| (*name, "everyone")).collect();
    files.push(("attachments.json".to_owned(), attached(&[("id", "everyone")], &capped)));
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    loaded(&files)
}

#[test]
fn c36_every_boundary_must_allow_and_never_grants() {
    let all = statement("allow", "*");
    let set = layered(&all, &[("b2", &all), ("b1", &format!("{},{all}", statement("deny", "kms:*")))]);
    assert_eq!(
        me().decide(&set),
        Decision {
            outcome: Verdict::Allow,
            layers: vec![
                decided(Layer::Identity, Allow, "id", 0),
                decided(Layer::Boundary, Allow, "b1", 1),
                decided(Layer::Boundary, Allow, "b2", 0)
            ]
        }
    );
    let silent =
        layered(&all, &[("b1", &all), ("b2", &statement("allow", "kms:*")), ("b3", &statement("allow", "cam:*"))]);
    let lacking = |layer| DecidingStatement { layer, effect: Deny, document: None, statement: None };
    assert_eq!(
        me().decide(&silent),
        Decision { outcome: Verdict::Deny(Reason::Default), layers: vec![lacking(Layer::Boundary)] }
    );
    let alone = layered(&statement("allow", "kms:*"), &[("b1", &all)]);
    assert_eq!(me().decide(&alone).layers, [lacking(Layer::Identity)], "a boundary caps and grants nothing");
    let neither = layered(&statement("allow", "kms:*"), &[("b1", &statement("allow", "kms:*"))]);
    assert_eq!(me().decide(&neither).layers, [lacking(Layer::Identity), lacking(Layer::Boundary)]);
}

#[test]
fn an_explicit_deny_names_the_first_of_each_layer_that_has_one() {
    let deny = statement("deny", READ);
    let both = layered(&deny, &[("b1", &statement("allow", "*")), ("b2", &deny), ("b3", &deny)]);
    assert_eq!(
        me().decide(&both),
        Decision {
            outcome: Verdict::Deny(Reason::Explicit),
            layers: vec![decided(Layer::Identity, Deny, "id", 0), decided(Layer::Boundary, Deny, "b2", 0)]
        }
    );
    let one = layered(&statement("allow", "kms:*"), &[("b1", &format!("{},{deny}", statement("allow", "*")))]);
    assert_eq!(
        me().decide(&one).layers,
        [decided(Layer::Boundary, Deny, "b1", 1)],
        "a layer that merely lacks an allow is not named beside a deny"
    );
}

#[test]
fn a_session_policy_is_a_layer_of_its_own() {
    let set = one_document(&statement("allow", "*"));
    let session = |statements: &str| SessionPolicy::parse(document(statements).as_bytes(), &settings()).unwrap();
    let statement_of =
        |effect, place| DecidingStatement { layer: Layer::Session, effect, document: None, statement: place };
    let allowing = session(&format!("{},{}", statement("allow", "kms:*"), statement("allow", READ)));
    assert_eq!(
        me().decide_with(&set, &allowing).layers,
        [decided(Layer::Identity, Allow, "p", 0), statement_of(Allow, Some(1))]
    );
    assert_eq!(
        me().decide_with(&set, &session(&statement("allow", "kms:*"))),
        Decision { outcome: Verdict::Deny(Reason::Default), layers: vec![statement_of(Deny, None)] }
    );
    let denying = session(&format!("{},{}", statement("allow", "*"), statement("deny", READ)));
    assert_eq!(
        me().decide_with(&set, &denying),
        Decision { outcome: Verdict::Deny(Reason::Explicit), layers: vec![statement_of(Deny, Some(1))] }
    );
    assert_eq!(
        me().decide_with(&loaded(&[]), &allowing).outcome,
        Verdict::Deny(Reason::Default),
        "it never grants by itself"
    );
}

#[test]
fn a_session_policy_is_parsed_as_strictly_as_a_document_and_named_by_its_digest() {
    let text = r#"{"version":"2.0","statement":[{"effect":"Allow","action":"*","resource":"*"}]}"#;
    assert_eq!(SessionPolicy::parse(text.as_bytes(), &settings()).unwrap_err()[0].code, Code::EffectError);
    let good = SessionPolicy::parse(text.replace("Allow", "allow").as_bytes(), &settings()).unwrap();
    assert_eq!(good.digest().len(), 71);
    assert_eq!(good.bytes().len(), text.len());
}

#[test]
fn the_published_set_decides_as_its_sample_records_say() {
    let set = PolicySet::load(&golden_files(), &golden_settings()).unwrap();
    assert_eq!(set.revision(), "sha256:f69fb5b4f95a9052c6a5bbae0524f025122d765928d83fb4f2982096e27fde1d");
    let tags = ["env&prod", "team&pay"];
    let on = |ask: Ask, name: &str| ask.secret(3_067_215_483_350_917, name).with(ConditionKey::ResourceTag, &tags);
    let billing = || {
        ask("user/dev/svc-billing")
            .groups(&["group/dev/billing"])
            .roles(&["role/dev/batch"])
            .with(ConditionKey::Ip, &["10.3.155.69"])
    };
    let read = decided(Layer::Identity, Allow, "payments-read", 1);
    assert_eq!(
        on(billing(), "prod/pay/db-password").decide(&set),
        Decision { outcome: Verdict::Allow, layers: vec![read.clone()] }
    );
    assert_eq!(
        billing().missing("prod/pay/db-passwd").decide(&set),
        Decision { outcome: Verdict::Allow, layers: vec![read.clone()] }
    );
    let doe = ask("user/corp/j.doe")
        .groups(&["group/corp/contractors", "group/corp/payments-team"])
        .with(ConditionKey::Ip, &["10.9.0.14"]);
    assert_eq!(
        on(doe, "prod/pay/db-password").decide(&set),
        Decision {
            outcome: Verdict::Deny(Reason::Explicit),
            layers: vec![decided(Layer::Boundary, Deny, "no-prod", 1)]
        }
    );
    let lee = ask("user/corp/r.lee").groups(&["group/corp/payments-ops"]).creator(3_067_215_483_350_917);
    let created = lee
        .secret(3_067_215_483_350_917, "prod/pay/db-password")
        .with(ConditionKey::CreateUin, &[])
        .action("CreateSecret");
    assert_eq!(created.decide(&set).layers, [decided(Layer::Identity, Allow, "payments-write", 0)]);
    let reader = ask("role/local/reader").session(Some("dev")).restricted(&["group/dev/deployers"]);
    assert_eq!(on(reader, "prod/pay/db-password").decide(&set).layers, [read]);
}

#[test]
fn attack_d13_c41_a_missing_secret_is_refused_like_one_of_another_creator() {
    let on = |creator: &str| {
        format!(r#"{{"effect":"EFFECT","action":"{READ}","resource":"qcs::ssm:::secret/creatorUin/{creator}/*"}}"#)
    };
    let conditioned =
        |condition: &str| format!(r#"{{"effect":"EFFECT","action":"{READ}","resource":"*","condition":{condition}}}"#);
    let tagged = r#"{"for_any_value:string_equal":{"qcs:resource_tag":"env&prod"}}"#;
    for text in [
        on("7"),
        on("${uin}"),
        conditioned(tagged),
        conditioned(r#"{"string_equal":{"qcs:create_uin":"${uin}"}}"#),
        conditioned(r#"{"string_not_equal_if_exist":{"qcs:create_uin":"9"}}"#),
        conditioned(r#"{"null_equal":{"qcs:resource_tag":"true"}}"#),
        conditioned(r#"{"for_all_value:string_not_equal_if_exist":{"qcs:resource_tag":"env&prod"}}"#),
    ] {
        let allowing = one_document(&text.replace("EFFECT", "allow"));
        assert_eq!(me().missing("prod/db").decide(&allowing).outcome, Verdict::Deny(Reason::Default), "{text}");
        let denying = one_document(&format!("{},{}", statement("allow", "*"), text.replace("EFFECT", "deny")));
        assert_eq!(me().missing("prod/db").decide(&denying).outcome, Verdict::Deny(Reason::Explicit), "{text}");
    }
    let whatever = one_document(&on("*").replace("EFFECT", "allow"));
    assert_eq!(me().missing("prod/db").decide(&whatever).outcome, Verdict::Allow);
    let elsewhere = one_document(&format!(
        "{},{}",
        statement("allow", "*"),
        conditioned(&tagged.replace("}}", r#"},"ip_equal":{"qcs:ip":"11.0.0.0/8"}}"#)).replace("EFFECT", "deny")
    ));
    assert_eq!(
        me().missing("prod/db").decide(&elsewhere).outcome,
        Verdict::Allow,
        "only the part that depends on what is unknown holds"
    );
}

#[test]
fn attack_d07_what_cannot_be_decided_is_denied_as_an_error() {
    let set = one_document(&statement("allow", "*"));
    let error = |fault| Decision { outcome: Verdict::Error(fault), layers: Vec::new() };
    for (key, value) in
        [(ConditionKey::CurrentTime, "now"), (ConditionKey::Ip, "host"), (ConditionKey::SecureTransport, "yes")]
    {
        assert_eq!(me().with(key, &[value]).decide(&set), error(Fault::Context), "{key:?}");
    }
    for wrong in [
        me().operation(READ.split_once(':').unwrap().1),
        me().action("ListSecrets"),
        me().action("Decrypt"),
        me().key("k").action("GetSecretValue"),
        me().action("CreateSecret").secret(8, "x"),
        me().action("CreateSecret").missing("x"),
    ] {
        assert_eq!(wrong.decide(&set), error(Fault::Target));
    }
    assert_eq!(Verdict::Error(Fault::Panic).reason(), Some("policy_error"));
    assert_eq!(me().decide(&set).outcome, Verdict::Allow);
}

#[test]
fn keys_are_decrypted_under_the_services_own_grant() {
    let role = r#"{"version":"2.0","statement":[{"effect":"allow","action":"name/sts:AssumeRole","principal":{"qcs":["service/ssm"]}}]}"#;
    let set = loaded(&[
        (
            "documents/QcloudAccessForSSMRole.json",
            &document(r#"{"effect":"allow","action":["kms:GenerateDataKey","kms:Decrypt"],"resource":"*"}"#),
        ),
        ("roles/SSM_QCSRole.json", role),
        ("attachments.json", &attached(&[("QcloudAccessForSSMRole", "role/local/SSM_QCSRole")], &[])),
    ]);
    assert!(ask("role/local/SSM_QCSRole").session(None).key("k1").is_allowed(&set));
    assert!(!ask("service/ssm").key("k1").is_allowed(&set));
    let named = loaded(&[
        ("documents/p.json", &document(&statement("allow", "kms:*"))),
        ("attachments.json", &attached(&[("p", "service/ssm")], &[])),
    ]);
    assert!(ask("service/ssm").key("k1").is_allowed(&named));
    assert!(!ask("service/policy").key("k1").is_allowed(&named));
}

#[test]
fn an_explanation_says_for_each_attached_statement_why_it_did_not_apply() {
    use super::super::WhyNot;
    let statements = [
        statement("allow", "kms:*"),
        format!(r#"{{"effect":"allow","action":"{READ}","resource":"qcs::ssm:::secret/creatorUin/*/dev/*"}}"#),
        format!(
            r#"{{"effect":"deny","action":"{READ}","resource":"*","condition":{{"for_any_value:string_not_equal":{{"qcs:resource_tag":"env&prod"}}}}}}"#
        ),
        format!(
            r#"{{"effect":"deny","action":"{READ}","resource":"*","condition":{{"ip_equal":{{"qcs:ip":"11.0.0.0/8"}}}}}}"#
        ),
        statement("allow", READ),
        format!(
            r#"{{"effect":"allow","action":"{READ}","resource":"*","condition":{{"string_equal":{{"qcs:create_uin":"7"}}}}}}"#
        ),
    ];
    let set = one_document(&statements.join(","));
    let reasons = |ask: &Ask| -> Vec<Option<WhyNot>> {
        ask.question(None, |question| set.explain(question))
            .unwrap()
            .into_iter()
            .map(|explanation| explanation.why_not)
            .collect()
    };
    let absent = Some(WhyNot::KeyAbsent("qcs:resource_tag"));
    let elsewhere = Some(WhyNot::Condition("qcs:ip"));
    assert_eq!(reasons(&me()), [Some(WhyNot::Action), Some(WhyNot::Resource), absent, elsewhere, None, None]);
    assert_eq!(
        reasons(&me().missing("prod/db")),
        [
            Some(WhyNot::Action),
            Some(WhyNot::Resource),
            None,
            elsewhere,
            None,
            Some(WhyNot::KeyUnknown("qcs:create_uin"))
        ]
    );
    let restricted = loaded(&[
        ("documents/p.json", &document(&statement("allow", "*"))),
        ("attachments.json", &attached(&[("p", "group/corp/x")], &[("p", "everyone")])),
    ]);
    let key = ask("user/corp/a").access_key().restricted(&["group/corp/x"]);
    let all = key.question(None, |question| restricted.explain(question)).unwrap();
    assert_eq!(
        all.iter().map(|e| (e.layer, e.why_not)).collect::<Vec<_>>(),
        [(Layer::Identity, Some(WhyNot::RestrictsOnly)), (Layer::Boundary, None)]
    );
}

#[test]
fn every_row_of_the_catalogue_is_allowed_by_a_star_and_denied_without_one() {
    let set = one_document(&statement("allow", "*"));
    for action in ACTIONS {
        use crate::actions::Level;
        let ask = match action.level {
            Level::Operation => me().operation(action.name),
            Level::Secret | Level::SecretOrOperation => me().action(action.name),
            Level::Creation => me().with(ConditionKey::CreateUin, &[]).action(action.name),
            Level::Key => me().key("k").action(action.name),
            // Of which the role's own trust policy decides besides.
            Level::Role => continue,
        };
        assert!(ask.is_allowed(&set), "{}", action.name);
        assert!(!ask.is_allowed(&loaded(&[])), "{}", action.name);
    }
}

#[test]
fn a_set_can_be_shared_between_threads() {
    const fn shared<T: Send + Sync>() {}
    const { shared::<PolicySet>() };
}

#[test]
fn one_set_is_asked_from_many_threads_at_once() {
    let own = format!(r#"{{"effect":"allow","action":"{READ}","resource":"qcs::ssm:::secret/creatorUin/${{uin}}/*"}}"#);
    let set = one_document(&own);
    std::thread::scope(|scope| {
        for thread in 0_u64..8 {
            let set = &set;
            scope.spawn(move || {
                for round in 0..500 {
                    let caller = thread * 1_000 + round;
                    let ask = me().creator(caller);
                    assert!(ask.clone().secret(caller, "x").is_allowed(set));
                    assert!(!ask.secret(caller + 1, "x").is_allowed(set));
                }
            });
        }
    });
}

#[test]
fn statements_that_do_not_concern_caller_and_action_are_never_rows() {
    let set = loaded(&[
        ("documents/a.json", &document(&format!("{},{}", statement("allow", "kms:*"), statement("allow", READ)))),
        ("documents/b.json", &document(&statement("allow", "kms:*"))),
        ("documents/c.json", &document(&statement("deny", "*"))),
        ("attachments.json", &attached(&[("a", "everyone"), ("b", "everyone"), ("c", "user/dev/z")], &[])),
    ]);
    let action = ACTIONS.iter().position(|action| *action == *by_name("GetSecretValue").unwrap()).unwrap();
    let reached = me().question(None, |question| set.reach(&question.caller));
    let documents = set.subjects().naming(&reached, action);
    assert_eq!(documents, [(0, true)]);
    let rows = set.rows(&FrameKey { layer: Layer::Identity, action, documents, session: String::new() });
    assert_eq!(rows.iter().map(|row| row.place).collect::<Vec<_>>(), [1]);
}
