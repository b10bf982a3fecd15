//! `attachments.json`: groups, and which policy applies to whom.

use std::collections::{HashMap, HashSet};

use super::document::{START, find, read_object};
use super::finding::{Code, Finding, Findings};
use super::json::{Member, Node, Position, Value};
use super::{PolicyFile, Settings};
use crate::principal::{Kind, LOCAL, Principal};

/// Largest `attachments.json`, in bytes.
pub(super) const FILE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What keyward itself is called at work, as far as policy can name it.
pub(super) const SERVICES: [&str; 6] = ["gateway", "operator", "policy", "purger", "retention", "ssm"];

/// To whom a policy is attached.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Subject {
    Principal(Principal),
    /// Every principal of an issuer.
    Issuer(String),
    /// Every authenticated caller but services.
    Everyone,
}

/// A principal or subject and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Placed<T> {
    pub(super) at: Position,
    pub(super) text: String,
    pub(super) value: T,
}

/// One `{policy, to}`.
#[derive(Clone, Debug)]
pub(super) struct Attachment {
    pub(super) policy: Placed<()>,
    pub(super) to: Vec<Placed<Subject>>,
}

/// A group of the policy folder.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) at: Position,
    pub(super) principal: Principal,
    pub(super) members: Vec<Placed<Principal>>,
}

/// The parsed file.
#[derive(Clone, Debug, Default)]
pub(super) struct Attachments {
    pub(super) groups: Vec<Group>,
    pub(super) attachments: Vec<Attachment>,
    pub(super) boundaries: Vec<Attachment>,
}

/// What principals may be named.
#[derive(Debug)]
pub(super) struct Known<'a> {
    pub(super) settings: &'a Settings,
    /// `group/local/...` and `role/local/...` that the folder defines.
    pub(super) local: HashSet<Principal>,
}

/// Code and message of a refusal.
type Refusal = (Code, String);

impl Known<'_> {
    /// Whether tokens of that issuer are accepted.
    pub(super) fn has_issuer(&self, name: &str) -> bool {
        self.settings.issuers.iter().any(|issuer| issuer.name == name)
    }

    /// What to write instead of an issuer that is not configured.
    pub(super) fn issuers_message(&self) -> String {
        let names: Vec<&str> = self.settings.issuers.iter().map(|issuer| issuer.name.as_str()).collect();
        format!("this issuer is not configured; the issuers are `{}`", names.join("`, `"))
    }

    /// Reads a principal that the folder names: well formed, of a configured issuer, or defined by the folder.
    pub(super) fn principal(&self, text: &str) -> Result<Principal, Refusal> {
        if text.starts_with("qcs:") || !text.contains('/') {
            return Err(self.foreign_form(text));
        }
        let principal = Principal::parse(text).map_err(|error| (Code::PrincipalQcsError, error.to_string()))?;
        match principal.issuer() {
            None if SERVICES.iter().any(|name| text.strip_prefix("service/") == Some(*name)) => Ok(principal),
            None => Err((Code::PrincipalServiceNotExist, format!("the services are `{}`", SERVICES.join("`, `")))),
            Some(LOCAL) if self.local.contains(&principal) => Ok(principal),
            Some(LOCAL) => Err((Code::PrincipalQcsNotExist, unknown_local(&principal))),
            Some(issuer) if self.has_issuer(issuer) => Ok(principal),
            Some(_) => Err((Code::PrincipalQcsNotExist, self.issuers_message())),
        }
    }

    /// What is wrong with a principal in the vendor's form, or in none.
    pub(super) fn foreign_form(&self, text: &str) -> Refusal {
        let own = &self.settings.place.account;
        let account = text.strip_prefix("qcs::cam::uin/").map(|rest| rest.split(':').next().unwrap_or_default());
        match account {
            Some(account) if account != own => {
                (Code::PrincipalQcsCrossError, format!("another account; this gateway's is `{own}`, and principals are written without it"))
            }
            _ => (
                Code::PrincipalQcsError,
                "a principal is `user/<issuer>/<sub>`, `group/<issuer>/<name>`, `role/<issuer>/<name>`, `service/<name>`; \
                 a web identity `oidc-provider/<issuer>`"
                    .to_owned(),
            ),
        }
    }

    fn subject(&self, text: &str) -> Result<Subject, Refusal> {
        if text == "everyone" {
            return Ok(Subject::Everyone);
        }
        match text.strip_prefix("issuer/") {
            Some(issuer) if self.has_issuer(issuer) => Ok(Subject::Issuer(issuer.to_owned())),
            Some(_) => Err((Code::PrincipalQcsNotExist, self.issuers_message())),
            None => self.principal(text).map(Subject::Principal),
        }
    }

    fn member(&self, text: &str) -> Result<Principal, Refusal> {
        let principal = self.principal(text)?;
        if principal.kind() == Kind::Service {
            return Err((
                Code::PrincipalQcsError,
                "a service is no member of a group; attach the policy to it".to_owned(),
            ));
        }
        Ok(principal)
    }
}

fn unknown_local(principal: &Principal) -> String {
    match principal.kind() {
        Kind::Group => "`attachments.json` defines no such group".to_owned(),
        Kind::Role => "the folder `roles` has no such role".to_owned(),
        Kind::User | Kind::Service => "the policy folder defines groups and roles, no users".to_owned(),
    }
}

impl Attachments {
    /// Parses and checks the file; `local` roles are given, its groups are added to what is known. Everything that is wrong with it
    /// comes beside what of it is right, so that more can be found wrong with that.
    pub(super) fn parse(file: &PolicyFile, known: &mut Known<'_>) -> (Self, Vec<Finding>) {
        let mut findings = Findings::of(&file.path);
        let parsed = parse_file(file, known, &mut findings);
        (parsed, findings.into_list())
    }

    /// The groups that each principal is directly a member of.
    pub(super) fn memberships(&self) -> HashMap<&Principal, Vec<&Principal>> {
        let mut of: HashMap<_, Vec<_>> = HashMap::new();
        for group in &self.groups {
            for member in &group.members {
                of.entry(&member.value).or_default().push(&group.principal);
            }
        }
        of
    }
}

fn parse_file(file: &PolicyFile, known: &mut Known<'_>, findings: &mut Findings) -> Attachments {
    if file.bytes.len() > FILE_BYTES_MAX {
        findings.add_file(Code::AttachmentError, "", "the file is at most 16 MiB");
        return Attachments::default();
    }
    let Some(members) = read_object(file, Code::AttachmentError, findings) else {
        return Attachments::default();
    };
    for member in &members {
        if !matches!(member.key.as_str(), "version" | "groups" | "attachments" | "boundaries") {
            let message = "the file has `version`, `groups`, `attachments` and `boundaries` and nothing else";
            findings.add(member.at, Code::AttachmentError, &member.key, message);
        }
    }
    check_version(find(&members, "version"), findings);
    let named = group_names(find(&members, "groups"), known, findings);
    let groups: Vec<Group> =
        named.into_iter().map(|(member, principal)| parse_group(member, principal, known, findings)).collect();
    check_cycles(&groups, findings);
    let attachments = attachment_list(find(&members, "attachments"), known, findings);
    let boundaries = attachment_list(find(&members, "boundaries"), known, findings);
    Attachments { groups, attachments, boundaries }
}

fn check_version(node: Option<&Node>, findings: &mut Findings) {
    if !matches!(node, Some(Node { value: Value::Number(text), .. }) if text == "1") {
        let at = node.map_or(START, |node| node.at);
        findings.add(at, Code::AttachmentError, &node.map(Node::text).unwrap_or_default(), "`version` is the number 1");
    }
}

/// The groups with their principals; they are known from here on, so that groups may name each other in any order.
fn group_names<'a>(
    node: Option<&'a Node>,
    known: &mut Known<'_>,
    findings: &mut Findings,
) -> Vec<(&'a Member, Principal)> {
    let Some(node) = node else { return Vec::new() };
    let Some(members) = node.as_object() else {
        findings.add(node.at, Code::AttachmentError, &node.text(), "`groups` is an object of name and list of members");
        return Vec::new();
    };
    let mut groups = Vec::new();
    for member in members {
        match Principal::qualified(Kind::Group, LOCAL, &member.key) {
            Ok(principal) => {
                known.local.insert(principal.clone());
                groups.push((member, principal));
            }
            Err(error) => findings.add(member.at, Code::PrincipalQcsError, &member.key, error.to_string()),
        }
    }
    groups
}

fn parse_group(member: &Member, principal: Principal, known: &Known<'_>, findings: &mut Findings) -> Group {
    let members = placed(&member.node, findings, |text| known.member(text));
    Group { at: member.at, principal, members }
}

/// Reads a list of strings, each with its place.
fn placed<T>(node: &Node, findings: &mut Findings, read: impl Fn(&str) -> Result<T, Refusal>) -> Vec<Placed<T>> {
    let Some(list) = node.as_list() else {
        findings.add(node.at, Code::AttachmentError, &node.text(), "a list of principals is expected here");
        return Vec::new();
    };
    let mut all = Vec::new();
    for node in list {
        let text = node.text();
        let read = match node.as_str() {
            Some(text) => read(text),
            None => Err((Code::AttachmentError, "a principal is a string".to_owned())),
        };
        match read {
            Ok(value) => all.push(Placed { at: node.at, text, value }),
            Err((code, message)) => findings.add(node.at, code, &text, message),
        }
    }
    all
}

fn attachment_list(node: Option<&Node>, known: &Known<'_>, findings: &mut Findings) -> Vec<Attachment> {
    let Some(node) = node else { return Vec::new() };
    let Some(list) = node.as_list() else {
        findings.add(
            node.at,
            Code::AttachmentError,
            &node.text(),
            "a list of `{\"policy\": …, \"to\": […]}` is expected here",
        );
        return Vec::new();
    };
    list.iter().filter_map(|node| attachment(node, known, findings)).collect()
}

fn attachment(node: &Node, known: &Known<'_>, findings: &mut Findings) -> Option<Attachment> {
    const FORM: &str = "an attachment has `policy` (a name) and `to` (a list) and nothing else";
    let members = node.as_object().unwrap_or_default();
    for member in members.iter().filter(|member| !matches!(member.key.as_str(), "policy" | "to")) {
        findings.add(member.at, Code::AttachmentError, &member.key, FORM);
    }
    let policy = find(members, "policy").and_then(|node| Some((node, node.as_str()?)));
    let (Some((policy, name)), Some(to)) = (policy, find(members, "to")) else {
        findings.add(node.at, Code::AttachmentError, &node.text(), FORM);
        return None;
    };
    let policy = Placed { at: policy.at, text: name.to_owned(), value: () };
    Some(Attachment { policy, to: placed(to, findings, |text| known.subject(text)) })
}

/// Refuses groups that are, through others, members of themselves. Without recursion: groups whose members are all
/// settled are settled in turn, and what is left lies on or above a cycle.
fn check_cycles(groups: &[Group], findings: &mut Findings) {
    let mut waiting: HashMap<&Principal, usize> = HashMap::new();
    let mut above: HashMap<&Principal, Vec<&Principal>> = HashMap::new();
    let named: HashSet<&Principal> = groups.iter().map(|group| &group.principal).collect();
    for group in groups {
        let inner = group.members.iter().filter(|member| named.contains(&member.value));
        let count = inner.map(|member| above.entry(&member.value).or_default().push(&group.principal)).count();
        waiting.insert(&group.principal, count);
    }
    let mut settled: Vec<&Principal> =
        groups.iter().map(|g| &g.principal).filter(|g| waiting.get(g) == Some(&0)).collect();
    while let Some(group) = settled.pop() {
        waiting.remove(group);
        for outer in above.get(group).into_iter().flatten() {
            if let Some(count) = waiting.get_mut(outer) {
                *count -= 1;
                if *count == 0 {
                    settled.push(outer);
                }
            }
        }
    }
    for group in groups.iter().filter(|group| waiting.contains_key(&group.principal)) {
        findings.add(
            group.at,
            Code::PrincipalQcsNotExist,
            group.principal.as_str(),
            "this group is a member of itself, through others, or holds such a group",
        );
    }
}

/// The groups that a token sheds by leaving its groups out: those of issuers that do not require them, and groups of the folder
/// that have one of those among their members, at any depth.
pub(super) struct Sheddable<'a> {
    settings: &'a Settings,
    /// Groups of the folder, each with a token group.
    through: HashMap<&'a Principal, &'a Principal>,
}

impl<'a> Sheddable<'a> {
    pub(super) fn of(all: &'a Attachments, settings: &'a Settings) -> Self {
        Self { settings, through: reached_through_optional(all, settings) }
    }

    /// Refuses to hang `what` on `principal`, if a token sheds it; `instead` of that somebody may do this.
    pub(super) fn check(
        &self,
        what: &str,
        instead: &str,
        principal: &Principal,
        at: Position,
        findings: &mut Findings,
    ) {
        let is_one = is_optional_group(principal, self.settings);
        let group = if is_one { Some(principal) } else { self.through.get(principal).copied() };
        let Some(group) = group else { return };
        let message = format!(
            "a {what} here is shed by a token without groups (`{group}`): set `groups = \"required\"` for that issuer, or {instead}"
        );
        findings.add(at, Code::PrincipalGroupOptional, principal.as_str(), message);
    }
}

/// What an attachment does that a caller could wish to shed.
pub(super) struct Limits<'a> {
    pub(super) attachment: &'a Attachment,
    pub(super) what: &'static str,
}

/// Refuses a deny or boundary that is reached through a token group of an issuer that does not require groups: a
/// token could leave the claim out and shed it (D12).
pub(super) fn check_sheddable(sheddable: &Sheddable<'_>, limits: &[Limits<'_>], findings: &mut Findings) {
    for limit in limits {
        for to in &limit.attachment.to {
            if let Subject::Principal(principal) = &to.value {
                sheddable.check(limit.what, "attach it to `issuer/<name>`", principal, to.at, findings);
            }
        }
    }
}

fn is_optional_group(principal: &Principal, settings: &Settings) -> bool {
    let optional = |name: &str| settings.issuers.iter().any(|issuer| issuer.name == name && !issuer.groups_required);
    principal.kind() == Kind::Group && principal.issuer().is_some_and(optional)
}

/// The groups of the folder that have a token group of such an issuer among their members, at any depth, with one of
/// those.
fn reached_through_optional<'a>(all: &'a Attachments, settings: &Settings) -> HashMap<&'a Principal, &'a Principal> {
    let memberships = all.memberships();
    let mut reached: HashMap<&Principal, &Principal> = HashMap::new();
    let members = all.groups.iter().flat_map(|group| &group.members).map(|member| &member.value);
    for token_group in members.filter(|member| is_optional_group(member, settings)) {
        let mut next = vec![token_group];
        while let Some(member) = next.pop() {
            for group in memberships.get(member).into_iter().flatten() {
                if reached.insert(group, token_group).is_none() {
                    next.push(group);
                }
            }
        }
    }
    reached
}

#[cfg(test)]
#[path = "attachments_tests.rs"]
mod tests;
