//! Who may do something, and what somebody may do.

use std::time::{Duration, Instant};

use crate::actions::by_name;
use crate::authz::diff::{Line, SecretAsked, what_can, who_can};
use crate::authz::set::PolicySet;
use crate::authz::testing::{attached, document, loaded, statement};
use crate::principal::Principal;
use crate::resource::SecretName;

const READ: &str =
    r#"{"effect":"allow","action":"ssm:GetSecretValue","resource":"qcs::ssm:::secret/creatorUin/*/prod/*"}"#;

fn who(set: &PolicySet, name: &str) -> Vec<String> {
    let name = SecretName::parse(name).unwrap();
    let secret = Some(SecretAsked { name: &name, creator: None });
    let lines = who_can(set, by_name("GetSecretValue").unwrap(), secret, &|_| None).unwrap();
    lines.iter().flat_map(|line| &line.who).map(ToString::to_string).collect()
}

#[test]
fn who_can_names_subjects_and_spells_conditions_out() {
    let from = READ.replace("prod/*\"}", "prod/*\",\"condition\":{\"ip_equal\":{\"qcs:ip\":\"10.0.0.0/8\"}}}");
    let set = loaded(&[
        ("documents/p.json", &document(READ)),
        ("documents/q.json", &document(&from)),
        ("attachments.json", &attached(&[("p", "group/corp/x"), ("q", "issuer/dev")], &[])),
    ]);
    assert_eq!(who(&set, "prod/db"), ["issuer/dev", "group/corp/x"]);
    assert_eq!(who(&set, "dev/db"), Vec::<String>::new());
    let name = SecretName::parse("prod/db").unwrap();
    let secret = Some(SecretAsked { name: &name, creator: None });
    let lines = who_can(&set, by_name("GetSecretValue").unwrap(), secret, &|_| None).unwrap();
    let conditions: Vec<_> = lines.iter().map(Line::conditions).collect();
    assert_eq!(conditions[0][0][0].text, "qcs:ip ip_equal 10.0.0.0/8");
    assert!(conditions[1].is_empty());
}

#[test]
fn what_can_tells_actions_and_patterns() {
    let deny = r#"{"effect":"deny","action":"ssm:*","resource":"qcs::ssm:::secret/creatorUin/*/prod/db"}"#;
    let set = loaded(&[
        ("documents/p.json", &document(&format!("{READ},{deny}"))),
        ("attachments.json", &attached(&[("p", "user/corp/a")], &[])),
    ]);
    let alice = Principal::parse("user/corp/a").unwrap();
    let lines = what_can(&set, &alice, &[], &|_| None).unwrap();
    let told: Vec<_> = lines.iter().map(|line| (line.actions(), line.resource(), line.target_further())).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].0, ["ssm:GetSecretValue"]);
    assert_eq!(told[0].1, "secret/creatorUin/*/prod/*");
    assert_eq!(told[0].2[0].text, "name prod/db");
    let bob = Principal::parse("user/corp/b").unwrap();
    assert!(what_can(&set, &bob, &[], &|_| None).unwrap().is_empty());
}

#[test]
fn what_can_of_a_token_group_or_role_is_that_of_whoever_has_it() {
    let set = loaded(&[
        ("documents/p.json", &document(READ)),
        ("documents/q.json", &document(&statement("allow", "ssm:ListSecrets"))),
        (
            "attachments.json",
            &attached(&[("p", "group/dev/engineers"), ("p", "role/corp/x"), ("q", "issuer/dev")], &[]),
        ),
    ]);
    let told = |principal: &str, with: &[&str]| -> Vec<(Vec<String>, String)> {
        let with: Vec<Principal> = with.iter().map(|one| Principal::parse(one).unwrap()).collect();
        let with: Vec<&Principal> = with.iter().collect();
        let lines = what_can(&set, &Principal::parse(principal).unwrap(), &with, &|_| None).unwrap();
        lines.iter().map(|line| (line.actions(), line.resource())).collect()
    };
    for (principal, user, lines) in
        [("group/dev/engineers", "user/dev/somebody", 2), ("role/corp/x", "user/corp/somebody", 1)]
    {
        assert_eq!(told(principal, &[]), told(user, &[principal]), "{principal}");
        assert_eq!(told(principal, &[]).len(), lines, "{principal}");
    }
    assert!(told("group/corp/none", &[]).is_empty());
}

#[test]
fn who_can_over_ten_thousand_documents_takes_less_than_a_second() {
    let mut files: Vec<(String, String)> = Vec::new();
    let mut to: Vec<(String, String)> = Vec::new();
    for number in 0..10_000 {
        let text = READ.replace("prod/*", &format!("prod/{}/*", number % 5_000));
        files.push((format!("documents/p{number}.json"), document(&text)));
        to.push((format!("p{number}"), format!("group/corp/team{number}")));
    }
    let to: Vec<(&str, &str)> = to.iter().map(|(policy, to)| (policy.as_str(), to.as_str())).collect();
    files.push(("attachments.json".to_owned(), attached(&to, &[])));
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let set = loaded(&files);
    let from = Instant::now();
    let told = who(&set, "prod/17/db");
    let taken = from.elapsed();
    assert_eq!(told, ["group/corp/team17", "group/corp/team5017"]);
    eprintln!("who-can took {taken:?}");
    assert!(taken < Duration::from_secs(if cfg!(debug_assertions) { 20 } else { 1 }), "{taken:?}");
}
