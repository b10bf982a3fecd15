use super::super::testing::{
    Ask, ask, attached, document, file, golden_files, golden_settings, load, loaded, one_document, settings, statement,
};
use super::*;
use crate::actions::{ConditionKey, by_name};
use StatementEffect::{Allow, Deny};

fn decided(layer: Layer, effect: StatementEffect, document: &str, place: u32) -> DecidingStatement {
    DecidingStatement {
        layer,
        effect,
        document: Some(document.to_owned()),
        statement: Some(place),
    }
}

fn codes(files: &[(&str, &str)]) -> Vec<Code> {
    load(files)
        .err()
        .unwrap_or_default()
        .iter()
        .map(|finding| finding.code)
        .collect()
}

fn me() -> Ask {
    ask("user/dev/a")
}

/// Attachments with groups.
fn grouped(groups: &str, attachments: &[(&str, &str)], boundaries: &[(&str, &str)]) -> String {
    attached(attachments, boundaries).replacen("\"version\":1", &format!("\"version\":1,\"groups\":{{{groups}}}"), 1)
}

const READ: &str = "ssm:GetSecretValue";

#[test]
fn attack_d02_nothing_attached_is_a_default_deny_without_statement() {
    let empty = loaded(&[]);
    let lacking = Decision {
        outcome: Verdict::Deny(Reason::Default),
        layers: vec![DecidingStatement {
            layer: Layer::Identity,
            effect: Deny,
            document: None,
            statement: None,
        }],
    };
    assert_eq!(me().decide(&empty), lacking);
    let unattached = loaded(&[("documents/p.json", &document(&statement("allow", "*")))]);
    assert_eq!(me().decide(&unattached), lacking);
    let of_another = loaded(&[
        ("documents/p.json", &document(&statement("allow", "*"))),
        ("attachments.json", &attached(&[("p", "user/dev/b")], &[])),
    ]);
    assert_eq!(me().decide(&of_another), lacking);
    assert_eq!(
        ask("service/ssm").decide(&one_document(&statement("allow", "*"))),
        lacking,
        "everyone is no service"
    );
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
            (
                "attachments.json",
                &attached(&[(allowing, "user/dev/a"), (denying, "everyone")], &[]),
            ),
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
    let two = format!(
        "{},{},{}",
        statement("allow", "kms:*"),
        statement("allow", READ),
        statement("allow", "*")
    );
    let set = loaded(&[
        ("documents/b.json", &document(&statement("allow", "*"))),
        ("documents/a-b.json", &document(&statement("allow", "*"))),
        ("documents/a.json", &document(&two)),
        (
            "attachments.json",
            &attached(&[("b", "everyone"), ("a-b", "user/dev/a"), ("a", "issuer/dev")], &[]),
        ),
    ]);
    assert_eq!(
        me().decide(&set),
        Decision {
            outcome: Verdict::Allow,
            layers: vec![decided(Layer::Identity, Allow, "a", 1)]
        }
    );
}

fn layered(identity: &str, boundaries: &[(&str, &str)]) -> PolicySet {
    let mut files = vec![("documents/id.json".to_owned(), document(identity))];
    files.extend(
        boundaries
            .iter()
            .map(|(name, text)| (format!("documents/{name}.json"), document(text))),
    );
    let capped: Vec<(&str, &str)> = boundaries.iter().map(|(name, _)| (*name, "everyone")).collect();
    files.push(("attachments.json".to_owned(), attached(&[("id", "everyone")], &capped)));
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    loaded(&files)
}

#[test]
fn c36_every_boundary_must_allow_and_never_grants() {
    let all = statement("allow", "*");
    let set = layered(
        &all,
        &[("b2", &all), ("b1", &format!("{},{all}", statement("deny", "kms:*")))],
    );
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
    let silent = layered(
        &all,
        &[
            ("b1", &all),
            ("b2", &statement("allow", "kms:*")),
            ("b3", &statement("allow", "cam:*")),
        ],
    );
    let lacking = |layer| DecidingStatement {
        layer,
        effect: Deny,
        document: None,
        statement: None,
    };
    assert_eq!(
        me().decide(&silent),
        Decision {
            outcome: Verdict::Deny(Reason::Default),
            layers: vec![lacking(Layer::Boundary)]
        }
    );
    let alone = layered(&statement("allow", "kms:*"), &[("b1", &all)]);
    assert_eq!(
        me().decide(&alone).layers,
        [lacking(Layer::Identity)],
        "a boundary caps and grants nothing"
    );
    let neither = layered(&statement("allow", "kms:*"), &[("b1", &statement("allow", "kms:*"))]);
    assert_eq!(
        me().decide(&neither).layers,
        [lacking(Layer::Identity), lacking(Layer::Boundary)]
    );
}

#[test]
fn an_explicit_deny_names_the_first_of_each_layer_that_has_one() {
    let deny = statement("deny", READ);
    let both = layered(&deny, &[("b1", &statement("allow", "*")), ("b2", &deny), ("b3", &deny)]);
    assert_eq!(
        me().decide(&both),
        Decision {
            outcome: Verdict::Deny(Reason::Explicit),
            layers: vec![
                decided(Layer::Identity, Deny, "id", 0),
                decided(Layer::Boundary, Deny, "b2", 0)
            ]
        }
    );
    let one = layered(
        &statement("allow", "kms:*"),
        &[("b1", &format!("{},{deny}", statement("allow", "*")))],
    );
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
    let statement_of = |effect, place| DecidingStatement {
        layer: Layer::Session,
        effect,
        document: None,
        statement: place,
    };
    let allowing = session(&format!("{},{}", statement("allow", "kms:*"), statement("allow", READ)));
    assert_eq!(
        me().decide_with(&set, &allowing).layers,
        [decided(Layer::Identity, Allow, "p", 0), statement_of(Allow, Some(1))]
    );
    assert_eq!(
        me().decide_with(&set, &session(&statement("allow", "kms:*"))),
        Decision {
            outcome: Verdict::Deny(Reason::Default),
            layers: vec![statement_of(Deny, None)]
        }
    );
    let denying = session(&format!("{},{}", statement("allow", "*"), statement("deny", READ)));
    assert_eq!(
        me().decide_with(&set, &denying),
        Decision {
            outcome: Verdict::Deny(Reason::Explicit),
            layers: vec![statement_of(Deny, Some(1))]
        }
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
    assert_eq!(
        SessionPolicy::parse(text.as_bytes(), &settings()).unwrap_err()[0].code,
        Code::EffectError
    );
    let good = SessionPolicy::parse(text.replace("Allow", "allow").as_bytes(), &settings()).unwrap();
    assert_eq!(good.digest().len(), 71);
    assert_eq!(good.bytes().len(), text.len());
}

/// Which of the two ways something counts: an allow attached to `subject`, a deny, and a boundary.
fn counts(groups: &str, subject: &str, ask: &Ask) -> (bool, bool, bool) {
    let all = document(&statement("allow", "*"));
    let none = document(&statement("deny", "*"));
    let files = |attachments: String| {
        let role = r#"{"version":"2.0","statement":[{"effect":"allow","action":"name/sts:AssumeRole","principal":{"qcs":["user/corp/a"]}}]}"#;
        loaded(&[
            ("documents/all.json", &all),
            ("documents/none.json", &none),
            ("roles/r.json", role),
            ("attachments.json", &attachments),
        ])
    };
    let own = ask.clone();
    let principal = own.question(None, |question| question.caller.principal.as_str().to_owned());
    let allow = ask.is_allowed(&files(grouped(groups, &[("all", subject)], &[])));
    let deny = !ask.is_allowed(&files(grouped(groups, &[("all", &principal), ("none", subject)], &[])));
    let boundary = !ask.is_allowed(&files(grouped(groups, &[("all", &principal)], &[("none", subject)])));
    assert!(ask.is_allowed(&files(grouped(groups, &[("all", &principal)], &[]))));
    (allow, deny, boundary)
}

const FULL: (bool, bool, bool) = (true, true, true);
const RESTRICTS: (bool, bool, bool) = (false, true, true);
const NOTHING: (bool, bool, bool) = (false, false, false);

#[test]
fn vectors_what_counts_for_a_bearer_token() {
    let token = ask("user/corp/a").groups(&["group/corp/x"]).roles(&["role/corp/q"]);
    for subject in ["group/corp/x", "role/corp/q", "issuer/corp", "everyone", "user/corp/a"] {
        assert_eq!(counts("", subject, &token), FULL, "{subject}");
    }
    for member in ["group/corp/x", "user/corp/a", "role/corp/q"] {
        assert_eq!(
            counts(&format!(r#""y":["{member}"]"#), "group/local/y", &token),
            FULL,
            "{member}"
        );
    }
    for subject in ["group/corp/z", "role/corp/x", "issuer/dev", "user/corp/b", "user/dev/a"] {
        assert_eq!(counts("", subject, &token), NOTHING, "{subject}");
    }
}

#[test]
fn vectors_c44_what_counts_for_an_access_key() {
    let key = ask("user/corp/a")
        .access_key()
        .restricted(&["group/corp/x", "role/corp/q"]);
    for subject in ["group/corp/x", "role/corp/q"] {
        assert_eq!(counts("", subject, &key), RESTRICTS, "{subject}");
    }
    for subject in ["user/corp/a", "issuer/corp", "everyone"] {
        assert_eq!(counts("", subject, &key), FULL, "{subject}");
    }
    assert_eq!(counts(r#""y":["user/corp/a"]"#, "group/local/y", &key), FULL);
    assert_eq!(counts(r#""y":["group/corp/x"]"#, "group/local/y", &key), RESTRICTS);
    assert_eq!(
        counts(r#""y":["group/corp/x"],"z":["group/local/y"]"#, "group/local/z", &key),
        RESTRICTS
    );
    assert_eq!(
        counts(r#""y":["group/corp/x","user/corp/a"]"#, "group/local/y", &key),
        FULL,
        "reached both ways"
    );
    assert_eq!(
        counts(
            r#""y":["group/corp/x"],"z":["group/local/y","user/corp/a"]"#,
            "group/local/z",
            &key
        ),
        FULL
    );
}

#[test]
fn vectors_c44_what_counts_for_a_session() {
    let session = ask("role/local/r").session(Some("corp")).restricted(&["group/corp/x"]);
    for subject in ["role/local/r", "everyone"] {
        assert_eq!(counts("", subject, &session), FULL, "{subject}");
    }
    assert_eq!(counts(r#""z":["role/local/r"]"#, "group/local/z", &session), FULL);
    for subject in ["group/corp/x", "issuer/corp"] {
        assert_eq!(counts("", subject, &session), RESTRICTS, "{subject}");
    }
    assert_eq!(
        counts("", "user/corp/a", &session),
        NOTHING,
        "whoever took the role is not asked about"
    );
    assert_eq!(counts("", "issuer/dev", &session), NOTHING);
}

#[test]
fn groups_and_roles_given_beside_a_key_or_session_only_restrict() {
    assert_eq!(
        counts(
            "",
            "group/corp/x",
            &ask("user/corp/a").access_key().groups(&["group/corp/x"])
        ),
        RESTRICTS
    );
    assert_eq!(
        counts(
            "",
            "role/corp/x",
            &ask("role/local/r").session(None).roles(&["role/corp/x"])
        ),
        RESTRICTS
    );
}

#[test]
fn attack_d09_a_credential_cannot_name_what_the_folder_defines() {
    let token = ask("user/corp/a")
        .groups(&["group/local/y", "user/corp/root"])
        .roles(&["role/local/r", "group/local/y"]);
    assert_eq!(counts(r#""y":["user/corp/z"]"#, "group/local/y", &token), NOTHING);
    for subject in ["role/local/r", "user/corp/root"] {
        assert_eq!(counts("", subject, &token), NOTHING, "{subject}");
    }
}

#[test]
fn attack_d09_a_sub_or_group_spelled_like_another_principal_is_only_itself() {
    for (principal, groups) in [
        ("user/dev/user/corp/a", &[][..]),
        ("user/dev/role/local/r", &[]),
        (
            "user/dev/everyone",
            &["group/dev/local/y", "group/dev/issuer/corp", "group/dev/corp/x"],
        ),
    ] {
        let token = ask(principal).groups(groups);
        for subject in [
            "user/corp/a",
            "role/local/r",
            "issuer/corp",
            "group/corp/x",
            "group/local/y",
        ] {
            assert_eq!(
                counts(r#""y":["user/corp/z"]"#, subject, &token),
                NOTHING,
                "{principal} {subject}"
            );
        }
    }
}

#[test]
fn attack_d09_a_deny_on_a_group_far_up_is_not_lost() {
    for depth in [11, 10_000] {
        let mut groups = vec![r#""g0":["user/dev/a"]"#.to_owned()];
        groups.extend((1..depth).map(|n| format!(r#""g{n}":["group/local/g{}"]"#, n - 1)));
        let top = format!("group/local/g{}", depth - 1);
        let attachments = grouped(&groups.join(","), &[("all", "everyone"), ("none", &top)], &[]);
        let set = loaded(&[
            ("documents/all.json", &document(&statement("allow", "*"))),
            ("documents/none.json", &document(&statement("deny", "*"))),
            ("attachments.json", &attachments),
        ]);
        assert_eq!(me().decide(&set).outcome, Verdict::Deny(Reason::Explicit));
        assert_eq!(ask("user/dev/b").decide(&set).outcome, Verdict::Allow);
        let (found, _) = me().question(None, |question| set.local_groups_and_roles(&question.caller));
        assert_eq!(found.len(), depth);
    }
}

#[test]
fn attack_d09_ten_thousand_roles_on_one_caller_are_all_held_against_it() {
    let roles: Vec<String> = (0..10_000).map(|n| format!("role/corp/r{n}")).collect();
    let names: Vec<&str> = roles.iter().map(String::as_str).collect();
    let set = loaded(&[
        ("documents/all.json", &document(&statement("allow", "*"))),
        ("documents/none.json", &document(&statement("deny", "*"))),
        (
            "attachments.json",
            &attached(&[("all", "everyone"), ("none", "role/corp/r9999")], &[]),
        ),
    ]);
    assert_eq!(
        ask("user/corp/a").roles(&names).decide(&set).outcome,
        Verdict::Deny(Reason::Explicit)
    );
}

#[test]
fn what_the_folder_gives_is_listed_for_the_record() {
    let groups = r#""b":["group/corp/x"],"a":["group/local/b","role/local/r"],"c":["user/corp/z"]"#;
    let role = r#"{"version":"2.0","statement":[{"effect":"allow","action":"name/sts:AssumeRole","principal":{"qcs":["user/corp/a"]}}]}"#;
    let set = loaded(&[("roles/r.json", role), ("attachments.json", &grouped(groups, &[], &[]))]);
    let given = |ask: Ask| {
        let (groups, roles) = ask.question(None, |question| set.local_groups_and_roles(&question.caller));
        groups
            .into_iter()
            .chain(roles)
            .map(|principal| principal.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        given(ask("user/corp/a").groups(&["group/corp/x"])),
        ["group/local/a", "group/local/b"]
    );
    assert_eq!(
        given(ask("user/corp/a").access_key().restricted(&["group/corp/x"])),
        ["group/local/a", "group/local/b"]
    );
    assert_eq!(
        given(ask("role/local/r").session(None)),
        ["group/local/a", "role/local/r"]
    );
    assert!(given(ask("user/corp/a")).is_empty());
}

#[test]
fn attack_d12_c45_limits_on_groups_that_a_token_may_leave_out_do_not_load() {
    let allow = document(&statement("allow", "*"));
    let deny = document(&format!("{},{}", statement("allow", "*"), statement("deny", "kms:*")));
    let foreign = document(r#"{"effect":"deny","action":"cos:*","resource":"*"}"#);
    let try_load = |groups: &str, to: &str, policy: &str, boundary: bool| {
        let one = [(policy, to)];
        let (attachments, boundaries): (&[_], &[_]) = if boundary { (&[], &one) } else { (&one, &[]) };
        codes(&[
            ("documents/allow.json", &allow),
            ("documents/deny.json", &deny),
            ("documents/foreign.json", &foreign),
            ("attachments.json", &grouped(groups, attachments, boundaries)),
        ])
    };
    let refused = [Code::PrincipalGroupOptional];
    assert_eq!(try_load("", "group/dev/x", "deny", false), refused);
    assert_eq!(try_load("", "group/dev/x", "allow", true), refused);
    assert_eq!(
        try_load(r#""g":["user/dev/a","group/dev/x"]"#, "group/local/g", "deny", false),
        refused
    );
    assert_eq!(
        try_load(
            r#""g":["group/dev/x"],"h":["group/local/g"]"#,
            "group/local/h",
            "allow",
            true
        ),
        refused
    );
    for (groups, to, policy, boundary) in [
        ("", "group/dev/x", "allow", false),
        ("", "group/corp/x", "deny", false),
        ("", "group/corp/x", "allow", true),
        ("", "role/dev/x", "deny", false),
        ("", "issuer/dev", "deny", true),
        ("", "everyone", "deny", true),
        ("", "group/dev/x", "foreign", false),
        (
            r#""g":["user/dev/a","role/dev/x","group/corp/x"],"h":["group/dev/x"]"#,
            "group/local/g",
            "deny",
            true,
        ),
    ] {
        assert_eq!(try_load(groups, to, policy, boundary), [], "{groups} {to} {policy}");
    }
}

#[test]
fn c42_an_attachment_of_a_policy_that_does_not_exist_is_refused() {
    assert_eq!(
        codes(&[(
            "attachments.json",
            &attached(&[("p", "everyone")], &[("q", "everyone")])
        )]),
        [Code::PolicyIdNotExist; 2]
    );
    let broken = codes(&[
        ("documents/p.json", "{"),
        ("attachments.json", &attached(&[("p", "everyone")], &[])),
    ]);
    assert_eq!(
        broken,
        [Code::PolicyDocumentError],
        "one that exists and is refused is found once"
    );
}

#[test]
fn a_set_is_all_or_nothing_and_every_file_reports_at_once() {
    let found = load(&[
        ("documents/a.json", &document(&statement("Allow", "*"))),
        ("documents/good.json", &document(&statement("allow", "*"))),
        ("documents/b.json", "[]"),
        ("roles/r.json", "{}"),
        ("attachments.json", "{\"version\":2}"),
        ("model.conf", "x"),
        ("documents/good.json", "{}"),
    ])
    .unwrap_err();
    let files: Vec<&str> = found.iter().map(|finding| finding.file.as_str()).collect();
    assert!(files.is_sorted());
    for file in [
        "attachments.json",
        "documents/a.json",
        "documents/b.json",
        "model.conf",
        "roles/r.json",
        "documents/good.json",
    ] {
        assert!(files.contains(&file), "{file}");
    }
}

#[test]
fn the_codes_of_load_errors_are_each_reached_by_a_fixture() {
    let p = |text: &str| codes(&[("documents/p.json", text)]);
    let with = |from: &str, to: &str| p(&document(&statement("allow", READ)).replacen(from, to, 1));
    let to = |subject: &str| {
        codes(&[
            ("documents/p.json", &document(&statement("deny", "*"))),
            ("attachments.json", &attached(&[("p", subject)], &[])),
        ])
    };
    let condition = |text: &str| with("\"*\"}", &format!("\"*\",\"condition\":{text}}}"));
    let resource = |text: &str| with("\"resource\":\"*\"", &format!("\"resource\":\"{text}\""));
    let reached = [
        p("{"),
        p(&format!(
            "{}{}",
            document(&statement("allow", "*")),
            " ".repeat(300_000)
        )),
        with("2.0", "1.0"),
        p(r#"{"version":"2.0","statement":[]}"#),
        with("allow", "Allow"),
        with(READ, "ssm"),
        with(&format!("\"{READ}\""), "[]"),
        with(READ, "cvm:Run"),
        with(READ, "ssm:Nope"),
        with("\"resource\":\"*\"", "\"resource\":[]"),
        resource("x"),
        resource("qcs:x:ssm:::*"),
        resource("qcs::x:::*"),
        resource("qcs::ssm:x::*"),
        resource("qcs::ssm::x:*"),
        resource("qcs::ssm:::x"),
        condition("{}"),
        condition(r#"{"nope":{"qcs:uin":"7"}}"#),
        condition(r#"{"string_equal":{"nope":"7"}}"#),
        with("{\"effect\"", "{\"principal\":\"*\",\"effect\""),
        to("x"),
        to("user/nope/a"),
        to("qcs::cam::uin/2:root"),
        to("service/nope"),
        to("group/dev/x"),
        codes(&[("attachments.json", "x")]),
        codes(&[("documents/x", "")]),
        codes(&[("attachments.json", &attached(&[("p", "everyone")], &[]))]),
    ];
    let reached: Vec<Code> = reached
        .into_iter()
        .map(|codes| {
            assert_eq!(codes.len(), 1, "{codes:?}");
            codes[0]
        })
        .collect();
    assert_eq!(reached, Code::ALL);
}

#[test]
fn the_published_set_decides_as_its_sample_records_say() {
    let set = PolicySet::load(&golden_files(), &golden_settings()).unwrap();
    assert_eq!(
        set.revision(),
        "sha256:f69fb5b4f95a9052c6a5bbae0524f025122d765928d83fb4f2982096e27fde1d"
    );
    let tags = ["env&prod", "team&pay"];
    let on = |ask: Ask, name: &str| {
        ask.secret(3_067_215_483_350_917, name)
            .with(ConditionKey::ResourceTag, &tags)
    };
    let billing = || {
        ask("user/dev/svc-billing")
            .groups(&["group/dev/billing"])
            .roles(&["role/dev/batch"])
            .with(ConditionKey::Ip, &["10.3.155.69"])
    };
    let read = decided(Layer::Identity, Allow, "payments-read", 1);
    assert_eq!(
        on(billing(), "prod/pay/db-password").decide(&set),
        Decision {
            outcome: Verdict::Allow,
            layers: vec![read.clone()]
        }
    );
    assert_eq!(
        billing().missing("prod/pay/db-passwd").decide(&set),
        Decision {
            outcome: Verdict::Allow,
            layers: vec![read.clone()]
        }
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
    let lee = ask("user/corp/r.lee")
        .groups(&["group/corp/payments-ops"])
        .creator(3_067_215_483_350_917);
    let created = lee
        .secret(3_067_215_483_350_917, "prod/pay/db-password")
        .with(ConditionKey::CreateUin, &[])
        .action("CreateSecret");
    assert_eq!(
        created.decide(&set).layers,
        [decided(Layer::Identity, Allow, "payments-write", 0)]
    );
    let reader = ask("role/local/reader")
        .session(Some("dev"))
        .restricted(&["group/dev/deployers"]);
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
        assert_eq!(
            me().missing("prod/db").decide(&allowing).outcome,
            Verdict::Deny(Reason::Default),
            "{text}"
        );
        let denying = one_document(&format!(
            "{},{}",
            statement("allow", "*"),
            text.replace("EFFECT", "deny")
        ));
        assert_eq!(
            me().missing("prod/db").decide(&denying).outcome,
            Verdict::Deny(Reason::Explicit),
            "{text}"
        );
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
    let error = |fault| Decision {
        outcome: Verdict::Error(fault),
        layers: Vec::new(),
    };
    for (key, value) in [
        (ConditionKey::CurrentTime, "now"),
        (ConditionKey::Ip, "host"),
        (ConditionKey::SecureTransport, "yes"),
    ] {
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
        (
            "attachments.json",
            &attached(&[("QcloudAccessForSSMRole", "role/local/SSM_QCSRole")], &[]),
        ),
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
    assert_eq!(
        reasons(&me()),
        [
            Some(WhyNot::Action),
            Some(WhyNot::Resource),
            absent,
            elsewhere,
            None,
            None
        ]
    );
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
        (
            "attachments.json",
            &attached(&[("p", "group/corp/x")], &[("p", "everyone")]),
        ),
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
        };
        assert!(ask.is_allowed(&set), "{}", action.name);
        assert!(!ask.is_allowed(&loaded(&[])), "{}", action.name);
    }
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
        (
            "documents/a.json",
            &document(&format!("{},{}", statement("allow", "kms:*"), statement("allow", READ))),
        ),
        ("documents/b.json", &document(&statement("allow", "kms:*"))),
        ("documents/c.json", &document(&statement("deny", "*"))),
        (
            "attachments.json",
            &attached(&[("a", "everyone"), ("b", "everyone"), ("c", "user/dev/z")], &[]),
        ),
    ]);
    let action = ACTIONS
        .iter()
        .position(|action| *action == *by_name("GetSecretValue").unwrap())
        .unwrap();
    let reached = me().question(None, |question| set.reach(&question.caller));
    let documents = set.subjects().naming(&reached, action);
    assert_eq!(documents, [(0, true)]);
    let rows = set.rows(&FrameKey {
        layer: Layer::Identity,
        action,
        documents,
        session: String::new(),
    });
    assert_eq!(rows.iter().map(|row| row.place).collect::<Vec<_>>(), [1]);
}

#[test]
fn files_of_the_revision_come_back_without_tests() {
    let mut files = golden_files();
    files.push(file("tests/t.json", "anything"));
    files.reverse();
    let set = PolicySet::load(&files, &golden_settings()).unwrap();
    assert_eq!(set.files(), golden_files());
    let again = PolicySet::load(set.files(), &Settings::of_revision(set.config_frame()).unwrap()).unwrap();
    assert_eq!(again.revision(), set.revision());
}
