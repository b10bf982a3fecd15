//! What one set allows: the comparison with a set that allows nothing. Who may do an action, and what somebody may do; each line
//! with the circumstances, and a request that the set has allowed.

use super::callers::{Base, Population, Who};
use super::compare::Asked;
use super::lines::{Line, Lines};
use super::sides::{On, Variant};
use super::{Comparer, DiffError};
use crate::actions::Action;
use crate::authz::Settings;
use crate::authz::set::PolicySet;
use crate::principal::{Kind, LOCAL, Principal};
use crate::resource::{CreatorNumber, SecretName};

/// A secret that is asked about.
#[derive(Clone, Copy, Debug)]
pub struct SecretAsked<'a> {
    /// Its name.
    pub name: &'a SecretName,
    /// Who made it, if that is known; else every creator counts, and that there may be no such secret.
    pub creator: Option<CreatorNumber>,
}

/// Who may do `action`; on `secret`, if it is on secrets and one is given. `number` knows creator numbers, if anybody does.
///
/// # Errors
/// [`DiffError`] if it cannot be said exactly.
pub fn who_can(
    set: &PolicySet,
    action: &'static Action,
    secret: Option<SecretAsked<'_>>,
    number: &dyn Fn(&Principal) -> Option<u64>,
) -> Result<Vec<Line>, DiffError> {
    Ground::of(set)?.ask(number, |comparer| {
        comparer.secret = secret.map(|asked| Asked {
            name: asked.name.as_str().to_owned(),
            creator: asked.creator.map(CreatorNumber::get),
        });
        let all = Variant::all(&comparer.population.roles);
        let of_action = all.into_iter().filter(|variant| variant.action.operation == action.operation);
        // A secret was named: what needs none is another question.
        let fits = |variant: &Variant| secret.is_none() || matches!(variant.on, On::Secret | On::Creation);
        of_action.filter(fits).try_for_each(|variant| comparer.variant(&variant))
    })
}

/// What a principal may do whose token has these groups and roles: a user; whoever has this group or role of a token; a service; a
/// session of a role of the folder, whoever took it.
///
/// # Errors
/// [`DiffError`] if it cannot be said exactly.
pub fn what_can(
    set: &PolicySet,
    principal: &Principal,
    with: &[&Principal],
    number: &dyn Fn(&Principal) -> Option<u64>,
) -> Result<Vec<Line>, DiffError> {
    Ground::of(set)?.ask(number, |comparer| {
        for base in bases(set, principal, comparer.population) {
            let own = is_subject(principal).then_some(principal);
            let who = Who::of(base).and(&own.into_iter().chain(with.iter().copied()).collect::<Vec<_>>());
            for variant in Variant::all(&comparer.population.roles) {
                let both = comparer.both(&who, &variant)?;
                comparer.report(&who, &variant, vec![both])?;
            }
        }
        Ok(())
    })
}

/// Whether something may be said of a principal that a caller is beside its base: its name, or a group or role of its token.
fn is_subject(principal: &Principal) -> bool {
    principal.issuer().is_some_and(|issuer| issuer != LOCAL)
}

/// What a principal can ask as.
fn bases(set: &PolicySet, principal: &Principal, population: &Population) -> Vec<Base> {
    match (principal.kind(), principal.issuer()) {
        (Kind::Service, _) => vec![Base::Service(principal.clone())],
        (Kind::Role, Some(LOCAL)) => {
            let trusted = |role: &Principal, service: &Principal| set.role_trusts(role, service) == Some(true);
            let of_role = |base: &Base| match base {
                Base::Session(role, _) | Base::Work(role, _) => role == principal,
                _ => false,
            };
            population.bases(&trusted).into_iter().filter(of_role).collect()
        }
        (_, Some(issuer)) => vec![Base::Issuer(issuer.to_owned())],
        (_, None) => Vec::new(),
    }
}

/// A set, and one that allows nothing under the same settings.
struct Ground<'a> {
    set: &'a PolicySet,
    nothing: PolicySet,
    account: String,
    population: Population,
}

impl<'a> Ground<'a> {
    fn of(set: &'a PolicySet) -> Result<Self, DiffError> {
        let settings = Settings::of_revision(set.config_frame()).ok_or(DiffError::Places)?;
        let nothing = PolicySet::load(&[], &settings).map_err(|_| DiffError::Places)?;
        let issuers: Vec<String> = settings.issuers.iter().map(|issuer| issuer.name.clone()).collect();
        let population = Population::of([&nothing, set], &issuers);
        Ok(Self { set, nothing, account: settings.place.account, population })
    }

    fn ask(
        &self,
        number: &dyn Fn(&Principal) -> Option<u64>,
        ask: impl FnOnce(&mut Comparer<'_>) -> Result<(), DiffError>,
    ) -> Result<Vec<Line>, DiffError> {
        let mut comparer = Comparer::new([&self.nothing, self.set], &self.account, &self.population, number);
        comparer.lines = Lines::apart();
        ask(&mut comparer)?;
        Ok(comparer.lines.finished())
    }
}
