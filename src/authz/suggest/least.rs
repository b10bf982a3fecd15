//! The least document for one principal: what it did, under the statements that allowed it, in place of all that is attached to it.
//!
//! Counted are statements that reach the principal whatever its credential says: its own, those of groups of the folder, of its
//! issuer and of `everyone`. What a token's groups and roles allow is not put in: a credential without them would gain it. Denies
//! that are attached to the principal come along word for word.

use std::collections::BTreeSet;

use super::narrow::narrowed;
use super::{Kept, Page, Suggestion, Usage, may_go};
use crate::authz::document::Statement;
use crate::authz::json::{Member, Node, Value};
use crate::authz::set::PolicySet;
use crate::principal::Principal;

/// Longest part of a document's name that is made of the principal's.
const NAME_MAX: usize = 100;

impl PolicySet {
    /// The least document for `who`, of whose accesses alone `usage` was made.
    #[must_use]
    pub fn least(&self, usage: &Usage, who: &Principal) -> Suggestion {
        let own: BTreeSet<u32> = self.own(who);
        let always = self.reaching(who, &[]);
        let (mut statements, mut accesses) = (Vec::new(), 0_u64);
        for place in &always {
            let Some(page) = Page::of(self, *place) else { continue };
            let is_own = own.contains(place);
            statements
                .extend(page.parts().flat_map(|(at, node, statement)| left(&page, usage, is_own, at, node, statement)));
            accesses = accesses.saturating_add(usage.count_of(*place));
        }
        let others = always.union(&usage.documents()).filter(|place| !own.contains(place)).copied().collect();
        let name = self.name_for(who);
        Suggestion {
            path: format!("documents/{name}.json"),
            text: (!statements.is_empty()).then(|| document(statements)),
            accesses,
            who: Some(who.clone()),
            keeps: self.kept(&others),
        }
    }

    /// The documents that are attached to a principal itself.
    fn own(&self, who: &Principal) -> BTreeSet<u32> {
        let is_own = |place: &u32| self.subjects().attached_to(*place).iter().any(|name| name == who.as_str());
        (0..).zip(self.documents()).map(|(place, _)| place).filter(is_own).collect()
    }

    fn kept(&self, places: &BTreeSet<u32>) -> Vec<Kept> {
        let kept = places.iter().filter_map(|place| {
            let document = self.document(*place)?.name.to_string();
            Some(Kept { document, to: self.subjects().attached_to(*place) })
        });
        kept.collect()
    }

    /// A name that no document has, or one that is attached to the principal and to nobody else.
    fn name_for(&self, who: &Principal) -> String {
        let fits = |c: char| c.is_ascii_alphanumeric() || "+=,.@_-".contains(c);
        let text: String = who.as_str().chars().map(|c| if fits(c) { c } else { '-' }).take(NAME_MAX).collect();
        let base = format!("least-{text}");
        let is_free = |name: &String| {
            let known = (0..).zip(self.documents()).find(|(_, document)| *document.name == **name);
            known.is_none_or(|(place, _)| {
                self.subjects().attached_to(place) == [who.as_str()] && !self.subjects().is_boundary(place)
            })
        };
        let further = (2_u32..).map(|number| format!("{base}-{number}"));
        let mut names = std::iter::once(base.clone()).chain(further);
        names.find(is_free).unwrap_or(base)
    }
}

/// What is left of one statement.
fn left(page: &Page<'_>, usage: &Usage, is_own: bool, at: u32, node: &Node, statement: &Statement) -> Vec<Node> {
    match usage.of(page.place, at) {
        Some(used) if may_go(statement) => narrowed(node, statement, used),
        None if may_go(statement) => Vec::new(),
        _ if is_own => vec![node.clone()],
        _ => Vec::new(),
    }
}

fn document(mut statements: Vec<Node>) -> String {
    let mut seen = BTreeSet::new();
    // Two documents may say the same.
    statements.retain(|statement| seen.insert(statement.file_text()));
    let version = Member::new("version", Node::new(Value::String("2.0".to_owned())));
    let statements = Member::new("statement", Node::new(Value::List(statements)));
    Node::new(Value::Object(vec![version, statements])).file_text()
}
