//! What is left of a policy set once caller, action and target are fixed: a formula over clauses. Two of them are compared
//! key by key, by every way in which the clauses on a key can come out; what differs is kept as a shared diagram.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::Exhausted;
use super::values::Cell;

/// A clause, by its place in the list of a comparison.
pub(super) type ClauseId = usize;

/// A statement whose target fits: it matches when all of these hold.
pub(super) type Term = BTreeSet<ClauseId>;

/// When a policy set allows.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Formula {
    Never,
    /// When no deny matches and each layer has an allow that does.
    When {
        denies: BTreeSet<Term>,
        layers: BTreeSet<BTreeSet<Term>>,
    },
}

impl Formula {
    /// Denies, and the allows of each layer that must have one.
    pub(super) fn new(denies: impl Iterator<Item = Term>, layers: impl Iterator<Item = BTreeSet<Term>>) -> Self {
        let denies = widest(denies.collect());
        if denies.contains(&Term::new()) {
            return Self::Never;
        }
        let mut waiting = BTreeSet::new();
        for allows in layers {
            let allows = widest(allows);
            if allows.is_empty() {
                return Self::Never;
            }
            if !allows.contains(&Term::new()) {
                waiting.insert(allows);
            }
        }
        Self::When { denies, layers: waiting }
    }

    /// What is left once it is known how some clauses come out.
    fn with(&self, known: &BTreeMap<ClauseId, bool>) -> Self {
        let Self::When { denies, layers } = self else { return Self::Never };
        let rest = |term: &Term| {
            let fails = term.iter().any(|clause| known.get(clause) == Some(&false));
            (!fails).then(|| term.iter().copied().filter(|clause| !known.contains_key(clause)).collect::<Term>())
        };
        let layers = layers.iter().map(|allows| allows.iter().filter_map(rest).collect());
        Self::new(denies.iter().filter_map(rest), layers)
    }

    /// The answer, once no clause is open.
    fn allows(&self) -> bool {
        *self != Self::Never
    }

    fn clauses(&self) -> impl Iterator<Item = ClauseId> {
        let (denies, layers) = match self {
            Self::Never => (None, None),
            Self::When { denies, layers } => (Some(denies), Some(layers)),
        };
        let allows = layers.into_iter().flatten().flatten();
        denies.into_iter().flatten().chain(allows).flatten().copied()
    }
}

/// Without terms that another one makes needless.
fn widest(terms: BTreeSet<Term>) -> BTreeSet<Term> {
    let needless = |term: &Term| terms.iter().any(|other| other != term && other.is_subset(term));
    let kept: Vec<bool> = terms.iter().map(|term| !needless(term)).collect();
    terms.into_iter().zip(kept).filter(|(_, kept)| *kept).map(|(term, _)| term).collect()
}

/// Which way an answer changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    /// Denied before, allowed now.
    Gains,
    /// Allowed before, denied now.
    Loses,
}

/// Old and new.
pub(super) type Pair = (Formula, Formula);

/// A node of a diagram, by its place in it.
pub(super) type NodeId = usize;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Node {
    Leaf(Option<Direction>),
    /// One child for each cell of a key.
    Branch(usize, Vec<NodeId>),
}

/// One key of the comparison: its clauses, and how they can come out together.
#[derive(Debug)]
pub(super) struct Dimension {
    pub(super) clauses: Vec<ClauseId>,
    pub(super) cells: Vec<Cell>,
}

/// Which cell of each key that matters.
pub(super) type Path = Vec<(usize, usize)>;

/// For each key that matters, in their order, and for each direction: the cells that lead on to the same.
pub(super) type Branching = Vec<(usize, Vec<usize>)>;

/// Everything in which pairs differ, with equal parts shared.
#[derive(Debug)]
pub(super) struct Diagram {
    dimensions: Vec<Dimension>,
    of_clause: HashMap<ClauseId, usize>,
    nodes: Vec<Node>,
    known: HashMap<Node, NodeId>,
    done: HashMap<Vec<Pair>, NodeId>,
}

/// Most nodes of one diagram.
const NODES_MAX: usize = 50_000;
/// Most ways that lead through one.
const PATHS_MAX: usize = 1_000;

impl Diagram {
    pub(super) fn new(dimensions: Vec<Dimension>) -> Self {
        let places = dimensions.iter().enumerate();
        let of_clause =
            places.flat_map(|(place, one)| one.clauses.iter().map(move |clause| (*clause, place))).collect();
        Self { dimensions, of_clause, nodes: Vec::new(), known: HashMap::new(), done: HashMap::new() }
    }

    pub(super) fn dimensions(&self) -> &[Dimension] {
        &self.dimensions
    }

    /// In what the first pair differs and none of the others in the same direction.
    ///
    /// # Errors
    /// [`Exhausted`] if there is too much to compare.
    pub(super) fn compare(&mut self, mut pairs: Vec<Pair>) -> Result<NodeId, Exhausted> {
        let Some((old, new)) = pairs.first() else { return Ok(self.node(Node::Leaf(None))) };
        if old == new {
            return Ok(self.node(Node::Leaf(None)));
        }
        let mut place = 0_usize;
        pairs.retain(|(old, new)| {
            place = place.saturating_add(1);
            place == 1 || old != new
        });
        if let Some(done) = self.done.get(&pairs) {
            return Ok(*done);
        }
        if self.nodes.len().max(self.done.len()) > NODES_MAX {
            return Err(Exhausted("the conditions combine in too many ways"));
        }
        let clauses = pairs.iter().flat_map(|(old, new)| old.clauses().chain(new.clauses()));
        let next = clauses.filter_map(|clause| self.of_clause.get(&clause).copied()).min();
        let node = match next {
            None => Node::Leaf(settled(&pairs)),
            Some(place) => {
                let mut children = Vec::new();
                for known in self.ways(place) {
                    let with = |(old, new): &Pair| (old.with(&known), new.with(&known));
                    children.push(self.compare(pairs.iter().map(with).collect())?);
                }
                Node::Branch(place, children)
            }
        };
        let id = self.node(node);
        self.done.insert(pairs, id);
        Ok(id)
    }

    fn ways(&self, place: usize) -> Vec<BTreeMap<ClauseId, bool>> {
        let Some(dimension) = self.dimensions.get(place) else { return Vec::new() };
        let known = |cell: &Cell| dimension.clauses.iter().copied().zip(cell.holds.iter().copied()).collect();
        dimension.cells.iter().map(known).collect()
    }

    fn node(&mut self, node: Node) -> NodeId {
        if let Node::Branch(_, children) = &node
            && let Some(first) = children.first()
            && children.iter().all(|child| child == first)
        {
            return *first;
        }
        let next = self.nodes.len();
        let id = *self.known.entry(node.clone()).or_insert(next);
        if id == next {
            self.nodes.push(node);
        }
        id
    }

    /// The part of a node that is of one direction; `None` if there is none.
    pub(super) fn only(&mut self, id: NodeId, direction: Direction) -> Option<NodeId> {
        let node = match self.nodes.get(id)?.clone() {
            Node::Leaf(of) => Node::Leaf(of.filter(|of| *of == direction)),
            Node::Branch(place, children) => {
                let nothing = self.node(Node::Leaf(None));
                let only = children.into_iter().map(|child| self.only(child, direction).unwrap_or(nothing));
                Node::Branch(place, only.collect())
            }
        };
        let id = self.node(node);
        (self.nodes.get(id) != Some(&Node::Leaf(None))).then_some(id)
    }

    /// A way to a difference.
    pub(super) fn path(&self, id: NodeId) -> Option<Path> {
        match self.nodes.get(id)? {
            Node::Leaf(of) => of.map(|_| Vec::new()),
            Node::Branch(place, children) => children.iter().enumerate().find_map(|(cell, child)| {
                let behind = self.path(*child)?;
                Some([vec![(*place, cell)], behind].concat())
            }),
        }
    }

    /// Every way to a difference, cells of a key that lead on to the same taken together.
    ///
    /// # Errors
    /// [`Exhausted`] if there are too many to be written down.
    pub(super) fn branchings(&self, id: NodeId) -> Result<Vec<Branching>, Exhausted> {
        let mut found = Vec::new();
        match self.nodes.get(id) {
            None | Some(Node::Leaf(None)) => {}
            Some(Node::Leaf(Some(_))) => found.push(Vec::new()),
            Some(Node::Branch(place, children)) => {
                let mut by_child: BTreeMap<NodeId, Vec<usize>> = BTreeMap::new();
                for (cell, child) in children.iter().enumerate() {
                    by_child.entry(*child).or_default().push(cell);
                }
                for (child, cells) in by_child {
                    let behind = self.branchings(child)?;
                    found.extend(behind.into_iter().map(|rest| [vec![(*place, cells.clone())], rest].concat()));
                    if found.len() > PATHS_MAX {
                        return Err(Exhausted("a change depends on too many combinations of conditions"));
                    }
                }
            }
        }
        Ok(found)
    }
}

/// How the first pair differs when nothing is open, unless one of the others does so, too.
fn settled(pairs: &[Pair]) -> Option<Direction> {
    let change = |(old, new): &Pair| match (old.allows(), new.allows()) {
        (false, true) => Some(Direction::Gains),
        (true, false) => Some(Direction::Loses),
        _ => None,
    };
    let mut changes = pairs.iter().map(change);
    let first = changes.next().flatten();
    first.filter(|first| changes.all(|other| other != Some(*first)))
}
