//! Reading the files of a policy set: all of them, whatever is wrong with the first, so that every finding comes at
//! once.

use std::collections::{BTreeMap, HashSet};

use super::attachments::{Attachments, Known, Limits, Sheddable, check_sheddable};
use super::document::Document;
use super::finding::{Code, Finding, Findings};
use super::folder::FileKind;
use super::role::{self, Trust};
use super::{PolicyFile, Settings};
use crate::principal::{Kind, LOCAL, Principal};

/// What was read; a set only if there are no findings.
#[derive(Debug)]
pub(super) struct Read<'a> {
    settings: &'a Settings,
    /// Sorted by file and place.
    pub(super) findings: Vec<Finding>,
    /// The files of the revision, sorted by path bytes.
    pub(super) files: Vec<PolicyFile>,
    /// Sorted by name bytes.
    pub(super) documents: Vec<Document>,
    pub(super) attachments: Attachments,
    /// The roles of the folder.
    pub(super) roles: BTreeMap<Principal, Trust>,
}

impl<'a> Read<'a> {
    /// Reads and checks the files of a set.
    pub(super) fn files(files: &[PolicyFile], settings: &'a Settings) -> Self {
        let mut read = Self {
            settings,
            findings: Vec::new(),
            files: Vec::new(),
            documents: Vec::new(),
            attachments: Attachments::default(),
            roles: BTreeMap::new(),
        };
        read.files = read.read(files);
        read.findings.sort();
        read
    }

    fn refuse(&mut self, path: &str, code: Code, message: &str) {
        let mut findings = Findings::of(path);
        findings.add_file(code, path, message);
        self.findings.extend(findings.into_list());
    }

    /// Reads all files; those that are part of the revision come back, sorted by path bytes.
    fn read(&mut self, files: &[PolicyFile]) -> Vec<PolicyFile> {
        let mut kept: Vec<PolicyFile> = Vec::new();
        for file in files {
            match FileKind::of(&file.path) {
                Ok(kind) if kind.is_of_the_set() => kept.push(file.clone()),
                Ok(_) => {}
                Err(message) => self.refuse(&file.path, Code::PolicyNameError, message),
            }
        }
        kept.sort_by(|a, b| a.path.as_bytes().cmp(b.path.as_bytes()));
        self.refuse_repeated(&kept);
        self.read_principals(&kept);
        let known = self.read_documents(&kept);
        self.check_policies(&known);
        self.documents.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
        kept
    }

    fn refuse_repeated(&mut self, kept: &[PolicyFile]) {
        for (file, next) in kept.iter().zip(kept.iter().skip(1)) {
            if file.path == next.path {
                self.refuse(&file.path, Code::PolicyNameError, "the file is given twice");
            }
        }
    }

    /// Reads attachments and roles, which name principals.
    fn read_principals(&mut self, kept: &[PolicyFile]) {
        let roles = kept.iter().filter_map(|file| match FileKind::of(&file.path) {
            Ok(FileKind::Role(name)) => Principal::qualified(Kind::Role, LOCAL, name).ok(),
            _ => None,
        });
        let mut known = Known { settings: self.settings, local: roles.collect() };
        for file in kept.iter().filter(|file| file.path == "attachments.json") {
            let (attachments, findings) = Attachments::parse(file, &mut known);
            self.attachments = attachments;
            self.findings.extend(findings);
        }
        for file in kept {
            let Ok(FileKind::Role(name)) = FileKind::of(&file.path) else { continue };
            match (role::read(file, &known, self.settings), Principal::qualified(Kind::Role, LOCAL, name)) {
                (Ok(trust), Ok(role)) => drop(self.roles.insert(role, trust)),
                (Ok(_), Err(_)) => {}
                (Err(findings), _) => self.findings.extend(findings),
            }
        }
    }

    /// Parses the documents; the names of all of them come back, of refused ones too.
    fn read_documents(&mut self, kept: &[PolicyFile]) -> HashSet<String> {
        let mut names = HashSet::new();
        for file in kept {
            let Ok(FileKind::Document(name)) = FileKind::of(&file.path) else {
                continue;
            };
            names.insert(name.to_owned());
            match Document::parse(file, name, self.settings) {
                Ok(document) => self.documents.push(document),
                Err(findings) => self.findings.extend(findings),
            }
        }
        names
    }

    /// Refuses attachments of documents that do not exist, and limits that a token could shed.
    fn check_policies(&mut self, names: &HashSet<String>) {
        let mut findings = Findings::of("attachments.json");
        for attachment in self.attachments.attachments.iter().chain(&self.attachments.boundaries) {
            if !names.contains(&attachment.policy.text) {
                let message = "`documents` has no policy of this name";
                findings.add(attachment.policy.at, Code::PolicyIdNotExist, &attachment.policy.text, message);
            }
        }
        let denying: HashSet<&str> = self.documents.iter().filter(|d| d.denies()).map(|d| &*d.name).collect();
        let denies = self.attachments.attachments.iter().filter(|a| denying.contains(a.policy.text.as_str()));
        let denies = denies.map(|attachment| Limits { attachment, what: "deny" });
        let boundaries = self.attachments.boundaries.iter().map(|attachment| Limits { attachment, what: "boundary" });
        let limits: Vec<Limits<'_>> = denies.chain(boundaries).collect();
        let sheddable = Sheddable::of(&self.attachments, self.settings);
        check_sheddable(&sheddable, &limits, &mut findings);
        self.findings.extend(findings.into_list());
        self.findings.extend(self.roles.values().flat_map(|trust| trust.check_sheddable(&sheddable)));
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
