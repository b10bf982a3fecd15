//! Names that differ only in letter case: of secrets (W13), and of policies, roles, groups and principals (W16). Letter
//! case counts everywhere, so two such names are two things, and one of them is most often a slip.

use std::collections::BTreeMap;

use super::warning::{Rule, Spot, Warnings};
use super::written::{Page, Written};
use super::{Reach, Surroundings};
use crate::authz::attachments::{Attachment, Placed};

/// What is called so, and where it is.
type Uses<'a> = BTreeMap<&'a str, Vec<Spot<'a>>>;

/// The names of one kind, by what they are without letter case.
#[derive(Default)]
struct Names<'a>(BTreeMap<String, Uses<'a>>);

impl<'a> Names<'a> {
    fn add(&mut self, name: &'a str, spot: Spot<'a>) {
        self.0.entry(name.to_ascii_lowercase()).or_default().entry(name).or_default().push(spot);
    }

    /// Warns at each name that is spelled like this less often than another way.
    fn report(&self, rule: Rule, what: &str, warnings: &mut Warnings) {
        for uses in self.0.values().filter(|uses| uses.len() > 1) {
            // The one that is used most; of several the one with small letters, which sort last.
            let usual = uses.iter().max_by_key(|(name, spots)| (spots.len(), *name));
            let Some((usual, first)) = usual.and_then(|(name, spots)| Some((*name, spots.first()?))) else { continue };
            let others = uses.iter().filter(|(name, _)| **name != usual).flat_map(|(_, spots)| spots);
            for spot in others {
                let message = format!(
                    "differs only in letter case from the {what} `{usual}` ({}:{}), which is another one: write that, if \
                     it is meant",
                    first.file, first.at.line
                );
                warnings.add(rule, *spot, message);
            }
        }
    }
}

/// The name pattern of a secret's resource, as written.
fn name_of(resource: &str) -> Option<&str> {
    let last = resource.splitn(6, ':').nth(5)?;
    let (_, name) = last.strip_prefix("secret/creatorUin/")?.split_once('/')?;
    Some(name)
}

pub(super) fn check_secrets(statements: &[Written<'_>], surroundings: &Surroundings, warnings: &mut Warnings) {
    let mut names = Names::default();
    for statement in statements {
        for (_, node) in &statement.resources {
            let Some(name) = node.as_str().and_then(name_of) else { continue };
            names.add(name, statement.spot_at(node));
            if let Some(secret) = twin(name, &surroundings.secrets) {
                let message =
                    format!("differs only in letter case from the secret `{secret}`, which this does not match");
                warnings.add(Rule::SecretNameCase, statement.spot_at(node), message);
            }
        }
    }
    names.report(Rule::SecretNameCase, "name", warnings);
}

/// An existing secret that has nearly this name, if none has it.
fn twin<'a>(name: &str, secrets: &'a [String]) -> Option<&'a String> {
    if name.contains(['*', '$']) || secrets.iter().any(|secret| secret == name) {
        return None;
    }
    secrets.iter().find(|secret| secret.eq_ignore_ascii_case(name))
}

pub(super) fn check_folder(pages: &[Page], reach: &Reach<'_>, warnings: &mut Warnings) {
    let (mut files, mut principals) = (Names::default(), Names::default());
    for page in pages {
        files.add(&page.path, page.start());
        for node in page.principals() {
            let Some(text) = node.as_str() else { continue };
            principals.add(text, Spot { file: &page.path, at: node.at, text, statement: None });
        }
    }
    for group in &reach.attachments.groups {
        let text = group.principal.as_str();
        principals
            .add(text, Spot { file: "attachments.json", at: group.at, text: group.principal.name(), statement: None });
        add_all(&mut principals, &group.members);
    }
    let all = reach.attachments.attachments.iter().chain(&reach.attachments.boundaries);
    all.for_each(|attachment: &Attachment| add_all(&mut principals, &attachment.to));
    files.report(Rule::NameCase, "file", warnings);
    principals.report(Rule::NameCase, "principal", warnings);
}

fn add_all<'a, T>(names: &mut Names<'a>, placed: &'a [Placed<T>]) {
    for one in placed {
        names.add(&one.text, Spot { file: "attachments.json", at: one.at, text: &one.text, statement: None });
    }
}
