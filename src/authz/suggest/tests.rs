//! Suggestions by example, and against brute force: random folders, random requests, and every request decided by the folder and by what
//! is suggested for it.

use std::collections::BTreeSet;

use super::*;
use crate::authz::oracle_tests::dice::Dice;
use crate::authz::oracle_tests::question::{Ask as RandomAsk, random_ask};
use crate::authz::oracle_tests::world::{random_world, settings as world_settings};
use crate::authz::testing::{Ask, ask, attached, document, grouped, loaded, settings, statement};
use crate::authz::{Verdict, diff};
use crate::principal::Kind;

fn used(set: &PolicySet, asks: &[Ask]) -> Usage {
    let mut usage = Usage::default();
    for ask in asks {
        assert_eq!(ask.question(None, |question| usage.add(set, question)), Verdict::Allow);
    }
    usage
}

fn who(text: &str) -> Principal {
    Principal::parse(text).unwrap()
}

fn reloaded(set: &PolicySet, suggestions: &[Suggestion]) -> PolicySet {
    PolicySet::load(&set.with_suggestions(suggestions), &settings()).unwrap()
}

const WIDE: &str = r#"{"effect":"allow","action":["ssm:Get*","ssm:DescribeSecret","ssm:ListSecrets"],"resource":"*",
    "condition":{"ip_equal":{"qcs:ip":"10.0.0.0/8"}}},
    {"effect":"deny","action":"ssm:*","resource":"qcs::ssm:::secret/creatorUin/*/root/*"},
    {"effect":"allow","action":"kms:ListKeys","resource":"*"}"#;

fn wide() -> PolicySet {
    loaded(&[
        ("documents/p.json", &document(WIDE)),
        ("documents/idle.json", &document(r#"{"effect":"allow","action":"cam:*","resource":"*"}"#)),
        ("attachments.json", &attached(&[("p", "user/corp/a"), ("idle", "user/corp/b")], &[])),
    ])
}

#[test]
fn a_document_is_cut_to_what_was_done_and_denies_and_conditions_stay() {
    let set = wide();
    let done = [
        ask("user/corp/a").secret(7, "pay/db"),
        ask("user/corp/a").secret(9, "pay/key"),
        ask("user/corp/a").secret(7, "pay/db").action("DescribeSecret"),
        ask("user/corp/a").operation("ListSecrets"),
    ];
    let usage = used(&set, &done);
    let told = set.narrowed(&usage);
    let texts: Vec<(&str, Option<&str>, u64)> =
        told.iter().map(|one| (one.path.as_str(), one.text.as_deref(), one.accesses)).collect();
    let cut = r#"{
  "version": "2.0",
  "statement": [
    {
      "effect": "allow",
      "action": "ssm:ListSecrets",
      "resource": "*",
      "condition": {"ip_equal": {"qcs:ip": "10.0.0.0/8"}}
    },
    {
      "effect": "allow",
      "action": "ssm:DescribeSecret",
      "resource": "qcs::ssm:::secret/creatorUin/*/pay/db",
      "condition": {"ip_equal": {"qcs:ip": "10.0.0.0/8"}}
    },
    {
      "effect": "allow",
      "action": "ssm:GetSecretValue",
      "resource": ["qcs::ssm:::secret/creatorUin/*/pay/db", "qcs::ssm:::secret/creatorUin/*/pay/key"],
      "condition": {"ip_equal": {"qcs:ip": "10.0.0.0/8"}}
    },
    {"effect": "deny", "action": "ssm:*", "resource": "qcs::ssm:::secret/creatorUin/*/root/*"}
  ]
}
"#;
    assert_eq!(texts, [("documents/idle.json", None, 0), ("documents/p.json", Some(cut), 4)]);
    let unused: Vec<(String, u32)> =
        set.unused(&usage, None).into_iter().map(|one| (one.path, one.statement)).collect();
    assert_eq!(unused, [("documents/idle.json".to_owned(), 0), ("documents/p.json".to_owned(), 2)]);
    let proposed = reloaded(&set, &told);
    assert!(done.iter().all(|ask| ask.is_allowed(&proposed)));
    assert!(!ask("user/corp/a").secret(7, "pay/other").is_allowed(&proposed));
    let files: Vec<&str> = proposed.files().iter().map(|file| file.path.as_str()).collect();
    assert_eq!(files, ["attachments.json", "documents/p.json"], "what nobody used goes");
    assert!(proposed.narrowed(&used(&proposed, &done)).is_empty(), "there is nothing left to cut");
}

#[test]
fn of_more_than_three_names_the_folder_is_kept_where_it_lies_within_and_a_variable_always() {
    let names = ["pay/a", "pay/b", "pay/c/d", "pay/e"];
    let cut = |resource: &str, names: &[&str]| {
        let statement = format!(r#"{{"effect":"allow","action":"ssm:GetSecretValue","resource":"{resource}"}}"#);
        let set = loaded(&[
            ("documents/p.json", &document(&statement)),
            ("attachments.json", &attached(&[("p", "everyone")], &[])),
        ]);
        let done: Vec<Ask> = names.iter().map(|name| ask("user/corp/a").secret(7, name)).collect();
        let told = set.narrowed(&used(&set, &done));
        told.first().and_then(|one| one.text.clone()).map(|text| {
            let document: serde_json::Value = serde_json::from_str(&text).unwrap();
            document["statement"][0]["resource"].clone()
        })
    };
    let folder = |creator: &str| Some(serde_json::json!(format!("qcs::ssm:::secret/creatorUin/{creator}/pay/*")));
    assert_eq!(cut("*", &names), folder("*"));
    assert_eq!(cut("qcs::ssm:::secret/*", &names), folder("*"));
    assert_eq!(cut("qcs::ssm:::secret/creatorUin/7/*", &names), folder("7"));
    assert_eq!(cut("qcs::ssm:::secret/creatorUin/${uin}/*", &names), folder("${uin}"));
    assert_eq!(cut("qcs::ssm:::secret/creatorUin/*/pay/*", &names), None, "it is the folder");
    assert_eq!(cut("qcs::ssm:::secret/creatorUin/*/p*", &names), folder("*"));
    assert_eq!(cut("qcs::ssm:::secret/creatorUin/*/*/1*", &["a/10", "a/11", "a/12", "a/13"]), None, "it lies beyond");
    assert_eq!(cut("*", &["a", "b", "c", "d"]), None, "no folder is common to them");
    assert_eq!(cut("qcs::ssm:::secret/creatorUin/*/home/${uin}/*", &["home/7/a"]), None, "another name to each");
    assert_eq!(
        cut("qcs::ssm:::secret/creatorUin/${uin}/*", &["a"]),
        Some(serde_json::json!("qcs::ssm:::secret/creatorUin/${uin}/a"))
    );
}

#[test]
fn for_one_principal_what_always_reaches_it_is_cut_and_the_rest_is_told() {
    let read = |name: &str| {
        format!(
            r#"{{"effect":"allow","action":"ssm:GetSecretValue","resource":"qcs::ssm:::secret/creatorUin/*/{name}/*"}}"#
        )
    };
    let deny = r#"{"effect":"deny","action":"ssm:DeleteSecret","resource":"*"}"#;
    let set = loaded(&[
        ("documents/own.json", &document(&format!("{},{deny}", read("own")))),
        ("documents/team.json", &document(&read("team"))),
        ("documents/token.json", &document(&read("token"))),
        ("documents/other.json", &document(&read("other"))),
        (
            "attachments.json",
            &grouped(
                r#""team":["user/corp/a","user/corp/b"]"#,
                &[
                    ("own", "user/corp/a"),
                    ("team", "group/local/team"),
                    ("token", "group/corp/x"),
                    ("other", "user/corp/b"),
                ],
                &[],
            ),
        ),
    ]);
    let a = || ask("user/corp/a");
    let done = [a().secret(7, "own/db"), a().secret(7, "team/db"), a().groups(&["group/corp/x"]).secret(7, "token/db")];
    let told = set.least(&used(&set, &done), &who("user/corp/a"));
    assert_eq!((told.path.as_str(), told.accesses), ("documents/least-user-corp-a.json", 2));
    let text = told.text.clone().unwrap();
    assert!(text.contains("/own/db") && text.contains("/team/db") && text.contains("ssm:DeleteSecret"), "{text}");
    assert!(!text.contains("token") && !text.contains("other"), "{text}");
    let keeps: Vec<&str> = told.keeps.iter().map(|kept| kept.document.as_str()).collect();
    assert_eq!(keeps, ["team", "token"]);
    let proposed = reloaded(&set, std::slice::from_ref(&told));
    assert!(done.iter().all(|ask| ask.is_allowed(&proposed)));
    assert!(!a().secret(7, "own/other").is_allowed(&proposed));
    assert!(a().secret(7, "team/other").is_allowed(&proposed), "the group still grants it");
    let changes = diff(&set, &proposed, &|_| None).unwrap();
    assert!(!changes.has_gains() && !changes.is_empty(), "{changes:#?}");
    // Suggested again when it is live, it takes its own place.
    let again = proposed.least(&used(&proposed, &done), &who("user/corp/a"));
    assert_eq!(again.path, told.path);
    let twice = reloaded(&proposed, &[again]);
    assert!(diff(&proposed, &twice, &|_| None).unwrap().is_empty());
    // Of somebody who did nothing, nothing is left but the denies.
    let idle = set.least(&Usage::default(), &who("user/corp/b"));
    assert_eq!((idle.text.clone(), idle.accesses), (None, 0));
    let without = reloaded(&set, &[idle]);
    assert!(without.subjects().attached_to(0).is_empty());
}

#[test]
fn boundaries_and_the_gateways_own_grant_are_left_alone() {
    let all = statement_on_everything();
    let set = loaded(&[
        ("documents/bound.json", &document(&all)),
        (
            "documents/keys.json",
            &document(r#"{"effect":"allow","action":["kms:Decrypt","kms:GenerateDataKey"],"resource":"*"}"#),
        ),
        (
            "roles/SSM_QCSRole.json",
            r#"{"version":"2.0","statement":[{"effect":"allow","action":"name/sts:AssumeRole","principal":{"qcs":["service/ssm"]}}]}"#,
        ),
        (
            "attachments.json",
            &attached(&[("bound", "user/corp/a"), ("keys", "role/local/SSM_QCSRole")], &[("bound", "user/corp/a")]),
        ),
    ]);
    let usage = used(&set, &[ask("user/corp/a").secret(7, "pay/db")]);
    assert_eq!(set.narrowed(&usage), []);
    assert_eq!(set.unused(&usage, None), []);
    assert_eq!(set.narrow_wildcards(&usage, None), []);
}

fn statement_on_everything() -> String {
    r#"{"effect":"allow","action":"*","resource":"*"}"#.to_owned()
}

#[test]
fn wildcards_of_few_names_are_told_with_the_names() {
    let set = wide();
    let reads = |names: &[&str]| names.iter().map(|name| ask("user/corp/a").secret(7, name)).collect::<Vec<_>>();
    let told = |asks: &[Ask]| {
        let all = set.narrow_wildcards(&used(&set, asks), None);
        all.into_iter().map(|one| (one.part.name(), one.text, one.used)).collect::<Vec<_>>()
    };
    let action = ("action", "ssm:Get*".to_owned(), vec!["ssm:GetSecretValue".to_owned()]);
    let names = vec!["pay/a".to_owned(), "pay/b".to_owned()];
    assert_eq!(told(&reads(&["pay/a", "pay/b"])), [action.clone(), ("resource", "*".to_owned(), names)]);
    assert_eq!(told(&reads(&["a", "b", "c", "d"])), std::slice::from_ref(&action));
    let mut listed = reads(&["a"]);
    listed.push(ask("user/corp/a").operation("ListSecrets"));
    assert_eq!(told(&listed), [action], "an action without a resource needs the star");
}

#[test]
fn a_document_that_goes_is_named_by_no_boundary_of_nobody() {
    let attachments = attached(&[("p", "user/corp/a")], &[("p", "user/corp/a")]);
    let attachments = attachments
        .replace(r#""boundaries":[{"policy":"p","to":["user/corp/a"]}]"#, r#""boundaries":[{"policy":"p","to":[]}]"#);
    let set = loaded(&[("documents/p.json", &document(&statement("allow", "*"))), ("attachments.json", &attachments)]);
    let suggestions = set.narrowed(&Usage::default());
    assert_eq!(suggestions.len(), 1);
    assert!(PolicySet::load(&set.with_suggestions(&suggestions), &settings()).is_ok());
}

#[test]
fn i05_random_folders_cut_to_random_use_allow_all_that_was_done_and_nothing_new() {
    let (mut cut, mut kept, mut taken) = (0_u64, 0_u64, 0_u64);
    for seed in 0..1_000 {
        let mut dice = Dice::new(0x7375_6767 + seed);
        let world = random_world(&mut dice);
        let Ok(set) = PolicySet::load(&world.files(), &world_settings()) else { continue };
        let asks: Vec<RandomAsk> =
            (0..240).map(|_| random_ask(&mut dice)).filter(|ask| ask.session.is_none()).collect();
        let is_allowed = |set: &PolicySet, ask: &RandomAsk| set.decide(&ask.question(&[])).outcome == Verdict::Allow;
        let done: Vec<&RandomAsk> = asks.iter().filter(|ask| dice.percent(40) && is_allowed(&set, ask)).collect();
        let people: BTreeSet<&Principal> =
            done.iter().map(|ask| &ask.principal).filter(|who| who.kind() != Kind::Service).collect();
        let everything = usage_of(&set, done.iter().copied());
        let mut all = vec![set.narrowed(&everything)];
        for who in people {
            let own = usage_of(&set, done.iter().copied().filter(|ask| ask.principal == *who));
            all.push(vec![set.least(&own, who)]);
        }
        for suggestions in all {
            cut += suggestions.len() as u64;
            let told = format!("seed {seed}: {suggestions:#?}");
            let files = set.with_suggestions(&suggestions);
            let proposed =
                PolicySet::load(&files, &world_settings()).unwrap_or_else(|error| panic!("{told}\n{error:#?}"));
            for ask in &asks {
                let (before, after) = (is_allowed(&set, ask), is_allowed(&proposed, ask));
                assert!(before || !after, "gained: {ask:#?}\n{told}");
                let was_done = done.iter().any(|one| std::ptr::eq(*one, ask));
                assert!(!was_done || after, "lost: {ask:#?}\n{told}");
                kept += u64::from(was_done);
                taken += u64::from(before && !after);
            }
        }
    }
    eprintln!("{cut} suggestions, {kept} accesses kept, {taken} requests no longer allowed");
    assert!(cut > 1_000 && kept > 5_000 && taken > 5_000, "{cut} {kept} {taken}");
}

fn usage_of<'a>(set: &PolicySet, asks: impl Iterator<Item = &'a RandomAsk>) -> Usage {
    let mut usage = Usage::default();
    asks.for_each(|ask| assert_eq!(usage.add(set, &ask.question(&[])), Verdict::Allow));
    usage
}
