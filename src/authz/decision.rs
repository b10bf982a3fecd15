//! What is asked of policy and what it answers. Nothing outside these types may enter a decision, and all of it goes
//! into the record, so that the same question can be asked again years later (I4).

use std::collections::BTreeMap;

use super::session::SessionPolicy;
use crate::actions::{Action, ConditionKey};
use crate::principal::Principal;
use crate::resource::{CreatorNumber, SecretName};

/// How the caller proved who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialForm<'a> {
    /// A bearer token: its groups and roles count in full.
    Token,
    /// An access key of the principal. What its holder's token said at issue restricts only.
    AccessKey,
    /// A session of a role; the principal is that role.
    Session {
        /// The issuer of whoever assumed the role; it restricts only. `None` if a service did, which stands in
        /// [`Caller::restricted`] then and is not meant by `everyone`.
        assumed_issuer: Option<&'a str>,
    },
}

/// Who asks.
///
/// Groups and roles are those of token issuers. Principals of the issuer `local` in them are ignored: what the policy
/// folder itself defines is found by the policy set, from the principal and from these.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// The principal; in a session, the role.
    pub principal: &'a Principal,
    /// Groups that the credential holds. Those of a token count in full; those that were kept when an access key or session was
    /// issued, for denies and boundaries only.
    pub groups: &'a [Principal],
    /// Roles that the credential holds, which count as its groups do.
    pub roles: &'a [Principal],
    /// What else counts for denies and boundaries only: the service that took the role. Token groups and roles may stand here as
    /// well, and then only restrict whatever the form is.
    pub restricted: &'a [Principal],
    /// The creator number of `principal`; what `${uin}` stands for.
    pub creator: CreatorNumber,
    /// How it proved who it is.
    pub form: CredentialForm<'a>,
}

/// On what.
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// Nothing: the action is of operation level, or a search that names no secret.
    Operation,
    /// A secret: one that exists, one that a creation would make (creator = the caller's number), or one that does
    /// not exist.
    Secret {
        /// Whose it is. `None`: the secret does not exist, so its creator and tags are unknown.
        creator: Option<CreatorNumber>,
        /// Its name.
        name: &'a SecretName,
    },
    /// A key-encryption key.
    Key {
        /// Its id.
        id: &'a str,
    },
    /// The role that is to be taken, whether or not there is one of that name.
    Role {
        /// `role/local/<name>`.
        role: &'a Principal,
    },
}

/// The condition keys that a request has, each with its values. A key that is absent, or has no values, is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context {
    /// The values, as the record holds them: `qcs:current_time` in RFC 3339, tags as `key&value`, and so on.
    pub values: BTreeMap<ConditionKey, Vec<String>>,
}

/// One thing to decide.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Who.
    pub caller: Caller<'a>,
    /// What.
    pub action: &'static Action,
    /// On what.
    pub target: Target<'a>,
    /// In which circumstances.
    pub context: &'a Context,
    /// The policy that a temporary key was narrowed by, if any: a layer of its own.
    pub session_policy: Option<&'a SessionPolicy>,
}

/// Which of the ANDed layers a statement decided in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// Policies attached to the caller, its groups and roles.
    Identity,
    /// Permission boundaries that reach the caller.
    Boundary,
    /// The session policy.
    Session,
    /// The trust policy of the role that is asked for.
    Trust,
}

impl Layer {
    /// As records write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Boundary => "boundary",
            Self::Session => "session",
            Self::Trust => "trust",
        }
    }
}

/// What a statement does when it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StatementEffect {
    /// Allows, unless something denies.
    Allow,
    /// Denies, whatever allows.
    Deny,
}

impl StatementEffect {
    /// As documents, casbin's rows and records write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

/// A statement that decided; or, on a default deny, a layer in which none did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecidingStatement {
    /// In which layer.
    pub layer: Layer,
    /// What it decided.
    pub effect: StatementEffect,
    /// Its document's name, in the layer `trust` the role's; `None` in the session layer and on a default deny.
    pub document: Option<String>,
    /// Its 0-based place in the document; `None` on a default deny.
    pub statement: Option<u32>,
}

/// Why policy says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A statement denies.
    Explicit,
    /// Some layer has no statement that allows.
    Default,
}

/// Why no decision could be reached. Each of them denies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A context value is not of its key's type.
    #[error("a context value is not of its key's type")]
    Context,
    /// The target is not one that the action can have.
    #[error("the target is not one that the action can have")]
    Target,
    /// The decision frame failed.
    #[error("the decision frame failed")]
    Frame,
    /// Evaluation panicked.
    #[error("evaluation panicked")]
    Panic,
}

/// What policy answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Allow,
    /// No.
    Deny(Reason),
    /// It could not be decided: no, and loudly.
    Error(Fault),
}

impl Verdict {
    /// The record's `decision`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny(_) => "deny",
            Self::Error(_) => "error",
        }
    }

    /// The record's `reason`; none for an allow.
    #[must_use]
    pub const fn reason(self) -> Option<&'static str> {
        match self {
            Self::Allow => None,
            Self::Deny(Reason::Explicit) => Some("explicit_deny"),
            Self::Deny(Reason::Default) => Some("default_deny"),
            Self::Error(_) => Some("policy_error"),
        }
    }
}

/// A decision with the statements it rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The answer.
    pub outcome: Verdict,
    /// The deciding statements in the order identity, boundary, session, trust, then document bytes, then statement:
    /// - an allow: for the identity, the session and the trust layer the first matching allow, and one for each boundary document;
    /// - an explicit deny: the first matching deny of each layer that has one;
    /// - a default deny: each layer that lacks an allow, without document and statement;
    /// - an error: none.
    pub layers: Vec<DecidingStatement>,
}
