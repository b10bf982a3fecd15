//! Who is reached: list calls of role sessions (W9), attachments that reach nobody (W11), limits that a token sheds by
//! leaving its roles out (W12).

use std::collections::{BTreeSet, HashMap};

use super::warning::{Rule, Spot, Warnings};
use super::written::Written;
use crate::actions::Operation;
use crate::authz::attachments::{Attachment, Attachments, Placed, Subject};
use crate::authz::load::Read;
use crate::authz::role::INSTEAD_OF_DENY;
use crate::principal::{Kind, LOCAL, Principal};

const FILE: &str = "attachments.json";

/// The attachments of a folder, and how groups lead from principal to principal.
pub(super) struct Reach<'a> {
    pub(super) attachments: &'a Attachments,
    /// The first role of the folder that somebody may take who shows a credential: `everyone` means sessions of it.
    taken: Option<&'a Principal>,
    /// The groups that each principal is directly a member of.
    above: HashMap<&'a Principal, Vec<&'a Principal>>,
    /// The direct members of each group.
    below: HashMap<&'a Principal, Vec<&'a Principal>>,
    attached: HashMap<&'a str, Vec<&'a Subject>>,
    bounding: HashMap<&'a str, Vec<&'a Subject>>,
    /// The documents that are attached to a subject or bound it.
    documents: HashMap<&'a Subject, BTreeSet<&'a str>>,
}

impl<'a> Reach<'a> {
    pub(super) fn of(read: &'a Read<'_>) -> Self {
        let attachments = &read.attachments;
        let taken = read.roles.iter().find(|(_, trust)| trust.is_for_credentials()).map(|(role, _)| role);
        let members =
            |group: &'a crate::authz::attachments::Group| group.members.iter().map(|member| &member.value).collect();
        let below = attachments.groups.iter().map(|group| (&group.principal, members(group))).collect();
        let attached = by_document(&attachments.attachments);
        let bounding = by_document(&attachments.boundaries);
        let mut documents: HashMap<&Subject, BTreeSet<&str>> = HashMap::new();
        for attachment in attachments.attachments.iter().chain(&attachments.boundaries) {
            for to in &attachment.to {
                documents.entry(&to.value).or_default().insert(&attachment.policy.text);
            }
        }
        Self { attachments, taken, above: attachments.memberships(), below, attached, bounding, documents }
    }

    /// A document, and every other that may reach everybody whom it reaches, and perhaps more.
    pub(super) fn beside(&self, document: &'a str) -> BTreeSet<&'a str> {
        let (attached, bounding) = self.targets(document);
        // Whoever reaches all of them reaches the first.
        let around = attached.first().or(bounding.first()).map(|first| self.around(first)).unwrap_or_default();
        let others = around.into_iter().flat_map(|subject| self.documents_of(subject));
        std::iter::once(document).chain(others).collect()
    }

    /// Subjects that have documents and may mean everybody whom `who` means: itself, its groups, and those that name nobody.
    pub(super) fn around(&self, who: &'a Subject) -> Vec<&'a Subject> {
        let nameless = self.documents.keys().copied().filter(|subject| !matches!(subject, Subject::Principal(_)));
        let mut around: Vec<&Subject> = nameless.filter(|subject| *subject != who).collect();
        match who {
            Subject::Principal(principal) => {
                let groups = self.up(principal).into_iter().map(|group| Subject::Principal(group.clone()));
                around.extend(groups.filter_map(|group| Some(*self.documents.get_key_value(&group)?.0)));
            }
            Subject::Everyone | Subject::Issuer(_) => around.push(who),
        }
        around
    }

    /// The documents that are attached to a subject, or bound it.
    pub(super) fn documents_of(&self, subject: &Subject) -> impl Iterator<Item = &'a str> {
        self.documents.get(subject).into_iter().flatten().copied()
    }

    /// A principal and all groups that it is a member of, through others too.
    pub(super) fn up(&self, principal: &'a Principal) -> BTreeSet<&'a Principal> {
        walk(principal, &self.above)
    }

    /// A principal that is no group of the folder, or everybody in it, through others too.
    pub(super) fn down(&self, principal: &'a Principal) -> BTreeSet<&'a Principal> {
        let mut all = walk(principal, &self.below);
        all.retain(|principal| !self.below.contains_key(principal));
        all
    }

    /// To whom a document is attached, and whom it bounds.
    pub(super) fn targets(&self, document: &str) -> (&[&'a Subject], &[&'a Subject]) {
        let attached = self.attached.get(document).map(Vec::as_slice);
        let bounding = self.bounding.get(document).map(Vec::as_slice);
        (attached.unwrap_or_default(), bounding.unwrap_or_default())
    }

    /// Whether a document is attached as a boundary and in no other way, so that it grants nothing.
    pub(super) fn only_bounds(&self, document: &str) -> bool {
        self.bounding.contains_key(document) && !self.attached.contains_key(document)
    }
}

fn by_document(attachments: &[Attachment]) -> HashMap<&str, Vec<&Subject>> {
    let mut all: HashMap<&str, Vec<&Subject>> = HashMap::new();
    for attachment in attachments {
        let targets = attachment.to.iter().map(|to| &to.value);
        all.entry(&attachment.policy.text).or_default().extend(targets);
    }
    all
}

fn walk<'a>(from: &'a Principal, edges: &HashMap<&'a Principal, Vec<&'a Principal>>) -> BTreeSet<&'a Principal> {
    let mut seen = BTreeSet::from([from]);
    let mut next = vec![from];
    while let Some(principal) = next.pop() {
        for other in edges.get(principal).into_iter().flatten() {
            if seen.insert(other) {
                next.push(other);
            }
        }
    }
    seen
}

/// A grant of ListSecrets under version 2.0 to a role of the folder: CAM blocks list calls of temporary keys there.
pub(super) fn check_lists(statement: &Written<'_>, reach: &Reach<'_>, warnings: &mut Warnings) {
    let lists = |action: &crate::actions::Action| action.operation == Operation::ListSecrets;
    let grants = !statement.denies() && statement.reaching.iter().any(|(_, action)| lists(action));
    let Some(document) = statement.page.document().filter(|_| grants && statement.page.version() == "2.0") else {
        return;
    };
    let (targets, _) = reach.targets(document);
    let Some(role) = targets.iter().find_map(|target| role_among(target, reach)) else { return };
    let message = format!(
        "a session of `{role}` may list secrets by this; Tencent Cloud blocks list calls of temporary keys under version \
         2.0: write `\"version\": \"3.0\"` if it is meant"
    );
    warnings.add(Rule::RoleLists, statement.spot(), message);
}

fn role_among<'a>(target: &'a Subject, reach: &Reach<'a>) -> Option<&'a Principal> {
    match target {
        Subject::Principal(principal) => {
            reach.down(principal).into_iter().find(|who| who.kind() == Kind::Role && who.issuer() == Some(LOCAL))
        }
        Subject::Everyone => reach.taken,
        Subject::Issuer(_) => None,
    }
}

fn spot<T>(placed: &Placed<T>) -> Spot<'_> {
    Spot { file: FILE, at: placed.at, text: &placed.text, statement: None }
}

pub(super) fn check_nobody(reach: &Reach<'_>, warnings: &mut Warnings) {
    let all = reach.attachments.attachments.iter().chain(&reach.attachments.boundaries);
    for attachment in all {
        if attachment.to.is_empty() {
            let message = "`to` is empty, so the policy reaches nobody by this: name whom it is for, or take it out";
            warnings.add(Rule::ReachesNobody, spot(&attachment.policy), message);
        }
        for to in &attachment.to {
            let is_empty = matches!(&to.value, Subject::Principal(principal) if reach.down(principal).is_empty());
            if is_empty {
                let message =
                    "the group has no members, so the policy reaches nobody by this: give it members, or take it out";
                warnings.add(Rule::ReachesNobody, spot(to), message);
            }
        }
    }
}

/// A deny or boundary on a token role: tokens are never refused for leaving roles out.
pub(super) fn check_roles(reach: &Reach<'_>, denying: &BTreeSet<String>, warnings: &mut Warnings) {
    let denies = reach.attachments.attachments.iter().filter(|attachment| denying.contains(&attachment.policy.text));
    let limits = denies.map(|attachment| (attachment, "deny"));
    let limits = limits.chain(reach.attachments.boundaries.iter().map(|attachment| (attachment, "boundary")));
    for (attachment, what) in limits {
        for to in &attachment.to {
            if let Subject::Principal(principal) = &to.value {
                check_role(principal, what, INSTEAD, reach, spot(to), warnings);
            }
        }
    }
}

/// A deny on a token role in a trust policy.
pub(super) fn check_trust(statement: &Written<'_>, reach: &Reach<'_>, warnings: &mut Warnings) {
    for node in statement.principals.iter().filter(|_| statement.denies()) {
        if let Some(principal) = node.as_str().and_then(|text| Principal::parse(text).ok()) {
            check_role(&principal, "deny", INSTEAD_OF_DENY, reach, statement.spot_at(node), warnings);
        }
    }
}

/// What to do instead of attaching what a token sheds.
const INSTEAD: &str = "attach it to a group of an issuer with `groups = \"required\"`, to users, or to `issuer/<name>`";

fn check_role<'a>(
    principal: &'a Principal,
    what: &str,
    instead: &str,
    reach: &Reach<'a>,
    at: Spot<'_>,
    warnings: &mut Warnings,
) {
    let is_token_role = |who: &&Principal| who.kind() == Kind::Role && who.issuer() != Some(LOCAL);
    if let Some(role) = reach.down(principal).into_iter().find(is_token_role) {
        let message = format!("a token without roles sheds this {what} (`{role}`): {instead}");
        warnings.add(Rule::SheddableRole, at, message);
    }
}
