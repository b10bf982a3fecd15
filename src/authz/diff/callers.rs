//! Who may ask, as far as two policy sets tell callers apart.
//!
//! A caller is a base (somebody of an issuer, a session of a role, a service at work) with subjects beside it: its own name,
//! groups and roles. For one request what an answer needs of those subjects is at most an allow for each layer that must have
//! one, and one deny or boundary that refuses: the rest of them can be taken away without changing either answer. So
//! callers of few subjects show every change that there is for any caller.

use std::collections::BTreeSet;

use crate::authz::attachments::SERVICES;
use crate::authz::decision::{Caller, CredentialForm};
use crate::authz::set::PolicySet;
use crate::principal::{Kind, LOCAL, Principal};
use crate::resource::CreatorNumber;

/// What a caller is before any subject is added.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Base {
    /// Somebody of an issuer of which neither set says anything: whoever `everyone` means.
    Everyone(String),
    /// Somebody of this issuer.
    Issuer(String),
    /// A session of a role, which somebody of this issuer took.
    Session(Principal, String),
    /// A role that a service took.
    Work(Principal, Principal),
    /// keyward itself.
    Service(Principal),
}

/// A caller: a base, and the subjects that it is beside it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Who {
    /// What it is.
    pub base: Base,
    /// Its own name, and groups and roles that its credential holds; of a session those of whoever took the role.
    pub with: BTreeSet<Principal>,
}

impl Who {
    pub(super) fn of(base: Base) -> Self {
        Self { base, with: BTreeSet::new() }
    }

    pub(super) fn and(&self, more: &[&Principal]) -> Self {
        let mut with = self.with.clone();
        with.extend(more.iter().map(|one| (*one).clone()));
        Self { base: self.base.clone(), with }
    }

    /// The user that it is by name.
    pub(super) fn user(&self) -> Option<&Principal> {
        self.with.iter().find(|one| one.kind() == Kind::User)
    }

    /// The issuer of whoever asks, or took the role.
    pub(super) fn issuer(&self) -> Option<&str> {
        match &self.base {
            Base::Everyone(issuer) | Base::Issuer(issuer) | Base::Session(_, issuer) => Some(issuer),
            Base::Work(..) | Base::Service(_) => None,
        }
    }

    /// A caller that is exactly this.
    pub(super) fn example(&self, named: &BTreeSet<Principal>) -> Example {
        let of = |kind: Kind| self.with.iter().filter(|one| one.kind() == kind).cloned().collect::<Vec<_>>();
        let mut example = Example {
            principal: Principal::engine(),
            groups: Vec::new(),
            roles: Vec::new(),
            restricted: Vec::new(),
            form: Form::Token,
        };
        match &self.base {
            Base::Everyone(issuer) | Base::Issuer(issuer) => {
                example.principal = self.user().cloned().unwrap_or_else(|| somebody(issuer, named));
                (example.groups, example.roles) = (of(Kind::Group), of(Kind::Role));
            }
            Base::Session(role, issuer) => {
                example.principal = role.clone();
                example.restricted = self.with.iter().cloned().collect();
                example.form = Form::Session(Some(issuer.clone()));
            }
            Base::Work(role, service) => {
                example.principal = role.clone();
                example.restricted = vec![service.clone()];
                example.form = Form::Session(None);
            }
            Base::Service(service) => example.principal = service.clone(),
        }
        example
    }
}

/// A user of an issuer whom nothing names.
fn somebody(issuer: &str, named: &BTreeSet<Principal>) -> Principal {
    let name = |number: usize| if number == 0 { "somebody".to_owned() } else { format!("somebody-{number}") };
    let mut users = (0..=named.len()).filter_map(|n| Principal::qualified(Kind::User, issuer, &name(n)).ok());
    users.find(|user| !named.contains(user)).unwrap_or_else(Principal::engine)
}

/// How an example proves who it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// By a bearer token.
    Token,
    /// By a session's key; with the issuer of whoever took the role.
    Session(Option<String>),
}

/// A caller that owns its parts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Example {
    /// The principal; in a session, the role.
    pub principal: Principal,
    /// Groups of its token.
    pub groups: Vec<Principal>,
    /// Roles of its token.
    pub roles: Vec<Principal>,
    /// What restricts a session.
    pub restricted: Vec<Principal>,
    /// How it proves who it is.
    pub form: Form,
}

impl Example {
    /// As policy is asked.
    #[must_use]
    pub fn caller(&self, creator: CreatorNumber) -> Caller<'_> {
        Caller {
            principal: &self.principal,
            groups: &self.groups,
            roles: &self.roles,
            restricted: &self.restricted,
            creator,
            form: match &self.form {
                Form::Token => CredentialForm::Token,
                Form::Session(issuer) => CredentialForm::Session { assumed_issuer: issuer.as_deref() },
            },
        }
    }
}

/// Everybody whom one of two sets names.
#[derive(Debug)]
pub(super) struct Population {
    /// Principals of issuers, and services.
    pub(super) named: BTreeSet<Principal>,
    /// Roles of either folder.
    pub(super) roles: BTreeSet<Principal>,
    issuers: BTreeSet<String>,
    named_issuers: BTreeSet<String>,
}

impl Population {
    /// `issuers` are the configured ones.
    pub(super) fn of(sets: [&PolicySet; 2], issuers: &[String]) -> Self {
        let named: BTreeSet<Principal> = sets.iter().flat_map(|set| set.subjects().named()).cloned().collect();
        let named_issuers: BTreeSet<String> =
            sets.iter().flat_map(|set| set.subjects().issuers()).map(str::to_owned).collect();
        let of_principals = named.iter().filter_map(Principal::issuer).filter(|name| *name != LOCAL);
        let mut all: BTreeSet<String> = of_principals.map(str::to_owned).collect();
        all.extend(issuers.iter().chain(&named_issuers).cloned());
        let local = named.iter().filter(|one| one.kind() == Kind::Role && one.issuer() == Some(LOCAL));
        let roles = sets.iter().flat_map(|set| set.roles()).chain(local).cloned().collect();
        Self { roles, issuers: all, named_issuers, named }
    }

    /// Whoever `everyone` means and nothing else; there may be nobody.
    pub(super) fn everyone(&self) -> Option<Base> {
        self.issuers.difference(&self.named_issuers).next().cloned().map(Base::Everyone)
    }

    /// Every base but `everyone`, of issuers first; `trusted` says whether a service may take a role.
    pub(super) fn bases(&self, trusted: &dyn Fn(&Principal, &Principal) -> bool) -> Vec<Base> {
        let mut bases: Vec<Base> = self.issuers.iter().cloned().map(Base::Issuer).collect();
        for role in &self.roles {
            bases.extend(self.issuers.iter().map(|issuer| Base::Session(role.clone(), issuer.clone())));
            let services = SERVICES.iter().filter_map(|name| Principal::parse(&format!("service/{name}")).ok());
            let taking = services.filter(|service| trusted(role, service));
            bases.extend(taking.map(|service| Base::Work(role.clone(), service)));
        }
        bases.extend(self.services().cloned().map(Base::Service));
        bases
    }

    fn services(&self) -> impl Iterator<Item = &Principal> {
        self.named.iter().filter(|one| one.kind() == Kind::Service)
    }

    /// Subjects that a caller of a base may be beside it.
    pub(super) fn beside(&self, base: &Base) -> Vec<&Principal> {
        let issuer = match base {
            Base::Issuer(issuer) | Base::Everyone(issuer) | Base::Session(_, issuer) => issuer,
            Base::Work(..) | Base::Service(_) => return Vec::new(),
        };
        let in_session = matches!(base, Base::Session(..));
        let fits = |one: &&Principal| one.issuer() == Some(issuer) && (one.kind() != Kind::User || !in_session);
        self.named.iter().filter(fits).collect()
    }

    /// Whether nothing is said of an issuer: its callers are whom `everyone` means.
    #[cfg(test)]
    pub(super) fn everyone_is(&self, issuer: &str) -> bool {
        !self.named_issuers.contains(issuer)
    }

    /// The subjects of named users of an issuer.
    pub(super) fn users(&self, issuer: &str) -> impl Iterator<Item = &Principal> {
        self.named.iter().filter(move |one| one.kind() == Kind::User && one.issuer() == Some(issuer))
    }
}
