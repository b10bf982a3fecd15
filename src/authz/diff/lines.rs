//! What is told: differences that are alike for several callers or actions in one line, each with a request that shows it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use super::callers::{Base, Example, Population, Who};
use super::compare::{Atom, Description, Difference, Found, Sample};
use super::formula::Direction;
use super::sides::{On, Variant};
use super::strings::Test;
use super::values::clause_holds;
use super::{DiffError, PolicySet};
use crate::actions::{ACTIONS, Action, ConditionKey};
use crate::authz::condition::Clause;
use crate::authz::decision::{self, Context, Fault, Question, Verdict};
use crate::authz::facts::Object;
use crate::principal::{Kind, Principal};
use crate::resource::{CreatorNumber, SecretName};

/// A request that both sets decide differently.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// Who asks.
    pub caller: Example,
    /// The caller's creator number.
    pub creator: CreatorNumber,
    /// What for.
    pub action: &'static Action,
    /// On what.
    pub target: WitnessTarget,
    /// In which circumstances.
    pub context: Context,
}

/// A target that owns its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WitnessTarget {
    /// Nothing.
    Operation,
    /// A secret; without creator, one that does not exist.
    Secret(Option<CreatorNumber>, SecretName),
    /// A key.
    Key(String),
    /// A role.
    Role(Principal),
}

impl WitnessTarget {
    /// As policy is asked.
    #[must_use]
    pub fn asked(&self) -> decision::Target<'_> {
        match self {
            Self::Operation => decision::Target::Operation,
            Self::Secret(creator, name) => decision::Target::Secret { creator: *creator, name },
            Self::Key(id) => decision::Target::Key { id },
            Self::Role(role) => decision::Target::Role { role },
        }
    }
}

impl Witness {
    /// As policy is asked.
    #[must_use]
    pub fn question(&self) -> Question<'_> {
        Question {
            caller: self.caller.caller(self.creator),
            action: self.action,
            target: self.target.asked(),
            context: &self.context,
            session_policy: None,
        }
    }

    /// A request in ordinary circumstances: every key of which nothing is said has an ordinary value.
    #[must_use]
    pub fn ordinary(
        caller: Example,
        creator: CreatorNumber,
        action: &'static Action,
        target: WitnessTarget,
        account: &str,
    ) -> Self {
        let mut context = Context::default();
        for key in action.keys() {
            let values = match (key, &target) {
                (ConditionKey::CreateUin, WitnessTarget::Secret(Some(creator), _)) => vec![creator.to_string()],
                _ => ordinary(key, account, &caller.principal, creator.get()),
            };
            if !values.is_empty() {
                context.values.insert(key, values);
            }
        }
        Self { caller, creator, action, target, context }
    }

    /// Has both sets decide it.
    pub(super) fn check(&self, [old, new]: [&PolicySet; 2], direction: Direction) -> Result<(), DiffError> {
        let allows = |set: &PolicySet| match set.decide(&self.question()).outcome {
            Verdict::Allow => Ok(true),
            Verdict::Deny(_) => Ok(false),
            Verdict::Error(fault) => Err(DiffError::Fault(fault)),
        };
        let expected = direction == Direction::Gains;
        if allows(old)? != expected && allows(new)? == expected {
            return Ok(());
        }
        Err(DiffError::Inconsistent(format!("{direction:?}: {self:?}")))
    }
}

/// What a witness is made from.
pub(super) struct Witnessing<'a> {
    pub(super) who: &'a Who,
    pub(super) variant: &'a Variant,
    pub(super) account: &'a str,
    pub(super) population: &'a Population,
}

impl Witnessing<'_> {
    /// The request that a sample stands for.
    pub(super) fn witness(&self, sample: &Sample, found: &Found) -> Result<Witness, DiffError> {
        let mut caller = self.who.example(&self.population.named);
        let subject = sample.values.get(&ConditionKey::OidcSubject).and_then(|values| values.first());
        if let (Some(subject), Some(issuer), true) = (subject, self.who.issuer(), self.variant.is_web()) {
            let user = Principal::qualified(Kind::User, issuer, subject);
            caller.principal = user.map_err(|_| DiffError::Inconsistent(format!("{found:?}")))?;
        }
        let number = |number: u64| CreatorNumber::new(number).ok_or(DiffError::Fault(Fault::Target));
        let target = match (&sample.object, &self.variant.on) {
            (_, On::Role(role)) => WitnessTarget::Role(role.clone()),
            (Object::Nothing, _) => WitnessTarget::Operation,
            (Object::Key { id }, _) => WitnessTarget::Key(id.clone()),
            (Object::Secret { creator, name }, _) => {
                let name = SecretName::parse(name).map_err(|_| DiffError::Fault(Fault::Target))?;
                WitnessTarget::Secret(creator.map(number).transpose()?, name)
            }
        };
        let is_unknown = matches!(target, WitnessTarget::Secret(None, _));
        let mut values = BTreeMap::new();
        for key in self.variant.action.keys() {
            let of_secret = matches!(key, ConditionKey::CreateUin | ConditionKey::ResourceTag);
            if of_secret && (is_unknown || self.variant.on != On::Secret) {
                continue;
            }
            let ordinary = || ordinary(key, self.account, &caller.principal, sample.uin);
            let of_key = sample.values.get(&key).cloned().unwrap_or_else(ordinary);
            if !of_key.is_empty() {
                values.insert(key, of_key);
            }
        }
        let context = Context { values };
        Ok(Witness { caller, creator: number(sample.uin)?, action: self.variant.action, target, context })
    }
}

/// A value of a key of which nothing was said.
fn ordinary(key: ConditionKey, account: &str, principal: &Principal, uin: u64) -> Vec<String> {
    let text = match key {
        ConditionKey::CurrentTime => "2026-01-01T00:00:00Z",
        ConditionKey::Ip => "192.0.2.1",
        ConditionKey::OwnerUin => account,
        ConditionKey::Door => "native",
        ConditionKey::SecureTransport => "true",
        ConditionKey::RecoveryWindow => "0",
        ConditionKey::OidcIssuer => "https://issuer.example",
        ConditionKey::OidcAudience => "keyward",
        ConditionKey::OidcSubject => principal.name(),
        ConditionKey::Uin | ConditionKey::TargetUin => return vec![uin.to_string()],
        ConditionKey::CreateUin | ConditionKey::ResourceTag | ConditionKey::RequestTag => return Vec::new(),
    };
    vec![text.to_owned()]
}

/// One change: for whom, what, on what, in which circumstances.
#[derive(Clone, Debug)]
pub struct Line {
    /// For callers that are this and nothing else that either set names.
    pub who: Vec<Who>,
    /// Whether they gain or lose it.
    pub direction: Direction,
    /// A request that shows it, of the first caller and action.
    pub witness: Witness,
    /// Where each caller has a line of its own: such a request for each other action.
    pub further: Vec<Witness>,
    pub(super) variants: Vec<Variant>,
    pub(super) target: Description<Atom>,
    pub(super) condition: Vec<Description<Clause>>,
    pub(super) numbers: Vec<Description<Test>>,
}

/// All that is told of a difference but for whom and what.
type Content = (Found, Vec<Description<Test>>, Option<On>);

/// The actions of a difference, and requests that show it.
type Shown = (Vec<Variant>, Vec<Witness>);

/// Differences as they are found.
#[derive(Default)]
pub(super) struct Lines {
    found: BTreeMap<Who, BTreeMap<Content, Shown>>,
    /// In the order in which they were first met: fewer subjects first.
    order: Vec<Who>,
    /// Whether each caller has a line of its own.
    are_apart: bool,
}

impl Lines {
    /// Each caller gets a line of its own, with a request for each action.
    pub(super) fn apart() -> Self {
        Self { are_apart: true, ..Self::default() }
    }

    pub(super) fn add(&mut self, who: &Who, variant: &Variant, difference: &Difference, witness: Witness) {
        let found = difference.found.clone();
        // What is said of every target is said of all kinds of targets at once.
        let on = (!found.target.is_empty()).then(|| variant.on.clone());
        if !self.found.contains_key(who) {
            self.order.push(who.clone());
        }
        let of_caller = self.found.entry(who.clone()).or_default();
        let (variants, witnesses) = of_caller.entry((found, difference.numbers.clone(), on)).or_default();
        variants.push(variant.clone());
        if self.are_apart || witnesses.is_empty() {
            witnesses.push(witness);
        }
    }

    /// Callers for whom the same changes in one line; gains first.
    pub(super) fn finished(mut self) -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::new();
        let mut known: HashMap<_, usize> = HashMap::new();
        self.order.sort_by_key(|who| who.with.len());
        for who in &self.order {
            for ((found, numbers, _), (variants, witnesses)) in self.found.remove(who).unwrap_or_default() {
                let Found { direction, target, condition } = found;
                let mut further = witnesses.into_iter();
                let Some(witness) = further.next() else { continue };
                let of = self.are_apart.then(|| who.clone());
                let key = (of, direction, target.clone(), condition.clone(), numbers.clone(), variants.clone());
                let next = lines.len();
                let place = *known.entry(key).or_insert(next);
                match lines.get_mut(place) {
                    Some(line) => line.who.push(who.clone()),
                    None => lines.push(Line {
                        who: vec![who.clone()],
                        direction,
                        witness,
                        further: further.collect(),
                        variants,
                        target,
                        condition,
                        numbers,
                    }),
                }
            }
        }
        lines.sort_by_key(|line| line.direction);
        lines
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with = self.with.iter().map(Principal::as_str).collect::<Vec<_>>().join(" + ");
        let restricted = if with.is_empty() { String::new() } else { format!(" with {with}") };
        match &self.base {
            Base::Everyone(_) | Base::Issuer(_) if !with.is_empty() => f.write_str(&with),
            Base::Everyone(_) => f.write_str("everyone"),
            Base::Issuer(issuer) => write!(f, "issuer/{issuer}"),
            Base::Session(role, issuer) => write!(f, "{role} (taken by somebody of issuer/{issuer}{restricted})"),
            Base::Work(role, service) => write!(f, "{role} (taken by {service})"),
            Base::Service(service) => write!(f, "{service}"),
        }
    }
}

/// Something that must be so, or must not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// What.
    pub text: String,
    /// Whether it must be so.
    pub is_so: bool,
}

impl Line {
    /// The actions, as few patterns as say exactly them.
    #[must_use]
    pub fn actions(&self) -> Vec<String> {
        let places: BTreeSet<usize> = self.variants.iter().map(|variant| variant.place).collect();
        action_patterns(&places)
    }

    /// The resource, as a pattern.
    #[must_use]
    pub fn resource(&self) -> String {
        let kinds: BTreeSet<&On> = self.variants.iter().map(|variant| &variant.on).collect();
        let mut kinds = kinds.into_iter();
        let (Some(first), None) = (kinds.next(), kinds.next()) else { return "*".to_owned() };
        let mut names = self.names(true);
        match first {
            On::Nothing => "*".to_owned(),
            On::Role(role) => role.to_string(),
            On::Key => format!("key/{}", if names.is_empty() { "*".to_owned() } else { names.remove(0) }),
            On::Secret | On::Creation => {
                let creator = self.target.iter().find_map(|(atom, is_so)| match atom {
                    Atom::Own if *is_so => Some("${uin}".to_owned()),
                    Atom::Creator(number) if *is_so => Some(number.to_string()),
                    _ => None,
                });
                let creator = creator.unwrap_or_else(|| "*".to_owned());
                let name = if names.is_empty() { "*".to_owned() } else { names.remove(0) };
                format!("secret/creatorUin/{creator}/{name}")
            }
        }
    }

    /// Name patterns that must fit, or must not.
    fn names(&self, wanted: bool) -> Vec<String> {
        let names = self.target.iter().filter(|(_, is_so)| *is_so == wanted);
        let name = |(atom, _): &(Atom, bool)| match atom {
            Atom::Name(pattern) => Some(pattern.to_string()),
            _ => None,
        };
        names.filter_map(name).collect()
    }

    /// What else is said of the target, in words.
    #[must_use]
    pub fn target_further(&self) -> Vec<Said> {
        let mut said: Vec<Said> = Vec::new();
        let (mut first_name, mut first_creator) = (true, true);
        for (atom, is_so) in &self.target {
            let text = match atom {
                Atom::Name(pattern) => {
                    if *is_so && std::mem::take(&mut first_name) {
                        continue;
                    }
                    format!("name {pattern}")
                }
                Atom::Exists => "it exists".to_owned(),
                Atom::Own | Atom::Creator(_) if *is_so && std::mem::take(&mut first_creator) => continue,
                Atom::Own => "creator ${uin}".to_owned(),
                Atom::Creator(number) => format!("creator {number}"),
                Atom::Maker(clause) => clause.to_string(),
            };
            said.push(Said { text, is_so: *is_so });
        }
        said
    }

    /// The circumstances: one of these, each of which is all that must be so. Empty: whatever they are.
    #[must_use]
    pub fn conditions(&self) -> Vec<Vec<Said>> {
        let said = |all: &Description<Clause>| {
            all.iter().map(|(clause, is_so)| Said { text: clause.to_string(), is_so: *is_so }).collect::<Vec<_>>()
        };
        let all: Vec<Vec<Said>> = self.condition.iter().map(said).collect();
        if all.iter().any(Vec::is_empty) { Vec::new() } else { all }
    }

    /// The callers' creator numbers, as [`Line::conditions`]. Empty: whatever they are.
    #[must_use]
    pub fn callers_numbers(&self) -> Vec<Vec<Said>> {
        let said = |all: &Description<Test>| {
            let one = |(test, is_so): &(Test, bool)| Said { text: format!("${{uin}} is {test}"), is_so: *is_so };
            all.iter().map(one).collect::<Vec<_>>()
        };
        let all: Vec<Vec<Said>> = self.numbers.iter().map(said).collect();
        if all.iter().any(Vec::is_empty) { Vec::new() } else { all }
    }

    /// Whether it depends on a condition key.
    #[must_use]
    pub fn reads(&self, key: ConditionKey) -> bool {
        self.condition.iter().flatten().any(|(clause, _)| clause.key == key)
    }

    /// Whether it speaks of secrets that exist, and of this one among them.
    #[must_use]
    pub fn covers_secret(&self, creator: CreatorNumber, name: &SecretName) -> bool {
        let uin = self.witness.creator.get();
        let texts = [creator.to_string()];
        let is_so = |atom: &Atom| match atom {
            Atom::Name(pattern) => pattern.matches(name.as_str(), &uin.to_string()),
            Atom::Exists => true,
            Atom::Own => creator.get() == uin,
            Atom::Creator(number) => *number == creator.get(),
            Atom::Maker(clause) => clause_holds(clause, &texts, uin),
        };
        self.variants.iter().any(|variant| variant.on == On::Secret)
            && self.target.iter().all(|(atom, wanted)| is_so(atom) == *wanted)
    }
}

/// Patterns that name exactly these rows of the catalogue.
pub(in crate::authz) fn action_patterns(places: &BTreeSet<usize>) -> Vec<String> {
    if places.len() == ACTIONS.len() {
        return vec!["*".to_owned()];
    }
    let mut patterns: Vec<String> = Vec::new();
    let mut told: BTreeSet<usize> = BTreeSet::new();
    for place in places {
        let Some(action) = ACTIONS.get(*place).filter(|_| !told.contains(place)) else { continue };
        let starts = std::iter::once("").chain(word_ends(action.name).filter_map(|end| action.name.get(..end)));
        let of = |start: &str| -> BTreeSet<usize> {
            let rows = ACTIONS.iter().enumerate();
            let rows = rows.filter(|(_, row)| row.service == action.service && row.name.starts_with(start));
            rows.map(|(place, _)| place).collect()
        };
        let wide = starts.map(|start| (start, of(start))).find(|(_, of)| of.len() > 1 && of.is_subset(places));
        match wide {
            Some((start, of)) => {
                told.extend(of);
                patterns.push(format!("{}:{start}*", action.service.name()));
            }
            None => patterns.push(action.full_name()),
        }
    }
    patterns
}

/// Where the words of a name end: before each capital.
fn word_ends(name: &str) -> impl Iterator<Item = usize> {
    name.char_indices().skip(1).filter(|(_, c)| c.is_ascii_uppercase()).map(|(at, _)| at)
}
