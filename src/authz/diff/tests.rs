//! The comparison against brute force: random pairs of small policy folders, every request of a small universe decided by both.
//! A request that is decided differently and that no line tells of is a miss; a line that tells of a request which is
//! decided alike is false.
//!
//! `KEYWARD_DIFF_PAIRS` sets how many pairs there are (1,000 if unset), `KEYWARD_DIFF_SEED` where the choices start.

mod allowed;
mod folders;
mod requests;

use std::time::{Duration, Instant};

use self::folders::{random_folder, random_step};
use self::requests::{Request, requests};
use super::*;
use crate::authz::Verdict;
use crate::authz::diff::callers::Population;
use crate::authz::oracle_tests::dice::Dice;
use crate::authz::oracle_tests::question::random_ask;
use crate::authz::oracle_tests::world::{random_world, settings};
use crate::authz::testing::{attached, document, grouped, loaded, statement};

fn number_from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn pairs() -> u64 {
    number_from_environment("KEYWARD_DIFF_PAIRS", 1_000)
}

fn seed() -> u64 {
    number_from_environment("KEYWARD_DIFF_SEED", 0x6469_6666)
}

/// Two sets and what is told of them.
struct Told {
    old: PolicySet,
    new: PolicySet,
    population: Population,
    diff: Diff,
}

impl Told {
    fn of(old: PolicySet, new: PolicySet) -> Result<Self, DiffError> {
        let diff = diff(&old, &new, &|_| None)?;
        let issuers = ["corp".to_owned(), "dev".to_owned()];
        let population = Population::of([&old, &new], &issuers);
        Ok(Self { old, new, population, diff })
    }

    fn direction(&self, request: &Request) -> Option<Direction> {
        let question = request.question();
        let [old, new] = [&self.old, &self.new].map(|set| set.decide(&question).outcome);
        assert!(!matches!(old, Verdict::Error(_)) && !matches!(new, Verdict::Error(_)), "{request:?}");
        match (old == Verdict::Allow, new == Verdict::Allow) {
            (false, true) => Some(Direction::Gains),
            (true, false) => Some(Direction::Loses),
            _ => None,
        }
    }

    /// What is wrong about a request, if anything; counts requests that are decided differently.
    fn wrong(&self, request: &Request, different: &mut u64) -> Option<String> {
        if !request.can_be([&self.old, &self.new]) {
            return None;
        }
        let direction = self.direction(request);
        let telling = |exactly: bool| {
            let of = move |line: &&Line| requests::tells(line, request, &self.population, exactly);
            self.diff.lines.iter().filter(of)
        };
        *different += u64::from(direction.is_some());
        if direction.is_some() && !telling(false).any(|line| Some(line.direction) == direction) {
            return Some(format!("missed: {direction:?}"));
        }
        let false_line = telling(true).find(|line| Some(line.direction) != direction);
        false_line.map(|line| format!("false: {line:?}"))
    }
}

#[test]
fn diff_tells_of_every_change_and_of_none_that_is_none() {
    let first = seed();
    let (mut different, mut asked, mut silent, mut comparing) = (0, 0_u64, 0_u64, Duration::ZERO);
    for at in 0..pairs() {
        let seed = first.wrapping_add(at);
        let mut dice = Dice::new(seed);
        let old = random_folder(&mut dice);
        let new = if dice.percent(25) { random_folder(&mut dice) } else { random_step(&mut dice, &old) };
        let (old_set, new_set) = (old.load(), new.load());
        let from = Instant::now();
        let told = Told::of(old_set, new_set);
        comparing += from.elapsed();
        let told = told.unwrap_or_else(|error| panic!("seed {seed}: {error}\n{old}\n{new}"));
        silent += u64::from(told.diff.is_empty());
        for request in requests(&mut dice) {
            asked += 1;
            if let Some(wrong) = told.wrong(&request, &mut different) {
                panic!("KEYWARD_DIFF_SEED={seed}: {wrong}\n{request:#?}\nold:\n{old}\nnew:\n{new}");
            }
        }
    }
    eprintln!(
        "{asked} requests, {different} decided differently, {silent} pairs without a difference; compared in {comparing:?}"
    );
    assert!(different > pairs() * 10, "only {different} requests are decided differently");
    assert!(silent * 10 > pairs() / 10, "only {silent} pairs are without a difference");
}

/// Folders of every operator, key and form of the language, and random requests.
#[test]
fn diff_tells_of_every_change_between_folders_of_the_whole_language() {
    let first = seed();
    let mut different = 0;
    let mut exhausted = 0_u64;
    let worlds = pairs() / 10;
    for at in 0..worlds {
        let seed = first.wrapping_add(at);
        let mut dice = Dice::new(seed);
        let old = random_world(&mut dice);
        let mut new = old.clone();
        let other = random_world(&mut dice);
        match dice.below(4) {
            0 => {
                new.attachments =
                    other.attachments.into_iter().filter(|(name, _)| old.documents.contains_key(name)).collect()
            }
            1 => {
                new.boundaries =
                    other.boundaries.into_iter().filter(|(name, _)| old.documents.contains_key(name)).collect()
            }
            2 => new.trust = other.trust,
            _ => {
                let names: Vec<String> = old.documents.keys().cloned().collect();
                let name = names[dice.below(names.len())].clone();
                let with = other.documents.values().next().expect("a document").clone();
                new.documents.insert(name, with);
            }
        }
        let load = |world: &crate::authz::oracle_tests::world::World| PolicySet::load(&world.files(), &settings());
        let (Ok(old_set), Ok(new_set)) = (load(&old), load(&new)) else { continue };
        let told = match Told::of(old_set, new_set) {
            Ok(told) => told,
            Err(DiffError::Exhausted { .. }) => {
                exhausted += 1;
                continue;
            }
            Err(error) => panic!("KEYWARD_DIFF_SEED={seed}: {error}"),
        };
        for _ in 0..300 {
            let Some(request) = Request::of(random_ask(&mut dice)) else { continue };
            if let Some(wrong) = told.wrong(&request, &mut different) {
                let text = |world: &crate::authz::oracle_tests::world::World| {
                    let files = world.files();
                    files
                        .iter()
                        .map(|file| format!("{}: {}\n", file.path, String::from_utf8_lossy(&file.bytes)))
                        .collect::<String>()
                };
                panic!("KEYWARD_DIFF_SEED={seed}: {wrong}\n{request:#?}\nold:\n{}new:\n{}", text(&old), text(&new));
            }
        }
    }
    eprintln!("{worlds} pairs, {exhausted} not compared, {different} requests decided differently");
    assert!(different > worlds, "only {different} requests are decided differently");
    assert!(exhausted * 3 < worlds, "{exhausted} of {worlds} were not compared");
}

fn lines(old: &PolicySet, new: &PolicySet) -> Vec<String> {
    let diff = diff(old, new, &|_| None).expect("compared");
    let spoken = |line: &Line| {
        let who = line.who.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let said = |list: Vec<Said>| {
            let one = |said: &Said| format!("{}{}", if said.is_so { "" } else { "not " }, said.text);
            list.iter().map(one).collect::<Vec<_>>().join(" and ")
        };
        let conditions = line.conditions().into_iter().map(said).collect::<Vec<_>>().join(" or ");
        let word = if line.direction == Direction::Gains { "gains" } else { "loses" };
        let further = said(line.target_further());
        let parts = [who, word.to_owned(), line.actions().join(","), line.resource(), further, conditions];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" | ")
    };
    diff.lines.iter().map(spoken).collect()
}

const READ_PROD: &str =
    r#"{"effect":"allow","action":"ssm:GetSecretValue","resource":"qcs::ssm:::secret/creatorUin/*/prod/*"}"#;

#[test]
fn diff_names_patterns_exceptions_and_subjects() {
    let set = |statements: &str, to: &str| {
        loaded(&[("documents/p.json", &document(statements)), ("attachments.json", &attached(&[("p", to)], &[]))])
    };
    let nothing = set(r#"{"effect":"deny","action":"ssm:GetSecretValue","resource":"*"}"#, "user/corp/nobody");
    let told = lines(&nothing, &set(READ_PROD, "group/corp/x"));
    assert_eq!(told, ["group/corp/x | gains | ssm:GetSecretValue | secret/creatorUin/*/prod/*"]);
    let except = r#"{"effect":"deny","action":"ssm:*","resource":"qcs::ssm:::secret/creatorUin/*/prod/db"}"#;
    let told = lines(&nothing, &set(&format!("{READ_PROD},{except}"), "group/corp/x"));
    assert_eq!(told, ["group/corp/x | gains | ssm:GetSecretValue | secret/creatorUin/*/prod/* | not name prod/db"]);
    let told = lines(&set(READ_PROD, "everyone"), &set(READ_PROD, "everyone"));
    assert!(told.is_empty());
}

#[test]
fn diff_tells_what_only_a_combination_of_groups_shows() {
    let deny = r#"{"effect":"deny","action":"ssm:GetSecretValue","resource":"*"}"#;
    let set = |to: &[(&str, &str)]| {
        loaded(&[
            ("documents/read.json", &document(READ_PROD)),
            ("documents/deny.json", &document(deny)),
            ("attachments.json", &attached(to, &[])),
        ])
    };
    let old = set(&[("read", "group/corp/g1"), ("deny", "group/corp/g2")]);
    let new = set(&[("read", "group/corp/g1")]);
    let told = lines(&old, &new);
    assert_eq!(told, ["group/corp/g1 + group/corp/g2 | gains | ssm:GetSecretValue | secret/creatorUin/*/prod/*"]);
    let told = lines(&new, &old);
    assert_eq!(told, ["group/corp/g1 + group/corp/g2 | loses | ssm:GetSecretValue | secret/creatorUin/*/prod/*"]);
}

/// A role needs two allows, and each may come from another group: what refused both of them hung on neither.
#[test]
fn diff_tells_who_may_take_a_role_when_what_refused_it_was_said_of_all() {
    let set = |to: &[(&str, &str)], bounding: &[(&str, &str)]| {
        let trust = r#"{"effect":"allow","action":"sts:AssumeRole","principal":{"qcs":["group/corp/y"]}}"#;
        loaded(&[
            ("documents/assume.json", &document(&statement("allow", "sts:AssumeRole"))),
            ("documents/deny.json", &document(&statement("deny", "sts:AssumeRole"))),
            ("documents/narrow.json", &document(&statement("allow", "ssm:*"))),
            ("documents/wide.json", &document(&statement("allow", "*"))),
            ("roles/r.json", &document(trust)),
            ("attachments.json", &attached(&[&[("assume", "group/corp/x")], to].concat(), bounding)),
        ])
    };
    let free = set(&[], &[]);
    let said = |verb: &str| format!("group/corp/x + group/corp/y | {verb} | sts:AssumeRole | role/local/r");
    for (refusing, allowing) in [
        (set(&[("deny", "everyone")], &[]), &free),
        (set(&[("deny", "issuer/corp")], &[]), &free),
        (set(&[], &[("narrow", "everyone")]), &free),
        (set(&[], &[("narrow", "issuer/corp")]), &set(&[], &[("wide", "issuer/corp")])),
        (set(&[], &[("narrow", "everyone")]), &set(&[], &[("wide", "everyone")])),
    ] {
        let of_role = |lines: Vec<String>| -> Vec<String> {
            lines.into_iter().filter(|line| line.ends_with("sts:AssumeRole | role/local/r")).collect()
        };
        assert_eq!(of_role(lines(&refusing, allowing)), [said("gains")]);
        assert_eq!(of_role(lines(allowing, &refusing)), [said("loses")]);
    }
}

/// Of a thousand groups that may take roles, only those that a role trusts are looked at with each of them.
#[test]
fn diff_of_a_deny_of_all_and_a_thousand_groups_that_may_take_roles_is_quick() {
    let set = |denied: bool| {
        let mut to: Vec<(String, String)> =
            (0..1_000).map(|number| ("assume".to_owned(), format!("group/corp/team{number}"))).collect();
        to.extend(denied.then(|| ("deny".to_owned(), "everyone".to_owned())));
        let to: Vec<(&str, &str)> = to.iter().map(|(policy, to)| (policy.as_str(), to.as_str())).collect();
        let trust = r#"{"effect":"allow","action":"sts:AssumeRole","principal":{"qcs":["group/corp/ops"]}}"#;
        loaded(&[
            ("documents/assume.json", &document(&statement("allow", "sts:AssumeRole"))),
            ("documents/deny.json", &document(&statement("deny", "sts:AssumeRole"))),
            ("roles/r.json", &document(trust)),
            ("attachments.json", &attached(&to, &[])),
        ])
    };
    let from = Instant::now();
    let told = diff(&set(true), &set(false), &|_| None).expect("compared");
    let taken = from.elapsed();
    assert_eq!(told.lines.iter().map(|line| line.who.len()).sum::<usize>(), 1_000);
    assert!(taken < Duration::from_secs(if cfg!(debug_assertions) { 60 } else { 5 }), "{taken:?}");
}

#[test]
fn diff_compares_conditions_by_what_they_hold_for() {
    let set = |condition: &str| {
        let statement = READ_PROD.replace("prod/*\"}", &format!("prod/*\",\"condition\":{condition}}}"));
        loaded(&[
            ("documents/p.json", &document(&statement)),
            ("attachments.json", &attached(&[("p", "everyone")], &[])),
        ])
    };
    let wide = set(r#"{"ip_equal":{"qcs:ip":"10.0.0.0/8"}}"#);
    // Written otherwise, meant alike.
    let halves = set(r#"{"ip_equal":{"qcs:ip":["10.0.0.0/9","10.128.0.0/9"]}}"#);
    assert_eq!(lines(&wide, &halves), Vec::<String>::new());
    let narrow = set(r#"{"ip_equal":{"qcs:ip":"10.1.0.0/16"}}"#);
    let told = lines(&wide, &narrow);
    assert_eq!(
        told,
        ["everyone | loses | ssm:GetSecretValue | secret/creatorUin/*/prod/* | \
          qcs:ip ip_equal 10.0.0.0/8 and not qcs:ip ip_equal 10.1.0.0/16"]
    );
    let later = set(r#"{"date_greater_than":{"qcs:current_time":"2026-06-01T00:00:00Z"}}"#);
    let or_equal = set(r#"{"date_greater_than_equal":{"qcs:current_time":"2026-06-01T00:00:00Z"}}"#);
    assert_eq!(lines(&later, &or_equal).len(), 1);
    let next = set(r#"{"date_greater_than_equal":{"qcs:current_time":"2026-06-01T00:00:01Z"}}"#);
    assert_eq!(lines(&later, &next), Vec::<String>::new(), "times are whole seconds");
}

#[test]
fn diff_knows_that_a_secret_has_one_value_for_each_tag() {
    let set = |tags: &str| {
        let condition = format!(r#"{{"for_any_value:string_equal":{{"qcs:resource_tag":"env&prod"}},{tags}}}"#);
        let statement = READ_PROD.replace("prod/*\"}", &format!("prod/*\",\"condition\":{condition}}}"));
        loaded(&[
            ("documents/p.json", &document(&statement)),
            ("attachments.json", &attached(&[("p", "everyone")], &[])),
        ])
    };
    let nothing = loaded(&[("attachments.json", &attached(&[], &[]))]);
    let never = set(r#""for_any_value:string_like":{"qcs:resource_tag":"env&d*"}"#);
    assert_eq!(lines(&nothing, &never), Vec::<String>::new(), "no secret has both");
    let both = set(r#""for_any_value:string_like":{"qcs:resource_tag":"team&*"}"#);
    assert_eq!(lines(&nothing, &both).len(), 1);
}

#[test]
fn diff_follows_groups_of_the_folder_and_boundaries() {
    let set = |groups: &str, boundary: &[(&str, &str)]| {
        loaded(&[
            ("documents/read.json", &document(READ_PROD)),
            ("documents/none.json", &document(r#"{"effect":"allow","action":"ssm:ListSecrets","resource":"*"}"#)),
            ("attachments.json", &grouped(groups, &[("read", "group/local/team")], boundary)),
        ])
    };
    let told = lines(&set(r#""team":["user/dev/c"]"#, &[]), &set(r#""team":["user/dev/c","group/dev/x"]"#, &[]));
    assert_eq!(told, ["group/dev/x | gains | ssm:GetSecretValue | secret/creatorUin/*/prod/*"]);
    let told =
        lines(&set(r#""team":["user/dev/c"]"#, &[]), &set(r#""team":["user/dev/c"]"#, &[("none", "issuer/dev")]));
    assert_eq!(told, ["user/dev/c | loses | ssm:GetSecretValue | secret/creatorUin/*/prod/*"]);
}

#[test]
fn diff_of_a_thousand_documents_and_one_edit_is_quick() {
    let files = |edited: bool| {
        let mut files: Vec<(String, String)> = Vec::new();
        let mut to: Vec<(String, String)> = Vec::new();
        for number in 0..1_000 {
            let name = if edited && number == 500 { "other" } else { "app" };
            let text = READ_PROD.replace("prod/*", &format!("prod/{name}{number}/*"));
            files.push((format!("documents/p{number}.json"), document(&text)));
            to.push((format!("p{number}"), format!("group/corp/team{number}")));
        }
        let to: Vec<(&str, &str)> = to.iter().map(|(policy, to)| (policy.as_str(), to.as_str())).collect();
        files.push(("attachments.json".to_owned(), attached(&to, &[])));
        files
    };
    let load = |files: &[(String, String)]| {
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        loaded(&files)
    };
    let told = lines(&load(&files(false)), &load(&files(true)));
    assert_eq!(
        told,
        [
            "group/corp/team500 | gains | ssm:GetSecretValue | secret/creatorUin/*/prod/other500/*",
            "group/corp/team500 | loses | ssm:GetSecretValue | secret/creatorUin/*/prod/app500/*"
        ]
    );
}
