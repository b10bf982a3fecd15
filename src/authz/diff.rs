//! What one policy set allows and another does not, by meaning: every request that there can be is compared, in classes of
//! requests that neither set tells apart. Who may ask: `callers`; what each set says of it: `sides`; the names and numbers that
//! patterns tell apart: `strings`, `numbers`; circumstances: `values`; the comparison: `formula`, `compare`; and how it is told:
//! `cubes`, `lines`. Why this is exact: docs/adr/0009.
//!
//! Every line carries a request that both sets have decided, each by [`PolicySet::decide`], before the line is told. Where there is too
//! much to compare, nothing is told but that. Nothing here is written to disk.

mod allowed;
mod callers;
mod compare;
mod cubes;
mod formula;
mod lines;
mod numbers;
mod sides;
mod strings;
mod values;

use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use self::callers::Population;
use self::compare::{Comparison, Difference};
use self::lines::{Lines, Witnessing};
use self::sides::{Parts, Statements, Variant, is_one};
use super::decision::Fault;
use super::set::PolicySet;
use super::{Settings, attachments};
use crate::principal::{Kind, Principal};

pub use self::allowed::{SecretAsked, what_can, who_can};
pub use self::callers::{Base, Example, Form, Who};
pub use self::formula::Direction;
pub use self::lines::{Line, Said, Witness, WitnessTarget};

/// Most combinations of subjects that are compared for one base and action.
const COMBINATIONS_MAX: usize = 200_000;

/// Why there is too much to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Exhausted(&'static str);

/// Why two sets cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// They are of gateways of different regions or accounts.
    #[error("they are of gateways of different regions or accounts: no request is the same to both")]
    Places,
    /// Exactness would take too long; nothing is said rather than a part.
    #[error("it cannot be said exactly what changes for `{who}` and `{action}`: {why}")]
    Exhausted {
        /// The caller.
        who: String,
        /// The action.
        action: String,
        /// What there is too much of.
        why: Exhausted,
    },
    /// A decision could not be reached.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// A line whose request both sets decide alike: a defect of the comparison.
    #[error("internal: the comparison found a change that is none: {0}")]
    Inconsistent(String),
}

/// Something that is no answer to a request: which services may take a role, and how long its sessions last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleChange {
    /// A service may take the role now, or no longer.
    Service {
        /// `role/local/<name>`.
        role: Principal,
        /// `service/<name>`.
        service: Principal,
        /// Which of the two.
        direction: Direction,
    },
    /// The longest session, in seconds, of a role that is in both sets.
    Session {
        /// `role/local/<name>`.
        role: Principal,
        /// Before.
        old_s: u64,
        /// Now.
        new_s: u64,
    },
}

impl RoleChange {
    /// Whether somebody gains by it.
    #[must_use]
    pub fn gains(&self) -> bool {
        match self {
            Self::Service { direction, .. } => *direction == Direction::Gains,
            Self::Session { old_s, new_s, .. } => new_s > old_s,
        }
    }
}

/// Everything that two sets decide differently.
#[derive(Debug)]
pub struct Diff {
    /// Gains first.
    pub lines: Vec<Line>,
    /// What of roles changes beside that.
    pub roles: Vec<RoleChange>,
}

impl Diff {
    /// Whether anyone may do anything that nobody let them do before.
    #[must_use]
    pub fn has_gains(&self) -> bool {
        self.lines.iter().any(|line| line.direction == Direction::Gains) || self.roles.iter().any(RoleChange::gains)
    }

    /// Whether both sets decide everything alike.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.roles.is_empty()
    }
}

/// Compares two sets. `number` knows the creator numbers of principals, if anybody does.
///
/// # Errors
/// [`DiffError`] if they cannot be compared, or not exactly.
pub fn diff(old: &PolicySet, new: &PolicySet, number: &dyn Fn(&Principal) -> Option<u64>) -> Result<Diff, DiffError> {
    let settings = [old, new].map(|set| Settings::of_revision(set.config_frame()));
    let [Some(old_settings), Some(new_settings)] = settings else { return Err(DiffError::Places) };
    if old_settings.place != new_settings.place {
        return Err(DiffError::Places);
    }
    let issuers: Vec<String> =
        old_settings.issuers.iter().chain(&new_settings.issuers).map(|issuer| issuer.name.clone()).collect();
    let population = Population::of([old, new], &issuers);
    let mut comparer = Comparer::new([old, new], &old_settings.place.account, &population, number);
    for variant in Variant::all(&population.roles) {
        comparer.variant(&variant)?;
    }
    Ok(Diff { lines: comparer.lines.finished(), roles: role_changes([old, new], &population) })
}

/// What of roles changes beside answers to requests.
fn role_changes([old, new]: [&PolicySet; 2], population: &Population) -> Vec<RoleChange> {
    let mut changes = Vec::new();
    let services: Vec<Principal> =
        attachments::SERVICES.iter().filter_map(|name| Principal::parse(&format!("service/{name}")).ok()).collect();
    for role in &population.roles {
        for service in &services {
            let trusted = |set: &PolicySet| set.role_trusts(role, service) == Some(true);
            let direction = match (trusted(old), trusted(new)) {
                (false, true) => Direction::Gains,
                (true, false) => Direction::Loses,
                _ => continue,
            };
            changes.push(RoleChange::Service { role: role.clone(), service: service.clone(), direction });
        }
        if let (Some(old_s), Some(new_s)) = (old.longest_session_s(role), new.longest_session_s(role))
            && old_s != new_s
        {
            changes.push(RoleChange::Session { role: role.clone(), old_s, new_s });
        }
    }
    changes
}

/// What both sets say of a subject.
#[derive(Clone)]
struct Both {
    old: Parts,
    new: Parts,
}

impl Both {
    fn and(&self, more: &Self) -> Self {
        Self { old: self.old.and(&more.old), new: self.new.and(&more.new) }
    }

    fn beyond(&self, less: &Self) -> Self {
        Self { old: self.old.beyond(&less.old), new: self.new.beyond(&less.new) }
    }

    fn says_something(&self) -> bool {
        self.old != Parts::default() || self.new != Parts::default()
    }

    /// Whether it holds denies or boundaries.
    fn refuses(&self) -> bool {
        self.old.refuses() || self.new.refuses()
    }

    fn changes(&self) -> bool {
        self.old != self.new
    }

    /// Whether one of the sets refuses by it what the other does not, perhaps.
    fn refuses_otherwise(&self) -> bool {
        self.old.refusals() != self.new.refusals()
    }
}

struct Comparer<'a> {
    sets: [&'a PolicySet; 2],
    account: &'a str,
    population: &'a Population,
    number: &'a dyn Fn(&Principal) -> Option<u64>,
    statements: Statements,
    known: HashMap<Comparison, Rc<Vec<Difference>>>,
    lines: Lines,
    /// The one secret that is asked about, if it is one.
    secret: Option<compare::Asked>,
}

impl<'a> Comparer<'a> {
    fn new(
        sets: [&'a PolicySet; 2],
        account: &'a str,
        population: &'a Population,
        number: &'a dyn Fn(&Principal) -> Option<u64>,
    ) -> Self {
        let (statements, known, lines) = (Statements::default(), HashMap::new(), Lines::default());
        Self { sets, account, population, number, statements, known, lines, secret: None }
    }

    /// Compares one action on one kind of thing, for everybody.
    fn variant(&mut self, variant: &Variant) -> Result<(), DiffError> {
        if variant.is_web() {
            return self.web(variant);
        }
        let everyone = match self.population.everyone() {
            Some(base) => {
                let who = Who::of(base);
                let both = self.both(&who, variant)?;
                self.report(&who, variant, vec![both.clone()])?;
                Some(both)
            }
            None => None,
        };
        for base in self.bases() {
            let below = everyone.clone().filter(|_| matches!(base, Base::Issuer(_) | Base::Session(..)));
            let subjects = self.population.beside(&base);
            self.base(&Who::of(base), subjects, variant, below)?;
        }
        Ok(())
    }

    /// The bases that can be: a service takes a role only if the role trusts it.
    fn bases(&self) -> Vec<Base> {
        let trusted = |role: &Principal, service: &Principal| {
            self.sets.iter().any(|set| set.role_trusts(role, service) == Some(true))
        };
        self.population.bases(&trusted)
    }

    /// A web identity is asked about by its subject: who it is cannot be taken away.
    fn web(&mut self, variant: &Variant) -> Result<(), DiffError> {
        for base in self.bases() {
            let Base::Issuer(issuer) = &base else { continue };
            let users: Vec<Principal> = self.population.users(issuer).cloned().collect();
            let subjects: Vec<&Principal> =
                self.population.beside(&base).into_iter().filter(|one| one.kind() != Kind::User).collect();
            self.base(&Who::of(base.clone()), subjects.clone(), variant, None)?;
            for user in &users {
                self.base(&Who::of(base.clone()).and(&[user]), subjects.clone(), variant, None)?;
            }
        }
        Ok(())
    }

    /// A base alone, and with the subjects that may be beside it: as many as can matter together.
    fn base(
        &mut self,
        base: &Who,
        subjects: Vec<&Principal>,
        variant: &Variant,
        below: Option<Both>,
    ) -> Result<(), DiffError> {
        let alone = self.both(base, variant)?;
        let least: Vec<Both> = below.into_iter().chain([alone.clone()]).collect();
        self.report(base, variant, least.iter().rev().cloned().collect())?;
        let mut bearing: Vec<(&Principal, Both)> = Vec::new();
        for subject in subjects {
            let who = base.and(&[subject]);
            let with = self.both(&who, variant)?;
            if with.beyond(&alone).says_something() {
                self.report(&who, variant, [std::slice::from_ref(&with), &least].concat())?;
                bearing.push((subject, with));
            }
        }
        // What restricts a session never allows: one of them is enough to refuse.
        if matches!(base.base, Base::Session(..)) {
            return Ok(());
        }
        let layers = if matches!(variant.on, sides::On::Role(_)) && !variant.is_web() { 2 } else { 1 };
        self.combinations(base, &bearing, variant, &least, layers)
    }

    /// Two subjects, of which one allows and the other refuses in one of the sets; three where two layers must allow, or two that
    /// allow together where the base refuses in one of the sets.
    fn combinations(
        &mut self,
        base: &Who,
        bearing: &[(&Principal, Both)],
        variant: &Variant,
        least: &[Both],
        layers: usize,
    ) -> Result<(), DiffError> {
        let Some(alone) = least.last() else { return Ok(()) };
        let places = |fits: &dyn Fn(&Both) -> bool| -> Vec<usize> {
            let fitting = bearing.iter().enumerate().filter(|(_, (_, with))| fits(&with.beyond(alone)));
            fitting.map(|(place, _)| place).collect()
        };
        let changed = places(&Both::changes);
        let refusing = places(&|beyond| beyond.changes() && beyond.refuses());
        let mut combinations: BTreeSet<Vec<usize>> = BTreeSet::new();
        if layers > 1 && alone.refuses_otherwise() {
            combinations.extend(granted_and_trusted(bearing, alone));
        }
        for first in 0..bearing.len() {
            // One that allows, and one that refused or refuses now.
            combinations.extend(refusing.iter().map(|second| sorted(&[first, *second])));
            if layers > 1 {
                combinations.extend(changed.iter().map(|second| sorted(&[first, *second])));
                for second in 0..bearing.len() {
                    combinations.extend(refusing.iter().map(|third| sorted(&[first, second, *third])));
                }
            }
            if combinations.len() > COMBINATIONS_MAX {
                return Err(exhausted(base, variant, Exhausted("too many groups combine")));
            }
        }
        combinations.retain(|combination| combination.len() > 1);
        // Smaller ones first: their parts are those of the larger ones.
        let mut combinations: Vec<Vec<usize>> = combinations.into_iter().collect();
        combinations.sort_by_key(Vec::len);
        for combination in combinations {
            let of: Vec<&(&Principal, Both)> = combination.iter().filter_map(|place| bearing.get(*place)).collect();
            let subjects: Vec<&Principal> = of.iter().map(|(subject, _)| *subject).collect();
            if is_one(&subjects) {
                let below = of.iter().map(|(_, with)| with.clone());
                let pairs = of.iter().enumerate().flat_map(|(place, (_, one))| {
                    of.iter().skip(place + 1).filter(|_| of.len() > 2).map(move |(_, next)| one.and(next))
                });
                let all = of.iter().fold(alone.clone(), |all, (_, with)| all.and(with));
                let sides = [all].into_iter().chain(pairs).chain(below).chain(least.iter().cloned()).collect();
                self.report(&base.and(&subjects), variant, sides)?;
            }
        }
        Ok(())
    }

    /// What both sets say of a caller.
    fn both(&mut self, who: &Who, variant: &Variant) -> Result<Both, Fault> {
        let caller = who.example(&self.population.named);
        let [old, new] = self.sets.map(|set| self.statements.parts(set, &caller, variant));
        Ok(Both { old: old?, new: new? })
    }

    /// Adds what changes for a caller and not for a caller of fewer subjects.
    fn report(&mut self, who: &Who, variant: &Variant, sides: Vec<Both>) -> Result<(), DiffError> {
        let sides = sides.iter().map(|both| (both.old.side(variant), both.new.side(variant))).collect();
        let subject = who.user().filter(|_| variant.is_web());
        let issuer = who.issuer().filter(|_| variant.is_web() && subject.is_none());
        let others = issuer.into_iter().flat_map(|issuer| self.population.users(issuer));
        let known = match &who.base {
            Base::Everyone(_) | Base::Issuer(_) => who.user().and_then(|user| (self.number)(user)),
            Base::Session(role, _) | Base::Work(role, _) => (self.number)(role),
            Base::Service(service) => (self.number)(service),
        };
        let comparison = Comparison {
            sides,
            variant: variant.clone(),
            uin: known,
            subject: subject.map(|user| user.name().to_owned()),
            others: others.map(|user| user.name().to_owned()).collect(),
            secret: self.secret.clone(),
        };
        for difference in self.differences(who, comparison)?.iter() {
            let witnessing = Witnessing { who, variant, account: self.account, population: self.population };
            let witness = witnessing.witness(&difference.sample, &difference.found)?;
            witness.check(self.sets, difference.found.direction)?;
            self.lines.add(who, variant, difference, witness);
        }
        Ok(())
    }

    fn differences(&mut self, who: &Who, comparison: Comparison) -> Result<Rc<Vec<Difference>>, DiffError> {
        let alike = Comparison { variant: comparison.variant.alike(), ..comparison };
        if let Some(known) = self.known.get(&alike) {
            return Ok(Rc::clone(known));
        }
        let found = alike.differences(&self.statements, self.account);
        let found = Rc::new(found.map_err(|why| exhausted(who, &alike.variant, why))?);
        self.known.insert(alike, Rc::clone(&found));
        Ok(found)
    }
}

/// Pairs of which one brings a grant and the other a role's trust; not many more than may be.
fn granted_and_trusted(bearing: &[(&Principal, Both)], alone: &Both) -> Vec<Vec<usize>> {
    let having = |has: fn(&Parts) -> bool| -> Vec<(usize, &Principal)> {
        let brings = |with: &Both| {
            let more = with.beyond(alone);
            has(&more.old) || has(&more.new)
        };
        let all = bearing.iter().enumerate().filter(|(_, (_, with))| brings(with));
        all.map(|(place, (subject, _))| (place, *subject)).collect()
    };
    let trusted = having(Parts::trusts);
    let granted = having(Parts::grants);
    let pairs = granted.iter().flat_map(|first| trusted.iter().map(move |second| (first, second)));
    let fitting = pairs.filter(|((_, first), (_, second))| is_one(&[*first, *second]));
    fitting
        .map(|((first, _), (second, _))| sorted(&[*first, *second]))
        .take(COMBINATIONS_MAX.saturating_add(1))
        .collect()
}

fn sorted(places: &[usize]) -> Vec<usize> {
    let all: BTreeSet<usize> = places.iter().copied().collect();
    all.into_iter().collect()
}

fn exhausted(who: &Who, variant: &Variant, why: Exhausted) -> DiffError {
    DiffError::Exhausted { who: who.to_string(), action: variant.action.full_name(), why }
}

#[cfg(test)]
mod tests;
