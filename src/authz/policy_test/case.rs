//! One test: a request, whole, and the answer that is expected.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::actions::{Action, ConditionKey};
use crate::authz::json::Position;
use crate::authz::{
    Caller, Context, CredentialForm, DecidingStatement, Decision, Layer, PolicySet, Question, SessionPolicy, Settings,
    Target, Verdict,
};
use crate::principal::{Kind, Principal};
use crate::resource::{CreatorNumber, SecretName};

/// A request and the answer that is expected.
#[derive(Clone, Debug)]
pub struct PolicyTest {
    /// A sentence.
    pub name: String,
    /// The file, relative to the policy folder.
    pub file: String,
    pub(super) at: Position,
    pub(in crate::authz) who: Who,
    pub(in crate::authz) action: &'static Action,
    pub(in crate::authz) what: What,
    pub(super) session_policy: Option<Arc<SessionPolicy>>,
    pub(super) expect: Expected,
    /// The deciding statements, if stated.
    pub(super) by: Option<Vec<By>>,
}

/// The answer that is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Allow,
    Deny,
}

impl Expected {
    const fn name(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }

    const fn is(self, outcome: Verdict) -> bool {
        matches!((self, outcome), (Self::Allow, Verdict::Allow) | (Self::Deny, Verdict::Deny(_)))
    }
}

/// A deciding statement, or a layer in which none allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct By {
    pub(super) layer: Layer,
    pub(super) document: Option<String>,
    pub(super) statement: Option<u32>,
}

impl From<&DecidingStatement> for By {
    fn from(deciding: &DecidingStatement) -> Self {
        Self { layer: deciding.layer, document: deciding.document.clone(), statement: deciding.statement }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.layer.name())?;
        if let Some(document) = &self.document {
            write!(f, " {document}")?;
        }
        match self.statement {
            Some(place) => write!(f, " {place}"),
            None => f.write_str(" -"),
        }
    }
}

/// The deciding statements, each as layer, document and place; `-` for a layer in which none allows.
pub(super) fn deciding(decision: &Decision) -> Vec<By> {
    decision.layers.iter().map(By::from).collect()
}

/// Who asks, and in which circumstances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::authz) struct Who {
    pub(super) principal: Principal,
    pub(super) groups: Vec<Principal>,
    pub(super) roles: Vec<Principal>,
    pub(super) credential: Credential,
    pub(super) uin: CreatorNumber,
    /// All but what belongs to the resource.
    pub(super) context: BTreeMap<ConditionKey, Vec<String>>,
}

/// How the caller proved who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Credential {
    Token,
    AccessKey,
    /// Of a role that this principal took.
    Session(Principal),
}

impl Credential {
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::AccessKey => "access_key",
            Self::Session(_) => "session",
        }
    }
}

/// What the request is on, with its tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::authz) struct What {
    pub(super) resource: Resource,
    pub(super) tags: Vec<String>,
}

/// A resource as a test names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    Nothing,
    Secret(Creator, SecretName),
    Key(String),
    Role(Principal),
}

/// Whose a secret is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Creator {
    /// The caller's.
    Own,
    /// Nobody's: the secret does not exist.
    Missing,
    Number(CreatorNumber),
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("-"),
            Self::Secret(Creator::Own, name) => write!(f, "${{uin}}/{name}"),
            Self::Secret(Creator::Missing, name) => write!(f, "*/{name}"),
            Self::Secret(Creator::Number(number), name) => write!(f, "{number}/{name}"),
            Self::Key(id) => write!(f, "key/{id}"),
            Self::Role(role) => fmt::Display::fmt(role, f),
        }
    }
}

/// How a test came out.
#[derive(Clone, Debug)]
pub struct TestOutcome {
    /// Its name.
    pub name: String,
    /// The file, relative to the policy folder.
    pub file: String,
    /// 1-based line.
    pub line: u32,
    /// 1-based column.
    pub column: u32,
    /// `allow` or `deny`.
    pub expected: &'static str,
    /// The statements that should have decided, if stated, each as layer, document and place.
    pub expected_by: Option<Vec<String>>,
    /// `allow`, `deny` or `error`.
    pub decision: &'static str,
    /// The statements that decided.
    pub by: Vec<String>,
    /// Whether the answer is the expected one.
    pub passed: bool,
}

impl PolicyTest {
    /// Asks the test's question.
    pub(in crate::authz) fn ask<T>(&self, settings: &Settings, decide: impl FnOnce(&Question<'_>) -> T) -> T {
        ask(&self.who, self.action, &self.what, self.session_policy.as_deref(), settings, decide)
    }

    /// Decides the test and holds the answer against the expected one.
    pub(super) fn run(&self, set: &PolicySet, settings: &Settings) -> TestOutcome {
        self.judged(&self.ask(settings, |question| set.decide(question)))
    }

    /// Holds a decision against the expected answer.
    pub(in crate::authz) fn judged(&self, decision: &Decision) -> TestOutcome {
        let by = deciding(decision);
        let texts = |list: &[By]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
        TestOutcome {
            name: self.name.clone(),
            file: self.file.clone(),
            line: self.at.line,
            column: self.at.column,
            expected: self.expect.name(),
            expected_by: self.by.as_deref().map(texts),
            decision: decision.outcome.name(),
            by: texts(&by),
            passed: self.expect.is(decision.outcome) && self.by.as_ref().is_none_or(|wanted| *wanted == by),
        }
    }
}

/// Asks a question of these parts.
pub(in crate::authz) fn ask<T>(
    who: &Who,
    action: &'static Action,
    what: &What,
    session_policy: Option<&SessionPolicy>,
    settings: &Settings,
    decide: impl FnOnce(&Question<'_>) -> T,
) -> T {
    let target = match &what.resource {
        Resource::Nothing => Target::Operation,
        Resource::Secret(creator, name) => Target::Secret { creator: who.creator_of(*creator), name },
        Resource::Key(id) => Target::Key { id },
        Resource::Role(role) => Target::Role { role },
    };
    let (kept, context) = (who.kept(), who.context(action, what, &settings.place.account));
    decide(&Question { caller: who.caller(&kept), action, target, context: &context, session_policy })
}

impl Who {
    const fn creator_of(&self, creator: Creator) -> Option<CreatorNumber> {
        match creator {
            Creator::Own => Some(self.uin),
            Creator::Missing => None,
            Creator::Number(number) => Some(number),
        }
    }

    /// What a credential that is no token kept of one; and the service that took the role.
    fn kept(&self) -> Vec<Principal> {
        if self.credential == Credential::Token {
            return Vec::new();
        }
        let mut kept = [self.groups.clone(), self.roles.clone()].concat();
        if let Credential::Session(by) = &self.credential
            && by.kind() == Kind::Service
        {
            kept.push(by.clone());
        }
        kept
    }

    fn caller<'a>(&'a self, kept: &'a [Principal]) -> Caller<'a> {
        let (principal, creator) = (&self.principal, self.uin);
        let form = match &self.credential {
            Credential::Token => CredentialForm::Token,
            Credential::AccessKey => CredentialForm::AccessKey,
            Credential::Session(by) => CredentialForm::Session { assumed_issuer: by.issuer() },
        };
        let (groups, roles): (&[Principal], &[Principal]) =
            if form == CredentialForm::Token { (&self.groups, &self.roles) } else { (&[], &[]) };
        Caller { principal, groups, roles, restricted: kept, creator, form }
    }

    /// The keys that the action has: those stated, and those that follow from caller, account and resource.
    fn context(&self, action: &Action, what: &What, account: &str) -> Context {
        let mut values = self.context.clone();
        values.insert(ConditionKey::Uin, vec![self.uin.to_string()]);
        values.insert(ConditionKey::OwnerUin, vec![account.to_owned()]);
        values.insert(ConditionKey::OidcSubject, vec![self.principal.name().to_owned()]);
        values.entry(ConditionKey::TargetUin).or_insert_with(|| vec![self.uin.to_string()]);
        if let Resource::Secret(creator, _) = &what.resource
            && let Some(creator) = self.creator_of(*creator)
        {
            values.insert(ConditionKey::CreateUin, vec![creator.to_string()]);
            values.insert(ConditionKey::ResourceTag, what.tags.clone());
        }
        values.retain(|key, list| action.has_key(*key) && !list.is_empty());
        Context { values }
    }
}
