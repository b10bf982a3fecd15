//! What the linter calls superfluous is: taken out, one by one and all together, no answer changes. On random folders with
//! random questions, and on small documents with every question there is.

use serde_json::{Value, json};

use super::question::{Ask, Form, What, random_ask};
use super::world::{World, settings};
use super::{Dice, Loaded, cases, for_each_world, printed};
use crate::actions::{ConditionKey, by_name};
use crate::authz::lint::{Rule, Surroundings, Warning, lint};
use crate::authz::{Context, Verdict};
use crate::principal::{Kind, Principal};
use crate::resource::{CreatorNumber, SecretName};

/// A statement in whose place nothing is said: the places of the others stay what they are.
fn nothing() -> Value {
    json!({"effect": "allow", "action": "cos:GetObject", "resource": "*"})
}

fn superfluous(world: &World) -> Vec<Warning> {
    let lint = lint(&world.files(), &settings(), &Surroundings::default()).expect("the folder loads");
    lint.warnings.into_iter().filter(|warning| matches!(warning.rule, Rule::Shadowed | Rule::Implied)).collect()
}

/// The world without a statement.
fn without(world: &World, warnings: &[&Warning]) -> World {
    let mut less = world.clone();
    for warning in warnings {
        let name =
            warning.file.strip_prefix("documents/").and_then(|name| name.strip_suffix(".json")).expect("a document");
        let place = warning.statement.expect("a statement") as usize;
        less.documents.get_mut(name).expect("a document")[place] = nothing();
    }
    less
}

/// Each of them away, and all of them.
fn lessened(world: &World, warnings: &[Warning]) -> Vec<World> {
    let all: Vec<&Warning> = warnings.iter().collect();
    let each = warnings.iter().map(|warning| without(world, &[warning]));
    each.chain([without(world, &all)]).collect()
}

fn verdict(both: &Loaded, ask: &Ask) -> Verdict {
    both.engine(ask).outcome
}

fn compare(world: &World, warnings: &[Warning], asks: &[Ask]) {
    let before = Loaded::load(world).expect("the folder loads");
    for less in lessened(world, warnings) {
        let after = Loaded::load(&less).expect("the folder loads with less");
        for ask in asks {
            let (then, now) = (verdict(&before, ask), verdict(&after, ask));
            assert_eq!(then, now, "{ask:#?}\n{warnings:#?}\n{}", printed(world));
        }
    }
}

/// A session of a service keeps no groups or roles of a token: nobody gave it one.
fn is_real(ask: &Ask) -> bool {
    let mut kept = ask.groups.iter().chain(&ask.roles).chain(&ask.restricted);
    ask.form != Form::Session(None) || kept.all(|one| one.kind() == Kind::Service)
}

#[test]
fn what_is_superfluous_in_a_random_folder_changes_no_answer() {
    let found = std::cell::Cell::new(0_usize);
    for_each_world(cases() / 4, |dice, world, _, _| {
        let warnings = superfluous(world);
        if !warnings.is_empty() {
            found.set(found.get() + warnings.len());
            let asks: Vec<Ask> = (0..60).map(|_| random_ask(dice)).filter(is_real).collect();
            compare(world, &warnings, &asks);
        }
    });
    assert!(found.get() > 100 || cases() < 100_000, "only {} superfluous statements", found.get());
}

const ACTIONS: [&str; 6] = ["ssm:GetSecretValue", "ssm:Get*", "ssm:CreateSecret", "ssm:ListSecrets", "ssm:*", "*"];
const RESOURCES: [&str; 11] = [
    "*",
    "*",
    "qcs::ssm:::*",
    "qcs:::::secret/*",
    "qcs::ssm:::secret/creatorUin/*/*",
    "qcs::ssm:::secret/creatorUin/*/a*",
    "qcs::ssm:::secret/creatorUin/*/*a",
    "qcs::ssm:::secret/creatorUin/*/ab",
    "qcs::ssm:::secret/creatorUin/7/a*",
    "qcs::ssm:::secret/creatorUin/${uin}/*",
    "qcs::ssm:::secret/creatorUin/${uin}/a*b",
];

/// A clause of the same few keys and values, in every form.
fn clause(dice: &mut Dice) -> Value {
    let if_exist = dice.one(&["", "", "_if_exist"]);
    let ranges = [json!("10.1.0.0/16"), json!("10.0.0.0/8"), json!(["10.1.0.0/16", "10.2.0.0/16"])];
    let tags = [json!("k&x"), json!(["k&x", "k&y"]), json!("k&${uin}")];
    let patterns = [json!("k&*"), json!("k&?"), json!("*"), json!(["k&x", "?&y"])];
    let dates = [json!("2026-06-01T00:00:00Z"), json!(["2026-06-02T00:00:00Z", "2026-05-01T00:00:00Z"])];
    let (operator, key, value) = match dice.below(6) {
        0 => (dice.one(&["ip_equal", "ip_not_equal"]), "qcs:ip", dice.one(&ranges.each_ref()).clone()),
        1 | 2 => {
            let form = [
                "for_any_value:string_equal",
                "for_all_value:string_equal",
                "for_any_value:string_not_equal",
                "for_all_value:string_not_equal",
            ];
            (dice.one(&form), "qcs:resource_tag", dice.one(&tags.each_ref()).clone())
        }
        3 => {
            let form = ["for_any_value:string_like", "for_all_value:string_like", "for_any_value:string_not_like"];
            (dice.one(&form), "qcs:resource_tag", dice.one(&patterns.each_ref()).clone())
        }
        4 => {
            let form = ["date_less_than", "date_less_than_equal", "date_greater_than", "date_equal", "date_not_equal"];
            (dice.one(&form), "qcs:current_time", dice.one(&dates.each_ref()).clone())
        }
        _ => (dice.one(&["string_equal", "string_not_equal"]), "qcs:create_uin", json!(dice.one(&["7", "${uin}"]))),
    };
    json!({format!("{operator}{if_exist}"): {key: value}})
}

fn statement(dice: &mut Dice) -> Value {
    let mut statement = json!({
        "effect": dice.one(&["allow", "allow", "deny"]), "action": dice.one(&ACTIONS), "resource": dice.one(&RESOURCES),
    });
    if dice.percent(60) {
        statement["condition"] = clause(dice);
    }
    statement
}

/// Every question about two callers, three secrets or none, addresses, times and tags.
fn every_ask() -> Vec<Ask> {
    let mut asks = Vec::new();
    for uin in [7, 8] {
        for action in ["GetSecretValue", "CreateSecret", "ListSecrets"] {
            for target in targets(action, uin) {
                for ip in [None, Some("10.1.0.1"), Some("10.2.0.1"), Some("11.0.0.1")] {
                    for tags in [&[][..], &["k&x"], &["k&x", "k&y"], &["k&7", "l&y"], &["other&"]] {
                        for time in ["2026-05-31T23:59:59Z", "2026-06-01T00:00:00Z", "2026-06-03T00:00:00Z"] {
                            asks.push(ask(uin, action, &target, ip, tags, time));
                        }
                    }
                }
            }
        }
    }
    asks
}

fn targets(action: &str, uin: u64) -> Vec<What> {
    let names = ["ab", "ba", "aab", "b"].map(|name| SecretName::parse(name).unwrap());
    let of = |number: u64| names.clone().map(|name| What::Secret(CreatorNumber::new(number), name)).to_vec();
    match action {
        "ListSecrets" => vec![What::Operation],
        "CreateSecret" => of(uin),
        _ => [of(7), of(8), names.map(|name| What::Secret(None, name)).to_vec()].concat(),
    }
}

fn ask(uin: u64, action: &str, target: &What, ip: Option<&str>, tags: &[&str], time: &str) -> Ask {
    let action = by_name(action).unwrap();
    let creator = match target {
        What::Secret(creator, _) => *creator,
        What::Operation | What::Key(_) | What::Role(_) => None,
    };
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let values = [
        (ConditionKey::CurrentTime, texts(&[time])),
        (ConditionKey::Ip, texts(ip.as_slice())),
        (ConditionKey::Uin, vec![uin.to_string()]),
        (ConditionKey::ResourceTag, if creator.is_some() { texts(tags) } else { Vec::new() }),
        (ConditionKey::CreateUin, creator.map(|number| number.to_string()).into_iter().collect()),
    ];
    let values = values.into_iter().filter(|(key, list)| action.has_key(*key) && !list.is_empty()).collect();
    Ask {
        principal: Principal::parse("user/corp/a").unwrap(),
        groups: Vec::new(),
        roles: Vec::new(),
        restricted: Vec::new(),
        creator: CreatorNumber::new(uin).unwrap(),
        form: Form::Token,
        action,
        target: target.clone(),
        context: Context { values },
        session: None,
    }
}

#[test]
fn what_is_superfluous_in_a_small_document_changes_no_answer_of_all_there_are() {
    let asks = every_ask();
    let mut dice = Dice::new(super::seed());
    let mut found = [0_usize; 2];
    while found.iter().any(|found| *found < 60) {
        let mut world = World::default();
        let statements: Vec<Value> = (0..3).map(|_| statement(&mut dice)).collect();
        world.documents.insert("p".to_owned(), statements);
        world.trust.push(json!({"effect": "allow", "action": "sts:AssumeRole", "principal": {"qcs": ["user/corp/a"]}}));
        world.attachments.push(("p".to_owned(), vec!["user/corp/a".to_owned()]));
        if Loaded::load(&world).is_none() {
            continue;
        }
        let warnings = superfluous(&world);
        if !warnings.is_empty() {
            found[0] += warnings.iter().filter(|warning| warning.rule == Rule::Shadowed).count();
            found[1] += warnings.iter().filter(|warning| warning.rule == Rule::Implied).count();
            compare(&world, &warnings, &asks);
        }
    }
}
