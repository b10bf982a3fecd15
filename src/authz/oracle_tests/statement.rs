//! Random statements that load: every operator, qualifier and suffix; every form of action and resource.

use serde_json::{Map, Value, json};

use super::condition::random_condition;
use super::dice::Dice;
use crate::actions::{ACTIONS, Action, Level};
use crate::authz::reference::action_matches;

const ACTION_PATTERNS: [&str; 40] = [
    "*",
    "*:*",
    "ssm:*",
    "ssm:*",
    "ssm:Get*",
    "ssm:*Secret*",
    "ssm:*Value",
    "ssm:G*S*e",
    "*:Get*",
    "*:*Key*",
    "cloudaudit:*",
    "kms:*",
    "kms:Decrypt",
    "kms:GenerateDataKey",
    "kms:*D*",
    "ssm:**",
    "ssm:*Get*Value*",
    "ssm:GetSecretValue",
    "ssm:GetSecretValue",
    "ssm:GetSecretValue",
    "ssm:DescribeSecret",
    "ssm:DescribeSecret",
    "ssm:CreateSecret",
    "ssm:CreateSecret",
    "ssm:PutSecretValue",
    "ssm:DeleteSecret",
    "ssm:DeleteSecret*",
    "ssm:ListSecrets",
    "ssm:ListSecrets",
    "ssm:List*",
    "ssm:TagResource",
    "cloudaudit:SearchRecords",
    "cloudaudit:GetCheckpoint",
    "cloudaudit:*Record*",
    "cam:RevokeToken",
    "sts:*",
    "ssm:Create*",
    "ssm:*Tag*",
    "ssm:Get*Value",
    "ssm:*e*e*e*",
];
const CREATORS: [&str; 9] = ["*", "*", "*", "7", "70", "8", "9", "${uin}", "${uin}"];
const NAME_PATTERNS: [&str; 18] = [
    "*",
    "prod/*",
    "*db",
    "prod/db",
    "p*d*b",
    "a/${uin}",
    "*/${uin}*",
    "**",
    "*-db",
    "prod*/*db",
    "DB",
    "db",
    "a*/*",
    "*/a/*",
    "${uin}*",
    "a/7",
    "a/${owner_uin}",
    "*${app_id}",
];
const KEY_PATTERNS: [&str; 7] = ["key/*", "key/k1", "key/k*", "key/*1", "*", "key/${uin}", "key/k${owner_uin}"];

/// A random statement.
pub(super) fn random_statement(dice: &mut Dice) -> Value {
    if dice.percent(3) {
        return foreign_statement(dice);
    }
    let deny = dice.percent(30);
    let actions = action_patterns(dice);
    let mut statement = Map::new();
    statement.insert("effect".to_owned(), json!(if deny { "deny" } else { "allow" }));
    let resources = resources(dice, deny, &actions);
    statement.insert("resource".to_owned(), listed(dice, resources));
    statement.insert("action".to_owned(), listed(dice, actions));
    if dice.percent(40) {
        statement.insert("condition".to_owned(), random_condition(dice));
    }
    Value::Object(statement)
}

/// Of a service that the configuration lists as foreign: without effect.
fn foreign_statement(dice: &mut Dice) -> Value {
    json!({"effect": dice.one(&["allow", "deny"]), "action": dice.one(&["cos:GetObject", "cos:*", "name/cos:Get*"]),
           "resource": dice.one(&["*", "qcs::cos:ap-guangzhou:uin/1:bucket/*"])})
}

/// A single text stands alone sometimes.
fn listed(dice: &mut Dice, list: Vec<String>) -> Value {
    if list.len() == 1 && dice.percent(50) { json!(list[0]) } else { json!(list) }
}

fn action_patterns(dice: &mut Dice) -> Vec<String> {
    let mut list = Vec::new();
    for _ in 0..=dice.below(3) {
        let exact = dice.one(ACTIONS).full_name();
        let pattern = if dice.percent(10) { exact } else { dice.one(&ACTION_PATTERNS).to_owned() };
        let prefix = if dice.percent(10) { "name/" } else { "" };
        list.push(format!("{prefix}{pattern}"));
    }
    list
}

/// Random resources, each of which some action of the statement can have.
fn resources(dice: &mut Dice, deny: bool, actions: &[String]) -> Vec<String> {
    let named: Vec<&Action> = ACTIONS.iter().filter(|action| names(actions, action)).collect();
    (0..=dice.below(2))
        .map(|_| {
            let action = dice.one(&named);
            resource(dice, deny, action)
        })
        .collect()
}

fn names(patterns: &[String], action: &Action) -> bool {
    patterns.iter().any(|pattern| action_matches(pattern, action.service.name(), action.name))
}

/// A resource that this action can have in an allow or a deny.
fn resource(dice: &mut Dice, deny: bool, action: &Action) -> String {
    if dice.percent(25) {
        return "*".to_owned();
    }
    let operation = (action.service.name(), "*".to_owned());
    let (service, last) = match action.level {
        Level::Operation | Level::Role if deny => operation,
        Level::Operation | Level::Role => return "*".to_owned(),
        Level::SecretOrOperation if deny && dice.percent(40) => operation,
        Level::Key => ("kms", dice.one(&KEY_PATTERNS).to_owned()),
        Level::Secret | Level::Creation | Level::SecretOrOperation => ("ssm", secret_pattern(dice)),
    };
    let service = if dice.percent(20) { dice.one(&["", "*"]) } else { service };
    let project = dice.one(&["", "", "", "id/0"]);
    let region = dice.one(&["", "*", "ap-guangzhou"]);
    let account = dice.one(&["", "*", "uin/1"]);
    format!("qcs:{project}:{service}:{region}:{account}:{last}")
}

fn secret_pattern(dice: &mut Dice) -> String {
    if dice.percent(20) {
        return dice.one(&["*", "secret/*", "secret/creatorUin/*"]).to_owned();
    }
    let name = if dice.percent(25) { dice.word("ab**", 7) } else { dice.one(&NAME_PATTERNS).to_owned() };
    format!("secret/creatorUin/{}/{name}", dice.one(&CREATORS))
}
