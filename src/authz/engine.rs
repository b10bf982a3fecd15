//! casbin, and the only file that imports it: the frame in which the statements of one layer are combined.
//!
//! A row of casbin's policy is the place of a statement in a short list: those that are attached to the caller and
//! name the action. casbin's one registered function, [`statement_holds`], holds that statement's resource and
//! condition against the request; how allow and deny combine is casbin's alone (`policies/model.conf`, compiled in).
//!
//! Frames are built on first use and kept in a bounded cache, one for each list of statements; what is kept depends on
//! the policy set only, never on a request: a frame keeps what casbin answered where the same rows held. The request reaches the registered function, which can capture nothing,
//! through a slot of the thread that is filled for the time of one call and guarded by a serial number.
//!
//! INVARIANT I5: an error or a panic in here is a [`Fault`], which denies; no row is ever skipped.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::{Context, Poll, Waker};

use casbin::function_map::OperatorFunction;
use casbin::rhai::Dynamic;
use casbin::{CoreApi, DefaultModel, Enforcer, Model, NullAdapter};

use super::decision::{Fault, Layer, StatementEffect};
use super::document::{Match, Statement};
use super::facts::Facts;

/// The model; part of the program, not of a policy folder.
const MODEL: &str = include_str!("../../policies/model.conf");
/// The name of the registered function in the model.
const FUNCTION: &str = "statement_holds";
/// Most memory that cached frames take, in bytes.
const CACHE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Measured size of a frame without rows, and of a row, in bytes.
const FRAME_BYTES: u32 = 14 * 1024;
const ROW_BYTES: u32 = 640;
/// Most answers that a frame keeps: most callers meet one or two of them.
const ANSWERS_MAX: usize = 16;

/// One statement of a layer.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// Its document, of a trust policy the role; none in the session layer.
    pub(super) document: Option<Arc<str>>,
    /// Its place in the document.
    pub(super) place: u32,
    pub(super) statement: Arc<Statement>,
}

/// What a frame is built from: the same key in the same policy set always has the same rows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct FrameKey {
    pub(super) layer: Layer,
    /// The action's place in the catalogue.
    pub(super) action: usize,
    /// The documents by place in the set, each with whether its allows count.
    pub(super) documents: Vec<(u32, bool)>,
    /// The digest of the session policy, or the role whose trust policy it is; empty in other layers.
    pub(super) session: String,
}

/// casbin's answer for one layer, with the statements that it rests on.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// Whether the layer allows.
    pub(super) allowed: bool,
    /// The first row that matched and allows.
    pub(super) allow: Option<Row>,
    /// The first row that matched and denies.
    pub(super) deny: Option<Row>,
}

/// casbin with its compiled-in model, and the frames built so far.
pub(super) struct Engine {
    model: DefaultModel,
    frames: moka::sync::Cache<FrameKey, Arc<Frame>>,
}

struct Frame {
    enforcer: Enforcer,
    rows: Arc<[Row]>,
    /// casbin's answers so far, by which of the rows hold.
    known: RwLock<Vec<(Holding, Answer)>>,
}

/// Which of the rows of a frame hold for a request: one bit for each, the first row's the lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Holding(u64);

impl Engine {
    /// casbin with the model of this program, probed: it must allow, deny and default to deny as it should.
    ///
    /// # Errors
    /// [`Fault`] if the model does not parse, or answers a probe wrongly.
    pub(super) fn new() -> Result<Self, Fault> {
        let engine = Self::with_model(MODEL)?;
        engine.probe()?;
        Ok(engine)
    }

    fn with_model(text: &str) -> Result<Self, Fault> {
        let model = caught(|| ready(DefaultModel::from_str(text))?.map_err(|_| Fault::Frame))?;
        let frames =
            moka::sync::Cache::builder().max_capacity(CACHE_BYTES_MAX).weigher(|_, frame| weigh(frame)).build();
        Ok(Self { model, frames })
    }

    /// Asks casbin about the rows of one layer.
    ///
    /// # Errors
    /// [`Fault`] if casbin, or a row, fails or panics.
    pub(super) fn answer(
        &self,
        key: &FrameKey,
        rows: impl FnOnce() -> Vec<Row>,
        facts: &Rc<Facts>,
    ) -> Result<Answer, Fault> {
        let frame = match self.frames.get(key) {
            Some(frame) => frame,
            None => {
                self.frames.try_get_with(key.clone(), || self.build(rows()).map(Arc::new)).map_err(|fault| *fault)?
            }
        };
        frame.ask(facts)
    }

    /// Asks casbin what it must answer rightly before it may decide anything: an allow, a deny beside an allow in both
    /// orders, an allow that does not match, and nothing.
    fn probe(&self) -> Result<(), Fault> {
        use StatementEffect::{Allow, Deny};
        let row = |effect, matches| {
            let statement = Arc::new(Statement::probe(effect, matches));
            Row { document: None, place: 0, statement }
        };
        let facts = Rc::new(Facts::probe());
        for (rows, expected) in [
            (vec![row(Allow, true)], true),
            (vec![row(Allow, true), row(Deny, true)], false),
            (vec![row(Deny, true), row(Allow, true)], false),
            (vec![row(Allow, true), row(Deny, false)], true),
            (vec![row(Allow, false)], false),
            (Vec::new(), false),
        ] {
            if self.build(rows)?.ask(&facts)?.allowed != expected {
                return Err(Fault::Frame);
            }
        }
        Ok(())
    }

    fn build(&self, rows: Vec<Row>) -> Result<Frame, Fault> {
        let mut model = self.model.clone();
        for (place, row) in rows.iter().enumerate() {
            let effect = row.statement.effect.name().to_owned();
            if !model.add_policy("p", "p", vec![place.to_string(), effect]) {
                return Err(Fault::Frame);
            }
        }
        let mut enforcer = caught(|| ready(Enforcer::new_raw(model, NullAdapter))?.map_err(|_| Fault::Frame))?;
        enforcer.add_function(FUNCTION, OperatorFunction::Arg2(statement_holds));
        if !enforcer.is_enabled() {
            return Err(Fault::Frame);
        }
        Ok(Frame { enforcer, rows: rows.into(), known: RwLock::default() })
    }
}

impl Frame {
    /// casbin's answer: a given one, if the same rows held before. Statements are held against each request anew.
    fn ask(&self, facts: &Rc<Facts>) -> Result<Answer, Fault> {
        let Some(holding) = caught(|| Ok(self.holding(facts)))? else { return self.ask_casbin(facts) };
        if let Some(answer) = self.known_answer(holding) {
            return Ok(answer);
        }
        let answer = self.ask_casbin(facts)?;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() < ANSWERS_MAX {
            known.push((holding, answer.clone()));
        }
        Ok(answer)
    }

    /// None if there are more rows than bits, or a row fails.
    fn holding(&self, facts: &Facts) -> Option<Holding> {
        if self.rows.len() > u64::BITS as usize {
            return None;
        }
        let each = self.rows.iter().rev().map(|row| row.statement.holds(facts));
        let bits = each.map(|holds| holds.map(|holds| u64::from(holds == Match::Matches)));
        bits.reduce(|bits, bit| Ok((bits? << 1) | bit?)).unwrap_or(Ok(0)).ok().map(Holding)
    }

    fn known_answer(&self, holding: Holding) -> Option<Answer> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().find(|(seen, _)| *seen == holding).map(|(_, answer)| answer.clone())
    }

    fn ask_casbin(&self, facts: &Rc<Facts>) -> Result<Answer, Fault> {
        let call = Call::enter(self.rows.clone(), facts.clone());
        let allowed = caught(|| self.enforcer.enforce((call.serial,)).map_err(|_| Fault::Frame));
        let state = call.leave()?;
        if let Some(fault) = state.fault {
            return Err(fault);
        }
        let allowed = allowed?;
        let first = |effect| state.matched.iter().find(|row| row.statement.effect == effect).cloned();
        let answer = Answer { allowed, allow: first(StatementEffect::Allow), deny: first(StatementEffect::Deny) };
        // An allow must rest on a statement that the record can name.
        if answer.allowed && answer.allow.is_none() { Err(Fault::Frame) } else { Ok(answer) }
    }
}

fn weigh(frame: &Arc<Frame>) -> u32 {
    u32::try_from(frame.rows.len()).unwrap_or(u32::MAX).saturating_mul(ROW_BYTES).saturating_add(FRAME_BYTES)
}

/// Runs a part of casbin; a panic in it is a fault like any other.
fn caught<T>(run: impl FnOnce() -> Result<T, Fault>) -> Result<T, Fault> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or(Err(Fault::Panic))
}

/// The result of a future that never waits: casbin's are asynchronous for adapters that read files, and this one has
/// none.
fn ready<T>(future: impl Future<Output = T>) -> Result<T, Fault> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => Ok(result),
        Poll::Pending => Err(Fault::Frame),
    }
}

thread_local! {
    static CURRENT: RefCell<Option<CallState>> = const { RefCell::new(None) };
    static SERIAL: Cell<i32> = const { Cell::new(0) };
}

/// What the registered function works on.
struct CallState {
    serial: i32,
    rows: Arc<[Row]>,
    facts: Rc<Facts>,
    /// The rows that matched, in casbin's order, which is theirs.
    matched: Vec<Row>,
    fault: Option<Fault>,
}

/// The time of one call: the slot is filled while it lives, and empty afterwards whatever happens.
struct Call {
    serial: i32,
}

impl Call {
    fn enter(rows: Arc<[Row]>, facts: Rc<Facts>) -> Self {
        let serial = SERIAL.get().wrapping_add(1);
        SERIAL.set(serial);
        let state = CallState { serial, rows, facts, matched: Vec::new(), fault: None };
        CURRENT.with(|slot| slot.replace(Some(state)));
        Self { serial }
    }

    fn leave(self) -> Result<CallState, Fault> {
        CURRENT.with(RefCell::take).ok_or(Fault::Frame)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        CURRENT.with(|slot| slot.replace(None));
    }
}

/// casbin's one registered function: whether the statement of a row matches the request of this call. On a fault it
/// answers with no boolean, which fails the whole call.
fn statement_holds(call: Dynamic, row: Dynamic) -> Dynamic {
    let answer = CURRENT.with(|slot| {
        let mut slot = slot.try_borrow_mut().map_err(|_| Fault::Frame)?;
        let state = slot.as_mut().filter(|state| call.as_int().ok() == Some(state.serial)).ok_or(Fault::Frame)?;
        let answer = state.holds(&row);
        state.fault = state.fault.or(answer.err());
        answer
    });
    answer.map_or(Dynamic::UNIT, Dynamic::from)
}

impl CallState {
    fn holds(&mut self, row: &Dynamic) -> Result<bool, Fault> {
        let place = row.read_lock::<casbin::rhai::ImmutableString>().ok_or(Fault::Frame)?;
        if place.is_empty() {
            // Without rows casbin runs the matcher once, on blank fields: no statement, so none holds.
            return Ok(false);
        }
        let place: usize = place.parse().map_err(|_| Fault::Frame)?;
        let row = self.rows.get(place).ok_or(Fault::Frame)?;
        let holds = row.statement.holds(&self.facts)? == Match::Matches;
        if holds {
            self.matched.push(row.clone());
        }
        Ok(holds)
    }
}

#[cfg(test)]
impl Engine {
    /// An engine whose model has an effect that casbin does not know, which panics.
    pub(super) fn panicking() -> Self {
        let known = "some(where (p.eft == allow)) && !some(where (p.eft == deny))";
        Self::with_model(&MODEL.replace(known, "any(where (p.eft == allow))")).unwrap()
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
