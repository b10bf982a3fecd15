//! One test of an example folder, in the form that `policies/README.md` describes.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::actions::{ACTIONS, Action, ConditionKey};
use crate::authz::{Caller, Context, CredentialForm, Question, SessionPolicy, Settings, Target};
use crate::principal::Principal;
use crate::resource::{CreatorNumber, SecretName};

/// A request and the answer that is expected.
#[derive(Clone)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) who: Who,
    pub(super) action: &'static Action,
    pub(super) what: What,
    pub(super) session_policy: Option<String>,
    /// `allow` or `deny`.
    pub(super) expect: String,
    /// The deciding statements, if stated.
    pub(super) by: Option<Vec<String>>,
}

/// Who asks, and in which circumstances.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Who {
    pub(super) principal: Principal,
    pub(super) groups: Vec<Principal>,
    pub(super) roles: Vec<Principal>,
    /// `token`, `access_key` or `session`.
    pub(super) credential: String,
    pub(super) assumed_issuer: Option<String>,
    pub(super) uin: u64,
    /// All but what belongs to the resource.
    pub(super) context: BTreeMap<ConditionKey, Vec<String>>,
}

/// The resource's last segment, if the action has one, and the resource's tags.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct What {
    pub(super) resource: Option<String>,
    pub(super) tags: Vec<String>,
}

const FIELDS: [&str; 13] = [
    "name",
    "principal",
    "groups",
    "roles",
    "credential",
    "assumed_by",
    "uin",
    "action",
    "resource",
    "context",
    "session_policy",
    "expect",
    "by",
];

/// The tests of one file.
pub(super) fn cases_of(text: &str) -> Vec<Case> {
    let file: Value = serde_json::from_str(text).expect("a test file is JSON");
    assert_eq!(file["version"], 1, "a test file has version 1");
    file["tests"].as_array().expect("a list of tests").iter().map(case).collect()
}

fn case(test: &Value) -> Case {
    let fields = test.as_object().expect("a test is an object");
    let unknown: Vec<&String> = fields.keys().filter(|field| !FIELDS.contains(&field.as_str())).collect();
    assert!(unknown.is_empty(), "unknown fields {unknown:?}");
    let action = text(test, "action").expect("an action");
    let expect = text(test, "expect").expect("`allow` or `deny`");
    assert!(expect == "allow" || expect == "deny", "`expect` is `allow` or `deny`");
    let mut context = context(&test["context"]);
    let tags = context.remove(&ConditionKey::ResourceTag).unwrap_or_default();
    Case {
        name: text(test, "name").expect("a name"),
        who: who(test, context),
        action: ACTIONS.iter().find(|row| row.full_name() == action).unwrap_or_else(|| panic!("action `{action}`")),
        what: What { resource: text(test, "resource"), tags },
        session_policy: test.get("session_policy").map(ToString::to_string),
        expect,
        by: test.get("by").map(|by| by.as_array().expect("a list").iter().map(statement).collect()),
    }
}

fn who(test: &Value, context: BTreeMap<ConditionKey, Vec<String>>) -> Who {
    let list = |field: &str| -> Vec<Principal> {
        let list = test.get(field).and_then(Value::as_array);
        list.map_or_else(Vec::new, |list| list.iter().map(|one| principal(one.as_str().expect("a text"))).collect())
    };
    let assumed_by = text(test, "assumed_by").map(|text| principal(&text));
    Who {
        principal: principal(&text(test, "principal").expect("a principal")),
        groups: list("groups"),
        roles: list("roles"),
        credential: text(test, "credential").unwrap_or_else(|| "token".to_owned()),
        assumed_issuer: assumed_by.and_then(|who| who.issuer().map(str::to_owned)),
        uin: text(test, "uin").map_or(1, |text| text.parse().expect("a number")),
        context,
    }
}

/// One deciding statement as the grid writes it.
fn statement(by: &Value) -> String {
    let part = |field: &str| by[field].as_str().expect("a text").to_owned();
    match by.get("statement") {
        Some(number) => format!("{} {} {number}", part("layer"), part("document")),
        None => format!("{} -", part("layer")),
    }
}

fn context(given: &Value) -> BTreeMap<ConditionKey, Vec<String>> {
    let mut values = BTreeMap::from([
        (ConditionKey::CurrentTime, vec!["2026-06-01T00:00:00Z".to_owned()]),
        (ConditionKey::Door, vec!["native".to_owned()]),
        (ConditionKey::SecureTransport, vec!["true".to_owned()]),
    ]);
    for (name, value) in given.as_object().into_iter().flatten() {
        let key = ConditionKey::parse(name).unwrap_or_else(|| panic!("condition key `{name}`"));
        let list = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        values.insert(key, list.iter().map(|one| one.as_str().expect("a text").to_owned()).collect());
    }
    values
}

fn text(test: &Value, field: &str) -> Option<String> {
    test.get(field).map(|value| value.as_str().unwrap_or_else(|| panic!("`{field}` is a text")).to_owned())
}

fn principal(text: &str) -> Principal {
    Principal::parse(text).unwrap_or_else(|error| panic!("`{text}`: {error}"))
}

/// What a resource of a test names.
enum Named {
    Nothing,
    Secret(Option<CreatorNumber>, SecretName),
    Key(String),
}

impl Case {
    /// Asks this case's question.
    pub(super) fn ask<T>(&self, settings: &Settings, decide: impl Fn(&Question<'_>) -> T) -> T {
        let creator = CreatorNumber::new(self.who.uin).expect("a creator number");
        let named = self.named(creator);
        let target = match &named {
            Named::Nothing => Target::Operation,
            Named::Secret(creator, name) => Target::Secret { creator: *creator, name },
            Named::Key(id) => Target::Key { id },
        };
        let session_policy = self.session_policy.as_ref().map(|text| {
            SessionPolicy::parse(text.as_bytes(), settings).unwrap_or_else(|found| panic!("{}: {found:?}", self.name))
        });
        let context = self.context(&named, &settings.place.account);
        decide(&Question {
            caller: self.caller(creator, &[self.who.groups.clone(), self.who.roles.clone()].concat()),
            action: self.action,
            target,
            context: &context,
            session_policy: session_policy.as_ref(),
        })
    }

    fn caller<'a>(&'a self, creator: CreatorNumber, kept: &'a [Principal]) -> Caller<'a> {
        let who = &self.who;
        let form = match who.credential.as_str() {
            "token" => CredentialForm::Token,
            "access_key" => CredentialForm::AccessKey,
            "session" => CredentialForm::Session { assumed_issuer: who.assumed_issuer.as_deref() },
            other => panic!("credential `{other}`"),
        };
        if form == CredentialForm::Token {
            let (groups, roles) = (&who.groups[..], &who.roles[..]);
            return Caller { principal: &who.principal, groups, roles, restricted: &[], creator, form };
        }
        Caller { principal: &who.principal, groups: &[], roles: &[], restricted: kept, creator, form }
    }

    fn named(&self, own: CreatorNumber) -> Named {
        let Some(resource) = &self.what.resource else {
            return Named::Nothing;
        };
        if let Some(id) = resource.strip_prefix("key/") {
            return Named::Key(id.to_owned());
        }
        let rest = resource.strip_prefix("secret/creatorUin/").unwrap_or_else(|| panic!("resource `{resource}`"));
        let (creator, name) = rest.split_once('/').unwrap_or_else(|| panic!("resource `{resource}`"));
        let creator = match creator {
            "*" => None,
            "${uin}" => Some(own),
            number => Some(CreatorNumber::new(number.parse().expect("a number")).expect("a creator number")),
        };
        Named::Secret(creator, SecretName::parse(name).unwrap_or_else(|_| panic!("name `{name}`")))
    }

    /// The keys that the action has: those stated, and those that follow from caller, account and resource.
    fn context(&self, named: &Named, account: &str) -> Context {
        let mut values = self.who.context.clone();
        values.insert(ConditionKey::Uin, vec![self.who.uin.to_string()]);
        values.insert(ConditionKey::OwnerUin, vec![account.to_owned()]);
        if let Named::Secret(Some(creator), _) = named {
            values.insert(ConditionKey::CreateUin, vec![creator.to_string()]);
            values.insert(ConditionKey::ResourceTag, self.what.tags.clone());
        }
        values.retain(|key, list| self.action.has_key(*key) && !list.is_empty());
        Context { values }
    }
}
