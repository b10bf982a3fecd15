//! Random questions over the same alphabets as the folders.

use std::collections::BTreeMap;

use super::dice::Dice;
use super::world::{AUDIENCES, ISSUERS};
use crate::actions::{ACTIONS, Action, ConditionKey, Level, by_name};
use crate::authz::{Caller, Context, CredentialForm, Question, SessionPolicy, Target};
use crate::principal::Principal;
use crate::resource::{CreatorNumber, SecretName};

/// A question that owns its parts.
#[derive(Clone, Debug)]
pub(in crate::authz) struct Ask {
    pub(in crate::authz) principal: Principal,
    pub(in crate::authz) groups: Vec<Principal>,
    pub(in crate::authz) roles: Vec<Principal>,
    pub(in crate::authz) restricted: Vec<Principal>,
    pub(in crate::authz) creator: CreatorNumber,
    pub(in crate::authz) form: Form,
    pub(in crate::authz) action: &'static Action,
    pub(in crate::authz) target: What,
    pub(in crate::authz) context: Context,
    /// Which of the world's session policies.
    pub(in crate::authz) session: Option<usize>,
}

/// The credential's form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::authz) enum Form {
    Token,
    AccessKey,
    Session(Option<&'static str>),
}

/// The target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::authz) enum What {
    Operation,
    Secret(Option<CreatorNumber>, SecretName),
    Key(&'static str),
    Role(Principal),
}

impl Ask {
    /// The question, with the world's session policies parsed.
    pub(in crate::authz) fn question<'a>(&'a self, sessions: &'a [SessionPolicy]) -> Question<'a> {
        let form = match self.form {
            Form::Token => CredentialForm::Token,
            Form::AccessKey => CredentialForm::AccessKey,
            Form::Session(assumed_issuer) => CredentialForm::Session { assumed_issuer },
        };
        let target = match &self.target {
            What::Operation => Target::Operation,
            What::Secret(creator, name) => Target::Secret { creator: *creator, name },
            What::Key(id) => Target::Key { id },
            What::Role(role) => Target::Role { role },
        };
        let caller = Caller {
            principal: &self.principal,
            groups: &self.groups,
            roles: &self.roles,
            restricted: &self.restricted,
            creator: self.creator,
            form,
        };
        let session_policy = self.session.and_then(|at| sessions.get(at));
        Question { caller, action: self.action, target, context: &self.context, session_policy }
    }
}

const CALLERS: [(&str, u64); 8] = [
    ("user/corp/a", 7),
    ("user/corp/a", 7),
    ("user/corp/b", 70),
    ("user/dev/c", 8),
    ("user/dev/a/b", 77),
    ("role/local/r", 9),
    ("role/local/s", 10),
    ("service/ssm", 5),
];
const CLAIMS: [&str; 8] = [
    "group/corp/x",
    "group/corp/x/y",
    "group/dev/x",
    "role/corp/p",
    "role/dev/q",
    "group/corp/other",
    "group/local/g0",
    "role/local/r",
];
const SECRETS: [&str; 13] =
    ["db", "prod/db", "prod/a/db", "a/7", "a/1", "x1", "dev/prod/db", "DB", "x-db", "prod", "7x", "a/a/b", "prodb"];
const TAGS: [&str; 13] = [
    "env&prod",
    "env&dev",
    "ENV&prod",
    "env&PROD",
    "team&a",
    "k&",
    "env&prood",
    "env&pr?d",
    "e*&prod",
    "env&prod&x",
    "uin&7",
    "é&ü",
    "É&ü",
];
const OFTEN: [&str; 16] = [
    "AssumeRole",
    "AssumeRoleWithWebIdentity",
    "GetSecretValue",
    "GetSecretValue",
    "GetSecretValue",
    "DescribeSecret",
    "CreateSecret",
    "PutSecretValue",
    "DeleteSecret",
    "ListSecrets",
    "TagResource",
    "SearchRecords",
    "SearchRecords",
    "GetCheckpoint",
    "Decrypt",
    "GenerateDataKey",
];

fn creator(number: u64) -> CreatorNumber {
    CreatorNumber::new(number).expect("a small number")
}

/// A random question.
pub(in crate::authz) fn random_ask(dice: &mut Dice) -> Ask {
    let action = if dice.percent(80) {
        by_name(dice.one(&OFTEN)).expect("an action")
    } else {
        dice.one(&ACTIONS.iter().collect::<Vec<_>>())
    };
    let (principal, number) = dice.one(&CALLERS);
    let form = form(dice, principal);
    let (mut groups, mut roles, mut restricted) = (Vec::new(), Vec::new(), Vec::new());
    if !principal.starts_with("service/") {
        // As the gateway asks, and as whoever asks that only restricts it.
        let is_plain = form == Form::Token || dice.percent(50);
        for claim in dice.some(&CLAIMS, 0, 3) {
            let list = match claim.starts_with("group/") {
                _ if !is_plain => &mut restricted,
                true => &mut groups,
                false => &mut roles,
            };
            list.push(Principal::parse(claim).expect("a principal"));
        }
    }
    if form == Form::Session(None) && dice.percent(70) {
        restricted.push(Principal::parse("service/ssm").expect("a principal"));
    }
    let target = target(dice, action, creator(number));
    let context = context(dice, action, number, &target);
    let session = if dice.percent(25) { Some(dice.below(2)) } else { None };
    let principal = Principal::parse(principal).expect("a principal");
    Ask { principal, groups, roles, restricted, creator: creator(number), form, action, target, context, session }
}

fn form(dice: &mut Dice, principal: &str) -> Form {
    if principal.starts_with("role/local/") {
        return Form::Session(dice.one(&[Some("corp"), Some("corp"), Some("dev"), None]));
    }
    if principal.starts_with("user/") && dice.percent(30) { Form::AccessKey } else { Form::Token }
}

fn target(dice: &mut Dice, action: &Action, own: CreatorNumber) -> What {
    let name = if dice.percent(20) { dice.word("ab", 7) } else { dice.one(&SECRETS).to_owned() };
    let name = SecretName::parse(&name).expect("a name");
    match action.level {
        Level::Operation => What::Operation,
        Level::SecretOrOperation if dice.percent(50) => What::Operation,
        Level::Creation => What::Secret(Some(own), name),
        Level::Secret | Level::SecretOrOperation => {
            let number = dice.one(&[7, 7, 70, 8, 9]);
            What::Secret(if dice.percent(20) { None } else { Some(creator(number)) }, name)
        }
        Level::Role => What::Role(
            Principal::parse(dice.one(&["role/local/r", "role/local/r", "role/local/s", "role/local/none"]))
                .expect("a role"),
        ),
        Level::Key => What::Key(dice.one(&["k1", "k2", "a/k1", "7"])),
    }
}

fn context(dice: &mut Dice, action: &Action, uin: u64, target: &What) -> Context {
    let mut values = BTreeMap::new();
    for key in action.keys() {
        let drawn = if dice.percent(3) { Vec::new() } else { value(dice, key, uin, target) };
        if !drawn.is_empty() || dice.percent(10) {
            values.insert(key, drawn);
        }
    }
    Context { values }
}

/// The values of a key; empty if the request lacks it.
fn value(dice: &mut Dice, key: ConditionKey, uin: u64, target: &What) -> Vec<String> {
    let one = |text: &str| vec![text.to_owned()];
    match key {
        ConditionKey::CurrentTime => {
            one(dice.one(&["2026-06-01T00:00:00Z", "2026-05-31T23:59:59Z", "2026-06-01T00:00:01Z"]))
        }
        ConditionKey::Ip if dice.percent(25) => Vec::new(),
        ConditionKey::Ip => one(&address(dice)),
        ConditionKey::Uin => one(&uin.to_string()),
        ConditionKey::OwnerUin => one("1"),
        ConditionKey::Door => one(dice.one(&["native", "native", "tencent", "tencent", ""])),
        ConditionKey::SecureTransport => one(dice.one(&["true", "false"])),
        ConditionKey::OidcIssuer => one(dice.one(&ISSUERS)),
        ConditionKey::OidcSubject => one(dice.one(&["a", "b", "c"])),
        ConditionKey::OidcAudience => dice.some(&AUDIENCES, 0, 2).into_iter().map(str::to_owned).collect(),
        ConditionKey::TargetUin => one(dice.one(&["7", "70", "8", "1"])),
        ConditionKey::RecoveryWindow => one(dice.one(&["0", "7", "8", "30"])),
        ConditionKey::RequestTag => tags(dice),
        ConditionKey::CreateUin => match target {
            What::Secret(Some(creator), _) => one(&creator.to_string()),
            _ => Vec::new(),
        },
        ConditionKey::ResourceTag => match target {
            What::Secret(Some(_), _) => tags(dice),
            _ => Vec::new(),
        },
    }
}

fn address(dice: &mut Dice) -> String {
    match dice.below(3) {
        0 => dice.one(&["10.1.2.3", "10.1.3.9", "11.0.0.1", "::ffff:10.1.2.3", "2001:db8::1", "::1"]).to_owned(),
        1 => near_ipv4(dice),
        _ => near_ipv6(dice),
    }
}

/// 10.1.2.3 with a bit changed.
pub(in crate::authz) fn near_ipv4(dice: &mut Dice) -> String {
    std::net::Ipv4Addr::from_bits(0x0a01_0203 ^ (1 << dice.below(32))).to_string()
}

/// 2001:db8::1, or ::ffff:10.1.2.3, with a bit changed.
pub(in crate::authz) fn near_ipv6(dice: &mut Dice) -> String {
    let base = dice.one(&[0x2001_0db8_u128 << 96 | 1, 0xffff_0a01_0203]);
    std::net::Ipv6Addr::from_bits(base ^ (1 << dice.below(128))).to_string()
}

fn tags(dice: &mut Dice) -> Vec<String> {
    let mut tags: Vec<String> = dice.some(&TAGS, 0, 3).into_iter().map(str::to_owned).collect();
    if dice.percent(15) {
        tags.push(format!("k&{}", dice.word("ab", 5)));
    }
    tags
}
