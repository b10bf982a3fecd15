//! Whom a policy folder names: for a folder that is looked at without the configuration it belongs to, and for the
//! numbers of those that it knows.

use std::collections::BTreeSet;

use super::json::{self, AUTHORS_DEPTH_MAX, Node, Value};
use super::{IssuerRule, PolicyFile, Settings};
use crate::actions::CATALOGUE;
use crate::principal::{LOCAL, Principal, check_issuer_name};
use crate::resource::Place;

/// The principals and issuers that stand anywhere in a folder, whether or not it loads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    /// Principals of any kind.
    pub principals: BTreeSet<Principal>,
    /// Issuers, `local` not among them.
    pub issuers: BTreeSet<String>,
}

impl Named {
    /// Looks through all files.
    #[must_use]
    pub fn of(files: &[PolicyFile]) -> Self {
        let mut named = Self::default();
        for file in files {
            if let Ok(node) = json::read_nested(&file.bytes, AUTHORS_DEPTH_MAX) {
                named.look(&node);
            }
        }
        named
    }

    fn look(&mut self, node: &Node) {
        match &node.value {
            Value::String(text) => self.text(text),
            Value::List(list) => list.iter().for_each(|node| self.look(node)),
            Value::Object(members) => members.iter().for_each(|member| self.look(&member.node)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn text(&mut self, text: &str) {
        if let Ok(principal) = Principal::parse(text) {
            self.issuers.extend(principal.issuer().filter(|issuer| *issuer != LOCAL).map(str::to_owned));
            self.principals.insert(principal);
        }
        let issuer = text.strip_prefix("issuer/").or_else(|| text.strip_prefix("oidc-provider/"));
        self.issuers.extend(issuer.filter(|name| check_issuer_name(name).is_ok()).map(str::to_owned));
    }
}

impl Settings {
    /// These settings with the issuers that a folder names, as if all of them required groups: for a folder that is looked
    /// at without the configuration it belongs to.
    #[must_use]
    pub fn assumed(place: Place, document_characters_max: usize, files: &[PolicyFile]) -> Self {
        let issuers = Named::of(files).issuers.into_iter();
        Self {
            place,
            issuers: issuers.map(|name| IssuerRule { name, groups_required: true }).collect(),
            foreign_services: Vec::new(),
            document_characters_max,
            catalogue: CATALOGUE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::file;
    use super::*;

    #[test]
    fn whoever_is_named_anywhere_is_found_and_nothing_else_is() {
        let attachments = r#"{"groups":{"g":["user/a/x","group/b/y"]},"attachments":[{"to":["issuer/c","everyone"]}]}"#;
        let role =
            r#"{"statement":[{"principal":{"federated":"oidc-provider/d","qcs":["role/local/r","service/ssm"]}}]}"#;
        let files = [file("attachments.json", attachments), file("roles/r.json", role), file("tests/t.json", "{")];
        let named = Named::of(&files);
        assert_eq!(named.issuers.iter().map(String::as_str).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
        let principals: Vec<&str> = named.principals.iter().map(Principal::as_str).collect();
        assert_eq!(principals, ["group/b/y", "role/local/r", "service/ssm", "user/a/x"]);
    }
}
