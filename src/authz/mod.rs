//! Who may do what: Tencent Cloud's CAM policy language, decided through casbin.
//!
//! A policy folder is parsed whole ([`PolicySet::load`]): what is not understood is refused then, with every finding
//! at once, and never skipped when a request is decided. A decision ([`PolicySet::decide`]) selects the statements
//! attached to the caller that name the action, and lets casbin combine them under `policies/model.conf`; casbin's one
//! registered function decides resource and condition of one statement.
//!
//! Holds I5 (default deny, an explicit deny wins, what cannot be decided is denied), I6 (names are compared by bytes),
//! I10 (total), and the policy half of I4 (nothing but [`Question`] enters a decision). Nothing here is written to
//! disk: if the process dies, the folder is read again.

mod action_pattern;
mod attachments;
mod caller;
mod condition;
#[cfg(test)]
mod conformance_tests;
mod contents;
mod decision;
mod diff;
mod document;
mod engine;
#[cfg(test)]
mod example_tests;
mod explain;
mod facts;
mod finding;
mod folder;
mod json;
mod lint;
mod load;
mod named;
mod nearest;
mod operator;
#[cfg(test)]
mod oracle_tests;
mod pattern;
mod policy_test;
mod reads;
#[cfg(test)]
mod reference;
mod resource_pattern;
mod revision;
mod role;
mod schema;
mod session;
mod set;
mod spelling;
mod suggest;
#[cfg(test)]
mod testing;
mod value;
mod variable;

pub use contents::{Attachment, Contents};
pub use decision::{
    Caller, Context, CredentialForm, DecidingStatement, Decision, Fault, Layer, Question, Reason, StatementEffect,
    Target, Verdict,
};
pub use diff::{
    Base, Diff, DiffError, Direction, Example, Form, Line, RoleChange, Said, SecretAsked, Who, Witness, WitnessTarget,
    diff, what_can, who_can,
};
pub use explain::{Explanation, Part, WhyNot};
pub use finding::{Code, Finding};
pub use folder::{
    ENTRIES_MAX as FOLDER_ENTRIES_MAX, Owners, SNAPSHOT, is_of_the_set, read_folder, read_owned_folder, survey_folder,
};
pub use lint::{Lint, Rule, Statement, Surroundings, Waived, Warning, lint};
pub use named::Named;
pub use nearest::Remedy;
pub use policy_test::{Coverage, PolicyTest, PolicyTests, TestOutcome, grid};
pub use schema::SchemaKind;
pub use session::SessionPolicy;
pub use set::PolicySet;
pub use suggest::{Kept, Part as WildcardPart, Suggestion, Unused, Usage, Wildcard};

use crate::actions::Service;
use crate::resource::Place;

/// An issuer of tokens, as far as policy is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerRule {
    /// The name that qualifies its principals.
    pub name: String,
    /// Whether it refuses a token without a group claim. If not, no deny and no boundary may hang on its groups.
    pub groups_required: bool,
}

/// What of the configuration enters the load checks and the revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Region and account of this gateway.
    pub place: Place,
    /// The configured issuers.
    pub issuers: Vec<IssuerRule>,
    /// Services outside the catalogue whose statements are accepted and have no effect.
    pub foreign_services: Vec<String>,
    /// Longest document, in Unicode scalar values without white space; 6,144 by default.
    pub document_characters_max: usize,
    /// Version of the catalogue: the present one, or that of a stored revision.
    pub catalogue: u64,
}

/// One file of the policy folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFile {
    /// Relative to the folder, with `/`: `attachments.json`, `documents/<policy>.json`, `roles/<role>.json`.
    pub path: String,
    /// Its bytes, as they are.
    pub bytes: Vec<u8>,
}

impl Settings {
    /// Whether statements for a service are accepted without effect. A service of the catalogue never is: listing it
    /// must not switch its statements off.
    pub(crate) fn is_foreign(&self, service: &str) -> bool {
        Service::ALL.iter().all(|own| own.name() != service) && self.foreign_services.iter().any(|name| name == service)
    }
}
