//! The engine against the naive evaluator, on random folders and questions; and what must hold of any folder.
//!
//! `KEYWARD_ORACLE_CASES` sets how many questions are asked (100,000 if unset), `KEYWARD_ORACLE_SEED` where the choices
//! start. A difference prints the seed, the question and the smallest folder that still shows it.

mod condition;
pub(super) mod dice;
pub(super) mod question;
mod redundant;
mod shrink;
mod statement;
pub(super) mod world;

use serde_json::json;

use self::dice::Dice;
use self::question::{Ask, Form, What, random_ask};
use self::shrink::shrunk;
use self::world::{World, document, random_world, settings};
use super::reference::Reference;
use super::{Decision, PolicyFile, PolicySet, Reason, SessionPolicy, Verdict};
use crate::actions::ConditionKey;
use crate::resource::CreatorNumber;

/// Questions asked of each folder.
const QUESTIONS: usize = 8;

fn number_from_environment(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn cases() -> u64 {
    number_from_environment("KEYWARD_ORACLE_CASES", 100_000)
}

fn seed() -> u64 {
    number_from_environment("KEYWARD_ORACLE_SEED", 0x006b_6579_7761_7264)
}

/// A folder loaded by both evaluators.
struct Loaded {
    engine: PolicySet,
    reference: Reference,
    sessions: Vec<SessionPolicy>,
}

impl Loaded {
    /// Loads a folder; `None` if the load checks refuse it.
    fn load(world: &World) -> Option<Self> {
        Self::from_files(&world.files(), world)
    }

    fn from_files(files: &[PolicyFile], world: &World) -> Option<Self> {
        let settings = settings();
        let session = |list: &Vec<_>| SessionPolicy::parse(document(list).as_bytes(), &settings).ok();
        let sessions = world.sessions.iter().map(session).collect::<Option<Vec<_>>>()?;
        let engine = PolicySet::load(files, &settings).ok()?;
        Some(Self { engine, reference: Reference::read(files, &settings), sessions })
    }

    fn engine(&self, ask: &Ask) -> Decision {
        self.engine.decide(&ask.question(&self.sessions))
    }

    fn reference(&self, ask: &Ask) -> Decision {
        self.reference.decide(&ask.question(&self.sessions))
    }
}

/// A folder of the generator: it must load, else the generator or the load checks are wrong.
fn loaded(world: &World, seed: u64) -> Loaded {
    Loaded::load(world).unwrap_or_else(|| {
        let settings = settings();
        let found = PolicySet::load(&world.files(), &settings).err();
        let sessions =
            world.sessions.iter().map(|list| SessionPolicy::parse(document(list).as_bytes(), &settings).err());
        panic!("seed {seed}: a folder does not load: {found:?} {:?}\n{}", sessions.collect::<Vec<_>>(), printed(world))
    })
}

fn printed(world: &World) -> String {
    let files = world.files();
    let text = |file: &PolicyFile| format!("  {}: {}\n", file.path, String::from_utf8_lossy(&file.bytes));
    let sessions = world.sessions.iter().map(|list| format!("  session policy: {}\n", document(list)));
    files.iter().map(text).chain(sessions).collect()
}

/// Runs `check` on folders from successive seeds until `questions` questions are asked.
fn for_each_world(questions: u64, check: impl Fn(&mut Dice, &World, &Loaded, u64)) {
    let first = seed();
    for at in 0..questions.div_ceil(QUESTIONS as u64) {
        let seed = first.wrapping_add(at);
        let mut dice = Dice::new(seed);
        let world = random_world(&mut dice);
        check(&mut dice, &world, &loaded(&world, seed), seed);
    }
}

fn fail(world: &World, ask: &Ask, seed: u64) -> ! {
    let differs = |smaller: &World| Loaded::load(smaller).is_some_and(|both| both.engine(ask) != both.reference(ask));
    let smallest = shrunk(world.clone(), differs);
    let both = loaded(&smallest, seed);
    panic!(
        "KEYWARD_ORACLE_SEED={seed}\n{ask:#?}\nfolder:\n{}engine:    {:?}\nreference: {:?}",
        printed(&smallest),
        both.engine(ask),
        both.reference(ask)
    )
}

#[test]
fn i05_the_engine_decides_as_the_naive_evaluator() {
    for_each_world(cases(), |dice, world, both, seed| {
        for _ in 0..QUESTIONS {
            let ask = random_ask(dice);
            if both.engine(&ask) != both.reference(&ask) {
                fail(world, &ask, seed);
            }
        }
    });
}

/// The oracle is worth something only if its cases decide in every way; the shares are rough lower bounds.
#[test]
fn the_random_cases_reach_every_kind_of_answer() {
    let counted = std::cell::RefCell::new([0_usize; 7]);
    for_each_world(8_000, |dice, _, both, _| {
        for _ in 0..QUESTIONS {
            let ask = random_ask(dice);
            let decision = both.reference(&ask);
            let mut counted = counted.borrow_mut();
            let kind = match decision.outcome {
                Verdict::Allow => 0,
                Verdict::Deny(Reason::Explicit) => 1,
                Verdict::Deny(Reason::Default) => 2,
                Verdict::Error(fault) => panic!("{fault}"),
            };
            counted[kind] += 1;
            let missing = matches!(ask.target, What::Secret(None, _));
            counted[3] += usize::from(missing && kind < 2);
            counted[4] += usize::from(ask.form != Form::Token && kind < 2);
            counted[5] += usize::from(decision.layers.len() > 1);
            counted[6] += usize::from(ask.session.is_some() && kind == 0);
        }
    });
    let counted = counted.into_inner();
    assert!(
        counted.iter().zip([800, 800, 800, 200, 300, 300, 50]).all(|(found, least)| *found >= least),
        "{counted:?}"
    );
}

/// A folder as given and as changed, asked the same.
fn before_and_after(both: &Loaded, changed: &World, ask: &Ask) -> Option<(Decision, Decision)> {
    let after = Loaded::load(changed)?;
    Some((both.engine(ask), after.engine(ask)))
}

#[test]
fn i05_adding_a_deny_statement_never_widens() {
    let deny = [
        json!({"effect": "deny", "action": "ssm:Get*", "resource": "*"}),
        json!({"effect": "deny", "action": "*", "resource": "qcs::ssm:::secret/creatorUin/${uin}/*"}),
        json!({"effect": "deny", "action": "ssm:*", "resource": "*",
               "condition": {"ip_not_equal": {"qcs:ip": "10.0.0.0/8"}}}),
    ];
    for_each_world(cases() / 10, |dice, world, both, seed| {
        let mut changed = world.clone();
        let names: Vec<&String> = world.documents.keys().collect();
        let list = changed.documents.get_mut(dice.one(&names)).expect("a document");
        list.insert(dice.below(list.len() + 1), dice.one(&deny.each_ref()).clone());
        let ask = random_ask(dice);
        // The folder is refused when the document hangs on a group that a token may leave out.
        let Some((before, after)) = before_and_after(both, &changed, &ask) else {
            return;
        };
        assert!(after.outcome != Verdict::Allow || before.outcome == Verdict::Allow, "seed {seed}: {ask:?}");
    });
}

#[test]
fn i05_adding_a_boundary_never_widens() {
    for_each_world(cases() / 10, |dice, world, both, seed| {
        let mut changed = world.clone();
        let names: Vec<&String> = world.documents.keys().collect();
        changed.boundaries.push((dice.one(&names).clone(), vec![dice.one(&["everyone", "issuer/corp"]).to_owned()]));
        let ask = random_ask(dice);
        let (before, after) = before_and_after(both, &changed, &ask).expect("it loads");
        assert!(after.outcome != Verdict::Allow || before.outcome == Verdict::Allow, "seed {seed}: {ask:?}");
    });
}

#[test]
fn the_order_of_files_and_statements_never_changes_the_verdict() {
    for_each_world(cases() / 10, |dice, world, both, seed| {
        let mut changed = world.clone();
        changed.documents.values_mut().for_each(|list| dice.shuffle(list));
        changed.sessions.iter_mut().for_each(|list| dice.shuffle(list));
        dice.shuffle(&mut changed.attachments);
        dice.shuffle(&mut changed.boundaries);
        let mut files = changed.files();
        dice.shuffle(&mut files);
        let after = Loaded::from_files(&files, &changed).expect("it loads in any order");
        for _ in 0..QUESTIONS {
            let ask = random_ask(dice);
            assert_eq!(both.engine(&ask).outcome, after.engine(&ask).outcome, "seed {seed}: {ask:?}");
        }
    });
}

#[test]
fn removing_an_attachment_to_someone_else_never_changes_the_decision() {
    let others = ["user/corp/z", "group/corp/z", "role/corp/z", "role/dev/z", "user/dev/z"];
    for_each_world(cases() / 10, |dice, world, _, seed| {
        let names: Vec<&String> = world.documents.keys().collect();
        let mut with = world.clone();
        let entry = (dice.one(&names).clone(), vec![dice.one(&others).to_owned()]);
        let list = if dice.percent(50) { &mut with.attachments } else { &mut with.boundaries };
        list.insert(dice.below(list.len() + 1), entry);
        let (with, without) = (loaded(&with, seed), loaded(world, seed));
        for _ in 0..QUESTIONS {
            let ask = random_ask(dice);
            assert_eq!(with.engine(&ask), without.engine(&ask), "seed {seed}: {ask:?}");
        }
    });
}

#[test]
fn an_access_key_is_never_allowed_more_than_its_holders_token() {
    for_each_world(cases() / 10, |dice, _, both, seed| {
        let mut ask = random_ask(dice);
        if ask.form != Form::Token {
            return;
        }
        let token = both.engine(&ask);
        ask.form = Form::AccessKey;
        let as_kept = both.engine(&ask);
        ask.restricted = [ask.groups.clone(), ask.roles.clone()].concat();
        (ask.groups, ask.roles) = (Vec::new(), Vec::new());
        let key = both.engine(&ask);
        assert_eq!(key, as_kept, "seed {seed}: {ask:?}");
        assert!(key.outcome != Verdict::Allow || token.outcome == Verdict::Allow, "seed {seed}: {ask:?}");
    });
}

#[test]
fn who_is_allowed_on_a_missing_secret_is_allowed_whoever_made_it_and_whatever_its_tags() {
    for_each_world(cases() / 10, |dice, _, both, seed| {
        let missing = random_ask(dice);
        let What::Secret(None, name) = &missing.target else {
            return;
        };
        let on_missing = both.engine(&missing);
        for number in [7, 70, 8, 9] {
            let mut ask = missing.clone();
            ask.target = What::Secret(CreatorNumber::new(number), name.clone());
            ask.context.values.insert(ConditionKey::CreateUin, vec![number.to_string()]);
            let tags = dice.some(&["env&prod", "env&dev", "team&a", "k&"], 0, 2);
            ask.context.values.insert(ConditionKey::ResourceTag, tags.into_iter().map(str::to_owned).collect());
            let found = both.engine(&ask);
            assert!(on_missing.outcome != Verdict::Allow || found.outcome == Verdict::Allow, "seed {seed}: {ask:?}");
            // Whoever an explicit deny would meet on some existing secret meets it on a missing one.
            let denied = |decision: &Decision| decision.outcome == Verdict::Deny(Reason::Explicit);
            assert!(!denied(&found) || denied(&on_missing), "seed {seed}: {ask:?}");
        }
    });
}
