//! One caller and one action under both sets: every kind of target there is, and in which circumstances the answers differ.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Exhausted;
use super::cubes::cubes;
use super::formula::{ClauseId, Diagram, Dimension, Direction, Formula, NodeId, Pair, Term};
use super::numbers::{self, Numbers};
use super::sides::{On, Side, StatementId, Statements, Variant};
use super::strings::{Class, Domain, Test, classes};
use super::values::{self, Asker, cells};
use crate::actions::ConditionKey;
use crate::authz::condition::{Clause, Outcome};
use crate::authz::facts::{Facts, Object};
use crate::authz::pattern::Pattern;
use crate::authz::resource_pattern::{CreatorPattern, Last, ResourcePattern};

/// What is compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Comparison {
    /// Old and new of the caller, then of callers of fewer subjects: what differs for those is not said again.
    pub(super) sides: Vec<(Side, Side)>,
    pub(super) variant: Variant,
    /// The caller's creator number, if it is known.
    pub(super) uin: Option<u64>,
    /// The caller's subject, if it is settled.
    pub(super) subject: Option<String>,
    /// Subjects that are others.
    pub(super) others: Vec<String>,
    /// The one secret that is asked about, if it is one.
    pub(super) secret: Option<Asked>,
}

/// A secret that is asked about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Asked {
    pub(super) name: String,
    /// Who made it, if that is known.
    pub(super) creator: Option<u64>,
}

/// One thing that can be said of a target.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Atom {
    /// The secret's name, or the key's id, fits.
    Name(Pattern),
    /// There is such a secret.
    Exists,
    /// The caller made it.
    Own,
    /// Who has this number made it.
    Creator(u64),
    /// A condition on who made it holds.
    Maker(Clause),
}

/// Things said of a target, all of them: each with whether it is so.
pub(super) type Description<T> = Vec<(T, bool)>;

/// Where the answers differ, and how.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Found {
    pub(super) direction: Direction,
    pub(super) target: Description<Atom>,
    /// One of these; each says all of what must be so.
    pub(super) condition: Vec<Description<Clause>>,
}

/// A request that shows it.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) uin: u64,
    pub(super) object: Object,
    pub(super) values: BTreeMap<ConditionKey, Vec<String>>,
}

/// A difference with the callers' numbers for which it is one, and a request.
#[derive(Clone, Debug)]
pub(super) struct Difference {
    pub(super) found: Found,
    /// One of these; empty of an empty description: whatever the number.
    pub(super) numbers: Vec<Description<Test>>,
    pub(super) sample: Sample,
}

impl Comparison {
    /// Every difference.
    ///
    /// # Errors
    /// [`Exhausted`] if there is too much to compare.
    pub(super) fn differences(&self, statements: &Statements, account: &str) -> Result<Vec<Difference>, Exhausted> {
        if self.sides.first().is_none_or(|(old, new)| old == new || old.is_never() && new.is_never()) {
            return Ok(Vec::new());
        }
        let scene = Scene::of(self, statements, account);
        let Numbers { tests, classes } = numbers::of(&scene, self)?;
        let mut found: BTreeMap<Found, (BTreeSet<usize>, Sample)> = BTreeMap::new();
        for (place, class) in classes.iter().enumerate() {
            let uin = class.sample.parse().map_err(|_| Exhausted("a creator number is none"))?;
            for (one, sample) in scene.of_number(self, uin)? {
                found.entry(one).or_insert_with(|| (BTreeSet::new(), sample)).0.insert(place);
            }
        }
        let told = |(found, (places, sample)): (Found, (BTreeSet<usize>, Sample))| {
            let list: Vec<(&[bool], bool)> = classes
                .iter()
                .enumerate()
                .map(|(place, class)| (class.fits.as_slice(), places.contains(&place)))
                .collect();
            Difference { found, numbers: described(&cubes(&list), &tests), sample }
        };
        Ok(found.into_iter().map(told).collect())
    }
}

/// Cubes over tests, as lists of what must be so.
fn described<T: Clone>(cubes: &[super::cubes::Cube], of: &[T]) -> Vec<Description<T>> {
    let one = |cube: &super::cubes::Cube| {
        let said = of.iter().zip(cube).filter_map(|(test, wanted)| wanted.map(|wanted| (test.clone(), wanted)));
        said.collect()
    };
    cubes.iter().map(one).collect()
}

/// The statements of a comparison, and the clauses in them.
pub(super) struct Scene<'a> {
    account: &'a str,
    pub(super) statements: BTreeMap<StatementId, &'a crate::authz::document::Statement>,
    pub(super) clauses: Vec<Clause>,
    /// Name patterns of secrets, or of keys.
    pub(super) patterns: Vec<Pattern>,
    /// Creators by number.
    pub(super) creators: BTreeSet<u64>,
    pub(super) names_own: bool,
}

impl<'a> Scene<'a> {
    fn of(comparison: &Comparison, all: &'a Statements, account: &'a str) -> Self {
        let sides = comparison.sides.iter().flat_map(|(old, new)| old.statements().chain(new.statements()));
        let statements: BTreeMap<_, _> = sides.filter_map(|id| Some((id, all.get(id)?))).collect();
        let clauses: BTreeSet<&Clause> = statements.values().flat_map(|statement| &statement.clauses).collect();
        let clauses = clauses.into_iter().cloned().collect();
        let mut scene =
            Self { account, statements, clauses, patterns: Vec::new(), creators: BTreeSet::new(), names_own: false };
        let (mut patterns, on) = (BTreeSet::new(), &comparison.variant.on);
        for resource in scene.statements.values().flat_map(|statement| &statement.resources) {
            let ResourcePattern::Segments { last, .. } = resource else { continue };
            match (last, on) {
                (Last::Secret { creator, name }, On::Secret | On::Creation) => {
                    patterns.insert(name.clone());
                    match creator {
                        CreatorPattern::Number(number) => drop(scene.creators.insert(*number)),
                        CreatorPattern::Own => scene.names_own = true,
                        CreatorPattern::Any => {}
                    }
                }
                (Last::Key(pattern), On::Key) => drop(patterns.insert(pattern.clone())),
                _ => {}
            }
        }
        scene.patterns = patterns.into_iter().collect();
        scene
    }

    pub(super) fn account(&self) -> &str {
        self.account
    }

    pub(super) fn on(&self, key: ConditionKey) -> Vec<Clause> {
        self.clauses.iter().filter(|clause| clause.key == key).cloned().collect()
    }

    /// The differences for callers of one number.
    fn of_number(&self, comparison: &Comparison, uin: u64) -> Result<Vec<(Found, Sample)>, Exhausted> {
        let takes_tags_off = comparison.variant.takes_tags_off();
        let asker = Asker { uin, others: comparison.others.clone(), takes_tags_off };
        let targets = self.targets(comparison, uin)?;
        let mut diagram = Diagram::new(self.dimensions(comparison, &asker)?);
        let nodes = targets.iter().map(|target| self.compare(comparison, uin, target, &mut diagram));
        let nodes: Vec<NodeId> = nodes.collect::<Result<_, _>>()?;
        let mut found = Vec::new();
        for direction in [Direction::Gains, Direction::Loses] {
            let of: Vec<Option<NodeId>> = nodes.iter().map(|node| diagram.only(*node, direction)).collect();
            for node in of.iter().flatten().copied().collect::<BTreeSet<NodeId>>() {
                let condition = self.condition(&diagram, node)?;
                let list = targets.iter().zip(&of).map(|(target, of)| (target.fits.as_slice(), *of == Some(node)));
                let list: Vec<(&[bool], bool)> = list.collect();
                let atoms = self.atoms(comparison);
                for cube in cubes(&list) {
                    let inside = targets.iter().filter(|target| super::cubes::holds(&cube, &target.fits));
                    // One that exists is the better example.
                    let Some(target) = inside.max_by_key(|target| target.exists()) else { continue };
                    let sample = self.sample(comparison, uin, target, &diagram, node);
                    let said = described(std::slice::from_ref(&cube), &atoms).pop().unwrap_or_default();
                    found.push((Found { direction, target: said, condition: condition.clone() }, sample));
                }
            }
        }
        Ok(found)
    }

    /// What can be said of targets, in the order of [`Target::fits`].
    fn atoms(&self, comparison: &Comparison) -> Vec<Atom> {
        let mut atoms: Vec<Atom> = Vec::new();
        if comparison.variant.on == On::Secret {
            atoms.push(Atom::Exists);
            atoms.push(Atom::Own);
            atoms.extend(self.creators.iter().map(|number| Atom::Creator(*number)));
            atoms.extend(self.on(ConditionKey::CreateUin).into_iter().map(Atom::Maker));
        }
        atoms.extend(self.patterns.iter().cloned().map(Atom::Name));
        atoms
    }

    /// Every kind of target.
    fn targets(&self, comparison: &Comparison, uin: u64) -> Result<Vec<Target>, Exhausted> {
        let text = uin.to_string();
        let tests: Vec<Test> = self.patterns.iter().map(|pattern| Test::pattern(pattern, &text)).collect();
        let on = &comparison.variant.on;
        let names = match on {
            On::Nothing | On::Role(_) => {
                return Ok(vec![Target { fits: Vec::new(), object: Object::Nothing }]);
            }
            On::Key => classes(Domain::KeyId, &tests)?,
            On::Secret | On::Creation => match &comparison.secret {
                Some(Asked { name, .. }) => {
                    let fits = self.patterns.iter().map(|pattern| pattern.matches(name, &text)).collect();
                    vec![Class { fits, sample: name.clone() }]
                }
                None => classes(Domain::SecretName, &tests)?,
            },
        };
        let secret = |creator, name: &Class| Object::Secret { creator, name: name.sample.clone() };
        let of = |before: &[bool], name: &Class, object| Target { fits: [before, &name.fits].concat(), object };
        Ok(match on {
            On::Key => names.iter().map(|name| of(&[], name, Object::Key { id: name.sample.clone() })).collect(),
            On::Creation => names.iter().map(|name| of(&[], name, secret(Some(uin), name))).collect(),
            _ => {
                let makers = self.makers(comparison, uin)?;
                let each = makers
                    .iter()
                    .flat_map(|(fits, maker)| names.iter().map(move |name| of(fits, name, secret(*maker, name))));
                each.collect()
            }
        })
    }

    /// Every kind of creator, the unknown one of a secret that does not exist among them.
    fn makers(&self, comparison: &Comparison, uin: u64) -> Result<Vec<Maker>, Exhausted> {
        let clauses = self.on(ConditionKey::CreateUin);
        let known = comparison.secret.as_ref().and_then(|secret| secret.creator);
        // Whether it is the caller's own matters to none of the others.
        let own_matters = self.names_own || !clauses.is_empty();
        let numbers = self.creators.iter().copied().chain(own_matters.then_some(uin));
        let mut tests: Vec<Test> = numbers.map(|number| Test::text(&number.to_string(), false)).collect();
        tests.extend(values::tests(&clauses, uin));
        let mut makers = BTreeMap::new();
        let numbers = match known {
            Some(number) => vec![number],
            None => classes(Domain::Number, &tests)?.iter().filter_map(|class| class.sample.parse().ok()).collect(),
        };
        for number in numbers {
            let texts = [number.to_string()];
            let mut fits = vec![true, own_matters && number == uin];
            fits.extend(self.creators.iter().map(|creator| *creator == number));
            fits.extend(clauses.iter().map(|clause| values::clause_holds(clause, &texts, uin)));
            makers.entry(fits).or_insert(Some(number));
        }
        if known.is_none() {
            let nobody = vec![false; 2 + self.creators.len() + clauses.len()];
            makers.insert(nobody, None);
        }
        Ok(makers.into_iter().collect())
    }

    /// The keys that are not settled by caller and target.
    fn dimensions(&self, comparison: &Comparison, asker: &Asker) -> Result<Vec<Dimension>, Exhausted> {
        let mut dimensions = Vec::new();
        for key in ConditionKey::ALL {
            let ids: Vec<ClauseId> =
                self.clauses.iter().enumerate().filter(|(_, clause)| clause.key == key).map(|(id, _)| id).collect();
            if !ids.is_empty() && comparison.is_open(key) {
                dimensions.push(Dimension { clauses: ids, cells: cells(key, &self.on(key), asker)? });
            }
        }
        Ok(dimensions)
    }

    /// The values that caller and target settle.
    fn settled(&self, comparison: &Comparison, uin: u64, object: &Object) -> BTreeMap<ConditionKey, Vec<String>> {
        let mut values = BTreeMap::new();
        values.insert(ConditionKey::Uin, vec![uin.to_string()]);
        values.insert(ConditionKey::OwnerUin, vec![self.account.to_owned()]);
        if let Object::Secret { creator: Some(creator), .. } = object
            && comparison.variant.on == On::Secret
        {
            values.insert(ConditionKey::CreateUin, vec![creator.to_string()]);
        }
        if let Some(subject) = comparison.subject.clone().filter(|_| comparison.variant.is_web()) {
            values.insert(ConditionKey::OidcSubject, vec![subject]);
        }
        values
    }

    fn compare(
        &self,
        comparison: &Comparison,
        uin: u64,
        target: &Target,
        diagram: &mut Diagram,
    ) -> Result<NodeId, Exhausted> {
        let values = self.settled(comparison, uin, &target.object);
        let facts = Facts::settled(comparison.variant.action.service.name(), &target.object, uin, &values);
        let facts = facts.map_err(|_| Exhausted("a value is not of its key's type"))?;
        let mut terms: HashMap<StatementId, Option<Term>> = HashMap::new();
        for (id, statement) in &self.statements {
            terms.insert(*id, self.term(comparison, statement, &facts));
        }
        let term = |id: &StatementId| terms.get(id).cloned().flatten();
        if comparison.sides.first().is_some_and(|(old, new)| fitting(old, &terms) == fitting(new, &terms)) {
            return diagram.compare(Vec::new());
        }
        let formula = |side: &Side| {
            let layers = side.layers.iter().map(|allows| allows.iter().filter_map(term).collect());
            Formula::new(side.denies.iter().filter_map(term), layers)
        };
        let pairs: Vec<Pair> = comparison.sides.iter().map(|(old, new)| (formula(old), formula(new))).collect();
        diagram.compare(pairs)
    }

    /// What is open of a statement; `None` if it does not match whatever the circumstances.
    fn term(
        &self,
        comparison: &Comparison,
        statement: &crate::authz::document::Statement,
        facts: &Facts,
    ) -> Option<Term> {
        if !statement.resources.iter().any(|resource| resource.matches(facts, statement.effect)) {
            return None;
        }
        let mut open = Term::new();
        for clause in &statement.clauses {
            if comparison.is_open(clause.key) && !facts.is_unknown(clause.key) {
                open.extend(self.clauses.binary_search(clause).ok());
            } else if clause.outcome(facts, statement.effect) != Ok(Outcome::Holds) {
                return None;
            }
        }
        Some(open)
    }

    /// In which circumstances a node differs, as the clauses are written.
    fn condition(&self, diagram: &Diagram, node: NodeId) -> Result<Vec<Description<Clause>>, Exhausted> {
        let mut condition = BTreeSet::new();
        for branching in diagram.branchings(node)? {
            let mut all: Vec<Description<Clause>> = vec![Vec::new()];
            for (place, wanted) in branching {
                let Some(dimension) = diagram.dimensions().get(place) else { continue };
                let list = dimension.cells.iter().enumerate();
                let list: Vec<_> = list.map(|(cell, one)| (one.holds.as_slice(), wanted.contains(&cell))).collect();
                let clauses = dimension.clauses.iter().filter_map(|id| self.clauses.get(*id)).cloned();
                let clauses: Vec<Clause> = clauses.collect();
                let more = described(&cubes(&list), &clauses);
                all = all.iter().flat_map(|one| more.iter().map(move |more| [one.as_slice(), more].concat())).collect();
            }
            condition.extend(all);
        }
        Ok(condition.into_iter().collect())
    }

    fn sample(&self, comparison: &Comparison, uin: u64, target: &Target, diagram: &Diagram, node: NodeId) -> Sample {
        let mut values = self.settled(comparison, uin, &target.object);
        let path = diagram.path(node).unwrap_or_default();
        for (place, dimension) in diagram.dimensions().iter().enumerate() {
            let cell = path.iter().find(|(of, _)| *of == place).map_or(0, |(_, cell)| *cell);
            let key = dimension.clauses.first().and_then(|id| self.clauses.get(*id)).map(|clause| clause.key);
            if let (Some(key), Some(cell)) = (key, dimension.cells.get(cell)) {
                values.insert(key, cell.values.clone());
            }
        }
        Sample { uin, object: target.object.clone(), values }
    }
}

/// The statements of a side that fit a target.
fn fitting(side: &Side, terms: &HashMap<StatementId, Option<Term>>) -> Side {
    let fits = |id: &&StatementId| terms.get(id).is_some_and(Option::is_some);
    let of = |all: &BTreeSet<StatementId>| all.iter().filter(fits).copied().collect();
    Side { denies: of(&side.denies), layers: side.layers.iter().map(of).collect() }
}

impl Comparison {
    /// Whether neither caller nor target settles what a key's values are.
    fn is_open(&self, key: ConditionKey) -> bool {
        let settled = matches!(key, ConditionKey::Uin | ConditionKey::OwnerUin | ConditionKey::CreateUin)
            || key == ConditionKey::ResourceTag && self.variant.on != On::Secret
            || key == ConditionKey::OidcSubject && self.subject.is_some();
        !settled && self.variant.action.has_key(key)
    }
}

/// How what can be said of a creator comes out, and one of whom it does; nobody, if the secret does not exist.
type Maker = (Vec<bool>, Option<u64>);

/// One kind of target, with one of its kind.
struct Target {
    /// How each atom comes out.
    fits: Vec<bool>,
    object: Object,
}

impl Target {
    fn exists(&self) -> bool {
        !matches!(self.object, Object::Secret { creator: None, .. })
    }
}
