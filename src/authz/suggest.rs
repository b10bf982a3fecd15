//! From what was done to what must be granted: a policy set cut to its use ([`Usage`]), all of it document by document, or what hangs
//! on one principal.
//!
//! INVARIANT I5: a suggestion never grants anything new. Each allow in it is an allow of the set with fewer actions on fewer
//! resources under the same condition (`narrow`), for callers whom that one reaches in any case; denies stay word for word.
//! Whoever puts a suggestion to use has it compared and replayed before all the same.
//!
//! Left alone are documents that bound somebody, since a boundary is meant to be wider than what is granted, and the gateway's own
//! grant, which keys that are made tomorrow need. Nothing here is written to disk.

mod attachments;
mod least;
mod narrow;
#[cfg(test)]
mod tests;
mod usage;
mod wildcards;

use std::collections::BTreeSet;

pub use self::usage::Usage;
pub use self::wildcards::{Part, Wildcard};

use super::document::{Document, Statement, find};
use super::json::{self, Member, Node, Value};
use super::set::PolicySet;
use super::{Caller, CredentialForm, PolicyFile, StatementEffect};
use crate::principal::Principal;
use crate::resource::CreatorNumber;

/// A document as it would be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// `documents/<name>.json`
    pub path: String,
    /// Its text; `None` if nothing would be left of it, so that it goes, with its attachments.
    pub text: Option<String>,
    /// How many accesses it rests on.
    pub accesses: u64,
    /// Whom it is for, if it takes the place of all that is attached to one principal.
    pub who: Option<Principal>,
    /// What that principal is allowed by other documents, which it keeps.
    pub keeps: Vec<Kept>,
}

/// A document that somebody is reached by through a group, an issuer or `everyone`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub document: String,
    /// To whom it is attached.
    pub to: Vec<String>,
}

/// A statement that allows, and by which nothing was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unused {
    /// `documents/<name>.json`
    pub path: String,
    /// Its 0-based place.
    pub statement: u32,
    /// 1-based line.
    pub line: u32,
    /// 1-based column.
    pub column: u32,
}

impl PolicySet {
    /// Every document of which something was not used, cut to what was.
    #[must_use]
    pub fn narrowed(&self, usage: &Usage) -> Vec<Suggestion> {
        let mut all = Vec::new();
        for place in self.cuttable(None) {
            let Some(page) = Page::of(self, place) else { continue };
            let left = page.left(usage);
            if left == page.statements {
                continue;
            }
            let text = (!left.is_empty()).then(|| page.with(left));
            let accesses = usage.count_of(place);
            all.push(Suggestion { path: page.path.clone(), text, accesses, who: None, keeps: Vec::new() });
        }
        all
    }

    /// The statements by which nothing was done: of all that can be cut, or of what is attached to one principal. A deny that nobody
    /// ran into is none of them: it is there for the day on which somebody does.
    #[must_use]
    pub fn unused(&self, usage: &Usage, who: Option<&Principal>) -> Vec<Unused> {
        let pages = self.cuttable(who).into_iter().filter_map(|place| Page::of(self, place));
        let unused = pages.flat_map(|page| {
            let of = page.parts().filter(|(at, _, statement)| may_go(statement) && usage.of(page.place, *at).is_none());
            let placed = of.map(|(at, node, _)| Unused {
                path: page.path.clone(),
                statement: at,
                line: node.at.line,
                column: node.at.column,
            });
            placed.collect::<Vec<_>>()
        });
        unused.collect()
    }

    /// The files of this set with suggestions in place of what they are about.
    #[must_use]
    pub fn with_suggestions(&self, suggestions: &[Suggestion]) -> Vec<PolicyFile> {
        let is_kept = |file: &&PolicyFile| suggestions.iter().all(|one| one.path != file.path);
        let mut files: Vec<PolicyFile> = self.files().iter().filter(is_kept).cloned().collect();
        for one in suggestions {
            let Some(text) = &one.text else { continue };
            files.push(PolicyFile { path: one.path.clone(), bytes: text.clone().into_bytes() });
        }
        for file in files.iter_mut().filter(|file| file.path == attachments::PATH) {
            file.bytes = attachments::with(&file.bytes, suggestions);
        }
        files
    }

    /// The documents that can be cut, by place: attached, also directly to `who` if one is named, to nobody as a boundary, and no
    /// grant of the gateway's own.
    fn cuttable(&self, who: Option<&Principal>) -> Vec<u32> {
        let own: BTreeSet<u32> = self.reaching(&Principal::engine_role(), &[Principal::engine()]);
        let is_attached = |place: u32| {
            let to = self.subjects().attached_to(place);
            who.map_or(!to.is_empty(), |who| to.iter().any(|name| name == who.as_str()))
        };
        let places = (0..).zip(self.documents()).map(|(place, _)| place);
        places
            .filter(|place| is_attached(*place) && !self.subjects().is_boundary(*place) && !own.contains(place))
            .collect()
    }

    /// The documents whose allows count for a principal, whatever its credential says and in whatever form it is.
    fn reaching(&self, who: &Principal, restricted: &[Principal]) -> BTreeSet<u32> {
        let form = match who.kind() {
            crate::principal::Kind::Role => CredentialForm::Session { assumed_issuer: None },
            _ => CredentialForm::AccessKey,
        };
        let caller = Caller {
            principal: who,
            groups: &[],
            roles: &[],
            restricted,
            // Who is reached depends on names alone.
            creator: CreatorNumber::from_mac([0; 8]),
            form,
        };
        let attached = self.subjects().attached(&self.reach(&caller));
        attached.into_iter().filter(|(_, full)| *full).map(|(place, _)| place).collect()
    }
}

impl Suggestion {
    /// The document's name.
    fn name(&self) -> &str {
        self.path.strip_prefix("documents/").and_then(|path| path.strip_suffix(".json")).unwrap_or(&self.path)
    }
}

/// Whether a statement may be cut, or go: an allow of this gateway's actions. What it says of foreign services is not known here.
fn may_go(statement: &Statement) -> bool {
    statement.effect == StatementEffect::Allow && statement.actions.foreign.is_empty()
}

/// A document of a set beside its text.
struct Page<'a> {
    place: u32,
    document: &'a Document,
    path: String,
    members: Vec<Member>,
    statements: Vec<Node>,
}

impl<'a> Page<'a> {
    fn of(set: &'a PolicySet, place: u32) -> Option<Self> {
        let document = set.document(place)?;
        let path = format!("documents/{}.json", document.name);
        let file = set.files().iter().find(|file| file.path == path)?;
        let members = json::read(&file.bytes).ok()?.into_members()?;
        let statements = find(&members, "statement")?.as_list()?.to_vec();
        Some(Self { place, document, path, members, statements })
    }

    /// Its statements, each with its place, as it is written and as it is meant.
    fn parts(&self) -> impl Iterator<Item = (u32, &Node, &Statement)> {
        let parts = self.statements.iter().zip(&self.document.statements).zip(0..);
        parts.map(|((node, statement), place)| (place, node, &**statement))
    }

    /// The statements that are left of it.
    fn left(&self, usage: &Usage) -> Vec<Node> {
        let left = self.parts().flat_map(|(at, node, statement)| {
            if !may_go(statement) {
                return vec![node.clone()];
            }
            usage.of(self.place, at).map(|used| narrow::narrowed(node, statement, used)).unwrap_or_default()
        });
        left.collect()
    }

    /// Its text with other statements.
    fn with(&self, statements: Vec<Node>) -> String {
        let mut list = Some(Node::new(Value::List(statements)));
        let members = self.members.iter().map(|member| match member.key.as_str() {
            "statement" => Member::new("statement", list.take().unwrap_or_else(|| member.node.clone())),
            _ => member.clone(),
        });
        Node::new(Value::Object(members.collect())).file_text()
    }
}
