//! Small random policy folders over few names, so that statements meet each other often; and small steps from one to the next.

use std::fmt;

use serde_json::{Value, json};

use crate::authz::oracle_tests::dice::Dice;
use crate::authz::oracle_tests::world::{AUDIENCES, ISSUERS, World, settings};
use crate::authz::{PolicyFile, PolicySet};

const ACTIONS: [&str; 9] = [
    "ssm:GetSecretValue",
    "ssm:Get*",
    "ssm:*",
    "ssm:CreateSecret",
    "ssm:DeleteSecret",
    "ssm:ListSecrets",
    "kms:Decrypt",
    "sts:AssumeRole*",
    "*",
];
const NAMES: [&str; 9] = ["*", "prod/*", "prod/db", "*db", "p*", "a/${uin}", "a/7*", "*/${uin}*", "prod/*b"];
const CREATORS: [&str; 6] = ["*", "*", "*", "7", "70", "${uin}"];
const TARGETS: [&str; 15] = [
    "user/corp/a",
    "user/corp/a",
    "group/corp/x",
    "group/corp/x",
    "group/corp/y",
    "group/corp/y",
    "role/corp/p",
    "user/dev/c",
    "role/local/r",
    "issuer/corp",
    "issuer/dev",
    "everyone",
    "everyone",
    "group/local/l",
    "service/ssm",
];
const MEMBERS: [&str; 5] = ["user/corp/a", "group/corp/x", "group/corp/y", "role/local/r", "user/dev/c"];
const CONDITIONS: [&str; 26] = [
    r#"{"ip_equal":{"qcs:ip":"10.0.0.0/8"}}"#,
    r#"{"ip_not_equal":{"qcs:ip":"10.1.0.0/16"}}"#,
    r#"{"ip_not_equal_if_exist":{"qcs:ip":["10.0.0.0/8","::/0"]}}"#,
    r#"{"null_equal":{"qcs:ip":"true"}}"#,
    r#"{"for_any_value:string_equal":{"qcs:resource_tag":"env&prod"}}"#,
    r#"{"for_all_value:string_like":{"qcs:resource_tag":"env&*"}}"#,
    r#"{"for_all_value:string_not_equal_if_exist":{"qcs:resource_tag":"env&prod"}}"#,
    r#"{"for_any_value:string_equal_ignore_case":{"qcs:resource_tag":["ENV&prod","team&a"]}}"#,
    r#"{"null_equal":{"qcs:resource_tag":"false"}}"#,
    r#"{"for_any_value:string_like":{"qcs:resource_tag":"*${uin}"}}"#,
    r#"{"date_less_than":{"qcs:current_time":"2026-06-01T00:00:00Z"}}"#,
    r#"{"date_greater_than_equal":{"qcs:current_time":"2026-06-01T00:00:00Z"}}"#,
    r#"{"string_equal":{"qcs:create_uin":"${uin}"}}"#,
    r#"{"string_not_equal":{"qcs:create_uin":["7","70"]}}"#,
    r#"{"string_like_if_exist":{"qcs:create_uin":"7*"}}"#,
    r#"{"string_equal":{"qcs:uin":"7"}}"#,
    r#"{"string_not_like":{"qcs:uin":"7*"}}"#,
    r#"{"string_equal":{"qcs:uin":"${uin}"}}"#,
    r#"{"string_equal":{"keyward:door":"native"}}"#,
    r#"{"string_like":{"keyward:door":"n*"},"bool_equal":{"keyward:secure_transport":"true"}}"#,
    r#"{"bool_equal":{"keyward:secure_transport":"true"}}"#,
    r#"{"numeric_less_than":{"keyward:recovery_window":7}}"#,
    r#"{"numeric_equal_if_exist":{"keyward:recovery_window":[0,30]}}"#,
    r#"{"for_any_value:string_equal_if_exist":{"qcs:request_tag":"env&prod"}}"#,
    r#"{"string_equal":{"qcs:owner_uin":"1"},"ip_equal":{"qcs:ip":"10.0.0.0/8"}}"#,
    r#"{"string_equal_ignore_case":{"qcs:owner_uin":"${uin}"}}"#,
];

/// A folder in parts.
#[derive(Clone)]
pub(super) struct Folder(World);

impl Folder {
    fn files(&self) -> Vec<PolicyFile> {
        self.0.files()
    }

    pub(super) fn load(&self) -> PolicySet {
        PolicySet::load(&self.files(), &settings()).unwrap_or_else(|found| panic!("{found:?}\n{self}"))
    }

    fn is_valid(&self) -> bool {
        PolicySet::load(&self.files(), &settings()).is_ok()
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = self.files();
        files.iter().try_for_each(|file| writeln!(f, "  {}: {}", file.path, String::from_utf8_lossy(&file.bytes)))
    }
}

/// A statement, perhaps not one that loads.
fn statement(dice: &mut Dice) -> Value {
    let deny = dice.percent(30);
    let resource = if dice.percent(30) {
        "*".to_owned()
    } else {
        format!("qcs::ssm:::secret/creatorUin/{}/{}", dice.one(&CREATORS), dice.one(&NAMES))
    };
    let resource = if dice.percent(8) { "qcs::kms:::key/d*".to_owned() } else { resource };
    let mut statement = json!({
        "effect": if deny { "deny" } else { "allow" }, "action": dice.one(&ACTIONS), "resource": resource,
    });
    if dice.percent(45) {
        statement["condition"] = serde_json::from_str(dice.one(&CONDITIONS)).expect("a condition");
    }
    statement
}

fn targets(dice: &mut Dice) -> Vec<String> {
    dice.some(&TARGETS, 1, 2).into_iter().map(str::to_owned).collect()
}

fn trust(dice: &mut Dice) -> Value {
    if dice.percent(30) {
        return json!({"effect": "allow", "action": "sts:AssumeRoleWithWebIdentity",
            "principal": {"federated": ["oidc-provider/corp"]},
            "condition": {"string_equal": {"oidc:iss": ISSUERS[0], "oidc:aud": AUDIENCES[0]},
                          "string_like": {"oidc:sub": dice.one(&["a", "*", "b*"])}}});
    }
    let effect = if dice.percent(25) { "deny" } else { "allow" };
    let named = dice.one(&["user/corp/a", "group/corp/x", "group/corp/y", "group/local/l", "service/ssm"]);
    json!({"effect": effect, "action": "sts:AssumeRole*", "principal": {"qcs": [named]}})
}

/// Whom the document `d2` of a folder of [`taking`] is about.
const ALL_OF_THEM: [&str; 2] = ["everyone", "issuer/corp"];

/// A folder in which one group may take roles, the role trusts another, and a deny or a boundary is on all of them.
fn taking(dice: &mut Dice) -> Folder {
    let mut world = World::default();
    let say = |effect: &str, action: &str| json!({"effect": effect, "action": action, "resource": "*"});
    world.documents.insert("d1".to_owned(), vec![say("allow", "sts:AssumeRole")]);
    world.documents.insert("d3".to_owned(), vec![statement(dice)]);
    let all = vec![dice.one(&ALL_OF_THEM).to_owned()];
    let (limit, capping) =
        if dice.percent(50) { (say("deny", "sts:AssumeRole"), false) } else { (say("allow", "ssm:*"), true) };
    world.documents.insert("d2".to_owned(), vec![limit]);
    let (attached, bounding) = if capping { (Vec::new(), all) } else { (all, Vec::new()) };
    world.attachments = vec![
        ("d1".to_owned(), vec!["group/corp/x".to_owned()]),
        ("d2".to_owned(), attached),
        ("d3".to_owned(), targets(dice)),
    ];
    if !bounding.is_empty() {
        world.boundaries.push(("d2".to_owned(), bounding));
    }
    world.groups.insert("l".to_owned(), vec!["user/dev/c".to_owned()]);
    let who = json!({"qcs": ["group/corp/y"]});
    world.trust = vec![json!({"effect": "allow", "action": "sts:AssumeRole", "principal": who})];
    Folder(world)
}

/// Tries `make` until what it makes loads.
fn valid(dice: &mut Dice, make: impl Fn(&mut Dice) -> Folder) -> Folder {
    loop {
        let folder = make(dice);
        if folder.is_valid() {
            return folder;
        }
    }
}

/// A random folder that loads.
pub(super) fn random_folder(dice: &mut Dice) -> Folder {
    valid(dice, |dice| {
        if dice.percent(15) {
            return taking(dice);
        }
        let mut world = World::default();
        for name in ["d1", "d2", "d3"] {
            world.documents.insert(name.to_owned(), (0..=dice.below(2)).map(|_| statement(dice)).collect());
            world.attachments.push((name.to_owned(), targets(dice)));
        }
        if dice.percent(30) {
            world.boundaries.push((dice.one(&["d1", "d2"]).to_owned(), targets(dice)));
        }
        let members = dice.some(&MEMBERS, 1, 2).into_iter().map(str::to_owned).collect();
        world.groups.insert("l".to_owned(), members);
        world.trust = (0..=dice.below(2)).map(|_| trust(dice)).collect();
        Folder(world)
    })
}

/// The folder with one part changed.
pub(super) fn random_step(dice: &mut Dice, from: &Folder) -> Folder {
    valid(dice, |dice| {
        let mut next = from.clone();
        let name = dice.one(&["d1", "d2", "d3"]);
        let place = dice.below(3);
        match dice.below(8) {
            0 => next.0.documents.get_mut(name).expect("a document").push(statement(dice)),
            1 => {
                let list = next.0.documents.get_mut(name).expect("a document");
                let place = place.min(list.len() - 1);
                list[place] = statement(dice);
            }
            2 => next.0.attachments[place].1 = targets(dice),
            3 => next.0.boundaries = vec![(name.to_owned(), targets(dice))],
            4 => next.0.boundaries = Vec::new(),
            5 => next.0.trust = vec![trust(dice)],
            6 => next.0.attachments[1].1 = Vec::new(),
            _ => {
                let members = dice.some(&MEMBERS, 1, 2).into_iter().map(str::to_owned).collect();
                next.0.groups.insert("l".to_owned(), members);
            }
        }
        next
    })
}
