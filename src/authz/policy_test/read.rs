//! Reading `tests/*.json`. What is not understood is said with its place, and the other tests are read all the same.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::PolicyTests;
use super::case::{By, Creator, Credential, Expected, PolicyTest, Resource, What, Who};
use crate::actions::{ACTIONS, Action, ConditionKey};
use crate::authz::action_pattern::nearest;
use crate::authz::attachments::{Attachments, Known};
use crate::authz::decision::{Fault, Layer};
use crate::authz::document::{START, find};
use crate::authz::facts::Facts;
use crate::authz::folder::FileKind;
use crate::authz::json::{self, AUTHORS_DEPTH_MAX, Member, Node};
use crate::authz::lint::{Rule, Spot, Warnings};
use crate::authz::{PolicyFile, SessionPolicy, Settings};
use crate::principal::{Kind, LOCAL, Principal};
use crate::resource::{CreatorNumber, SecretName};

/// What a test may say.
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
/// The caller's creator number, unless a test says another: 1, made of the first bytes of a MAC as any other.
pub(super) const USUAL_UIN: CreatorNumber = CreatorNumber::from_mac([0, 0, 0, 0, 0, 0, 0x10, 0]);

/// The value of a key that a test does not name, and that requests never lack if their action has it; none: the request lacks it, or
/// it follows from the caller.
pub(super) const fn usual(key: ConditionKey) -> Option<&'static str> {
    match key {
        ConditionKey::CurrentTime => Some("2026-06-01T00:00:00Z"),
        ConditionKey::Door => Some("native"),
        ConditionKey::SecureTransport => Some("true"),
        ConditionKey::RecoveryWindow => Some("0"),
        _ => None,
    }
}

/// Whether every request has a value of this key whose action has it.
const fn is_always_there(key: ConditionKey) -> bool {
    usual(key).is_some() || matches!(key, ConditionKey::TargetUin)
}

/// Whether there is a credential of which this is the principal: groups and token roles are what credentials hold.
fn is_caller(principal: &Principal) -> bool {
    match principal.kind() {
        Kind::User | Kind::Service => true,
        Kind::Role => is_local_role(principal),
        Kind::Group => false,
    }
}

fn is_local_role(principal: &Principal) -> bool {
    principal.kind() == Kind::Role && principal.issuer() == Some(LOCAL)
}

/// What is wrong, with its place and text.
struct Wrong<'a>(&'a Node, String, String);

fn wrong<T>(node: &Node, message: impl Into<String>) -> Result<T, Wrong<'_>> {
    Err(Wrong(node, node.text(), message.into()))
}

pub(super) fn tests(files: &[PolicyFile], settings: &Settings) -> PolicyTests {
    let known = known(files, settings);
    let (mut tests, mut errors) = (Vec::new(), Warnings::default());
    for file in files.iter().filter(|file| matches!(FileKind::of(&file.path), Ok(FileKind::Test))) {
        match json::read_nested(&file.bytes, AUTHORS_DEPTH_MAX) {
            Ok(node) => Reader { path: &file.path, known: &known, settings }.file(&node, &mut tests, &mut errors),
            Err(found) => found.iter().for_each(|error| {
                let spot = Spot { file: &file.path, at: error.at, text: &error.text, statement: None };
                errors.add(Rule::TestError, spot, error.message);
            }),
        }
    }
    PolicyTests { tests, errors: errors.into_list() }
}

/// The principals that the folder and its settings know.
fn known<'a>(files: &[PolicyFile], settings: &'a Settings) -> Known<'a> {
    let roles = files.iter().filter_map(|file| match FileKind::of(&file.path) {
        Ok(FileKind::Role(name)) => Principal::qualified(Kind::Role, LOCAL, name).ok(),
        _ => None,
    });
    let mut known = Known { settings, local: roles.collect::<HashSet<_>>() };
    for file in files.iter().filter(|file| file.path == "attachments.json") {
        // The folder loads; read for its groups.
        let _attachments = Attachments::parse(file, &mut known);
    }
    known
}

struct Reader<'a> {
    path: &'a str,
    known: &'a Known<'a>,
    settings: &'a Settings,
}

impl Reader<'_> {
    fn file(&self, node: &Node, tests: &mut Vec<PolicyTest>, errors: &mut Warnings) {
        const FORM: &str = "the file has `version`, the number 1, and `tests`, a list, and nothing else";
        let members = node.as_object().unwrap_or_default();
        for member in members.iter().filter(|member| !matches!(member.key.as_str(), "version" | "tests")) {
            let spot = Spot { file: self.path, at: member.at, text: &member.key, statement: None };
            errors.add(Rule::TestError, spot, FORM);
        }
        let list = find(members, "tests").and_then(Node::as_list);
        if find(members, "version").and_then(Node::as_number) != Some("1") || list.is_none() {
            errors.add(Rule::TestError, Spot { file: self.path, at: START, text: "", statement: None }, FORM);
        }
        for node in list.unwrap_or_default() {
            match self.test(node) {
                Ok(test) => tests.push(test),
                Err(Wrong(node, text, message)) => {
                    let spot = Spot { file: self.path, at: node.at, text: &text, statement: None };
                    errors.add(Rule::TestError, spot, message);
                }
            }
        }
    }

    fn test<'n>(&self, node: &'n Node) -> Result<PolicyTest, Wrong<'n>> {
        let members = node.as_object().unwrap_or_default();
        if let Some(unknown) = members.iter().find(|member| !FIELDS.contains(&member.key.as_str())) {
            let message = format!("a test has `{}` and nothing else", FIELDS.join("`, `"));
            return Err(Wrong(node, unknown.key.clone(), message));
        }
        let name = text(members, "name", node)?;
        let action = action(needed(members, "action", node)?)?;
        let mut context = self.context(find(members, "context"), action)?;
        let tags = context.remove(&ConditionKey::ResourceTag).unwrap_or_default();
        let resource = find(members, "resource").map_or(Ok(Resource::Nothing), |node| self.resource(node))?;
        let expect = match needed(members, "expect", node)? {
            node if node.as_str() == Some("allow") => Expected::Allow,
            node if node.as_str() == Some("deny") => Expected::Deny,
            node => return wrong(node, "`expect` is `allow` or `deny`"),
        };
        let test = PolicyTest {
            name: name.to_owned(),
            file: self.path.to_owned(),
            at: node.at,
            who: self.who(members, node, context)?,
            action,
            what: What { resource, tags },
            session_policy: find(members, "session_policy").map(|node| self.session_policy(node)).transpose()?,
            expect,
            by: find(members, "by").map(by).transpose()?,
        };
        match test.ask(self.settings, |question| Facts::of(question).map(|_| ())) {
            Ok(()) => Ok(test),
            Err(Fault::Target) => {
                let message = format!("`{}` cannot have this resource", action.full_name());
                wrong(find(members, "resource").unwrap_or(node), message)
            }
            Err(fault) => wrong(find(members, "context").unwrap_or(node), fault.to_string()),
        }
    }

    fn who<'n>(
        &self,
        members: &'n [Member],
        node: &'n Node,
        context: BTreeMap<ConditionKey, Vec<String>>,
    ) -> Result<Who, Wrong<'n>> {
        let uin = match find(members, "uin") {
            Some(node) => match node.as_str().and_then(|text| text.parse().ok()).and_then(CreatorNumber::new) {
                Some(uin) => uin,
                None => return wrong(node, "`uin` is a creator number below 2^52, as a text"),
            },
            None => USUAL_UIN,
        };
        let at = needed(members, "principal", node)?;
        let principal = self.caller(at)?;
        let credential = self.credential(members, node)?;
        match (is_local_role(&principal), &credential) {
            (true, Credential::Token | Credential::AccessKey) => {
                return wrong(at, "a role of the folder asks in a session alone: `\"credential\": \"session\"`");
            }
            (false, Credential::Session(_)) => {
                return wrong(at, "a session is one of a role of the folder: `role/local/<name>`");
            }
            _ => {}
        }
        Ok(Who {
            principal,
            groups: self.principals(members, "groups", Kind::Group)?,
            roles: self.principals(members, "roles", Kind::Role)?,
            credential,
            uin,
            context,
        })
    }

    fn credential<'n>(&self, members: &'n [Member], test: &'n Node) -> Result<Credential, Wrong<'n>> {
        let by = find(members, "assumed_by").map(|node| self.caller(node)).transpose()?;
        let node = find(members, "credential");
        match (node.map_or("token", |node| node.as_str().unwrap_or_default()), by) {
            ("session", Some(by)) => Ok(Credential::Session(by)),
            ("session", None) => {
                wrong(node.unwrap_or(test), "a session has `assumed_by`: who took the role, somebody or a service")
            }
            ("token", None) => Ok(Credential::Token),
            ("access_key", None) => Ok(Credential::AccessKey),
            (_, Some(_)) => wrong(test, "`assumed_by` is of a session alone: `\"credential\": \"session\"`"),
            (_, None) => wrong(node.unwrap_or(test), "`credential` is `token`, `access_key` or `session`"),
        }
    }

    fn principal<'n>(&self, node: &'n Node) -> Result<Principal, Wrong<'n>> {
        let Some(text) = node.as_str() else { return wrong(node, "a principal is a text") };
        self.known.principal(text).or_else(|(_, message)| wrong(node, message))
    }

    /// A principal that can ask.
    fn caller<'n>(&self, node: &'n Node) -> Result<Principal, Wrong<'n>> {
        let principal = self.principal(node)?;
        if is_caller(&principal) {
            return Ok(principal);
        }
        wrong(node, "nobody asks as this: name a user with it in `groups` or `roles`")
    }

    /// Groups or roles that tokens give; those of the folder are found by it.
    fn principals<'n>(&self, members: &'n [Member], field: &str, kind: Kind) -> Result<Vec<Principal>, Wrong<'n>> {
        let Some(node) = find(members, field) else { return Ok(Vec::new()) };
        let Some(list) = node.as_list() else { return wrong(node, format!("`{field}` is a list of principals")) };
        let read = |node| {
            let principal = self.principal(node)?;
            if principal.kind() == kind && principal.issuer() != Some(LOCAL) {
                return Ok(principal);
            }
            wrong(
                node,
                format!("`{field}` are what a token says of its bearer; what the folder defines is found by it"),
            )
        };
        list.iter().map(read).collect()
    }

    fn resource<'n>(&self, node: &'n Node) -> Result<Resource, Wrong<'n>> {
        const FORMS: &str = "a resource is `secret/creatorUin/<creator>/<name>` with a number, `${uin}` or `*` (the secret does \
                             not exist), `key/<id>` or `role/local/<name>`";
        let text = node.as_str().unwrap_or_default();
        if let Some(id) = text.strip_prefix("key/") {
            return Ok(Resource::Key(id.to_owned()));
        }
        if text.starts_with("role/local/") {
            return Principal::parse(text).map(Resource::Role).or_else(|error| wrong(node, error.to_string()));
        }
        let secret = text.strip_prefix("secret/creatorUin/").and_then(|rest| rest.split_once('/'));
        let Some((creator, name)) = secret else { return wrong(node, FORMS) };
        let creator = match creator {
            "*" => Some(Creator::Missing),
            "${uin}" => Some(Creator::Own),
            number => number.parse().ok().and_then(CreatorNumber::new).map(Creator::Number),
        };
        match (creator, SecretName::parse(name)) {
            (Some(creator), Ok(name)) => Ok(Resource::Secret(creator, name)),
            (None, _) => wrong(node, FORMS),
            (_, Err(error)) => wrong(node, error.to_string()),
        }
    }

    /// The keys that a test states, and the usual ones.
    fn context<'n>(
        &self,
        node: Option<&'n Node>,
        action: &Action,
    ) -> Result<BTreeMap<ConditionKey, Vec<String>>, Wrong<'n>> {
        let of_usual = |key: ConditionKey| Some((key, vec![usual(key)?.to_owned()]));
        let mut values: BTreeMap<_, _> = ConditionKey::ALL.into_iter().filter_map(of_usual).collect();
        let Some(node) = node else { return Ok(values) };
        let Some(members) = node.as_object() else { return wrong(node, "`context` is an object of condition keys") };
        for member in members {
            let refuse = |message: String| Err(Wrong(&member.node, member.key.clone(), message));
            let key = match ConditionKey::parse(&member.key) {
                Some(ConditionKey::Uin | ConditionKey::OwnerUin | ConditionKey::CreateUin) => {
                    return refuse("this follows from `uin`, the account and the resource: leave it out".to_owned());
                }
                Some(ConditionKey::OidcSubject) => {
                    return refuse("this follows from `principal`: leave it out".to_owned());
                }
                Some(key) if action.has_key(key) => key,
                Some(_) => return refuse(format!("a request for `{}` never has this key", action.full_name())),
                None => {
                    let keys = ConditionKey::ALL.map(ConditionKey::name).join("`, `");
                    return refuse(format!("no condition key; they are `{keys}`"));
                }
            };
            let texts = member.node.one_or_many().iter().map(|node| node.as_str().map(str::to_owned));
            match texts.collect::<Option<Vec<_>>>() {
                Some(texts) if texts.is_empty() && is_always_there(key) => {
                    return refuse("no request lacks this key: give it a value, or leave it out".to_owned());
                }
                Some(texts) => drop(values.insert(key, texts)),
                None => return refuse("a value is a text, or a list of texts".to_owned()),
            }
        }
        Ok(values)
    }

    fn session_policy<'n>(&self, node: &'n Node) -> Result<Arc<SessionPolicy>, Wrong<'n>> {
        let text = node.plain().to_string();
        SessionPolicy::parse(text.as_bytes(), self.settings).map(Arc::new).or_else(|found| {
            let first = found.first().map(|finding| format!("{}: {}", finding.code.name(), finding.message));
            wrong(node, first.unwrap_or_default())
        })
    }
}

fn needed<'n>(members: &'n [Member], field: &str, node: &'n Node) -> Result<&'n Node, Wrong<'n>> {
    match find(members, field) {
        Some(found) => Ok(found),
        None => wrong(node, format!("a test has `{field}`")),
    }
}

fn text<'n>(members: &'n [Member], field: &str, node: &'n Node) -> Result<&'n str, Wrong<'n>> {
    let found = needed(members, field, node)?;
    match found.as_str().filter(|text| !text.trim().is_empty()) {
        Some(text) => Ok(text),
        None => wrong(found, format!("`{field}` is a text")),
    }
}

fn action(node: &Node) -> Result<&'static Action, Wrong<'_>> {
    let text = node.text();
    match ACTIONS.iter().find(|row| row.full_name() == text) {
        Some(action) => Ok(action),
        None => wrong(node, nearest(&text)),
    }
}

fn by(node: &Node) -> Result<Vec<By>, Wrong<'_>> {
    let Some(list) = node.as_list() else { return wrong(node, "`by` is a list of deciding statements") };
    list.iter().map(deciding).collect()
}

fn deciding(node: &Node) -> Result<By, Wrong<'_>> {
    const FORM: &str = "a deciding statement is `layer`, `document` and `statement`; only `layer` where a layer has no allow; in \
                        the layer `session` without `document`";
    const LAYERS: [Layer; 4] = [Layer::Identity, Layer::Boundary, Layer::Session, Layer::Trust];
    let members = node.as_object().unwrap_or_default();
    if let Some(unknown) =
        members.iter().find(|member| !matches!(member.key.as_str(), "layer" | "document" | "statement"))
    {
        return Err(Wrong(node, unknown.key.clone(), FORM.to_owned()));
    }
    let layer = find(members, "layer").and_then(Node::as_str);
    let layer = LAYERS.into_iter().find(|one| Some(one.name()) == layer);
    let document = find(members, "document").map(|node| node.as_str().map(str::to_owned));
    let statement = find(members, "statement").map(|node| node.as_number().and_then(|text| text.parse().ok()));
    let is_named = document.is_some() == (statement.is_some() && layer != Some(Layer::Session));
    match (layer, document, statement) {
        (Some(layer), document, statement) if is_named && document != Some(None) && statement != Some(None) => {
            Ok(By { layer, document: document.flatten(), statement: statement.flatten() })
        }
        _ => wrong(node, FORM),
    }
}
