//! SuggestPolicies: the least that the live policy set needs to grant for what was done, as the trail tells it.
//!
//! It runs where replays run, in the thread of a file on its way ([`Blocks`]), one of them or of replays at a time, and changes nothing.
//! The trail is read twice: for what was done, and to have each record decided by the live set and by what is suggested. What
//! is kept meanwhile is bounded by the policy folder: the use of its statements, and two sets.
//!
//! INVARIANT I5: nothing is suggested that does not load, that the comparison finds to grant anything new, or by which a recorded access
//! comes out otherwise. It is named then, with the reason, and that is all.
//!
//! What it says is JSON, one object a line: `Read` and `Of` as it goes on, then suggestions, what is withheld, statements that nobody used,
//! wildcards of few names, what cannot be decided, and last the totals. A file without totals broke off.

use super::attempt::Carried;
use super::export::Blocks;
use super::gateway::Gateway;
use super::grant::Exported;
use super::policies::Live;
use super::replay::{Beside, Observed};
use super::request::SuggestPolicies;
use super::review::{Turn, go_on, line};
use crate::authz::{self, DiffError, Finding, PolicyFile, PolicySet, Settings, Suggestion};
use keyward_audit::log::Records;
use keyward_audit::record::{Draft, INTEGER_MAX, Value as RecordValue};
use keyward_audit::store::StoreError;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;

/// So many suggestions are compared with the live set one by one. Each comparison goes over the whole set: of more of them, all
/// are compared in one.
const ONE_BY_ONE_MAX: usize = 100;
/// The file that says to whom documents are attached.
const ATTACHMENTS: &str = "attachments.json";

/// Carries out an allowed SuggestPolicies.
pub(super) fn suggest(gateway: &Gateway, wanted: &SuggestPolicies, draft: &mut Draft) -> Result<Carried, StoreError> {
    let turn = match Turn::take(gateway) {
        Ok(turn) => turn,
        Err(error) => return Ok(Carried::Failed(error)),
    };
    if let Some(who) = &wanted.who {
        draft.parameters.insert("principal".to_owned(), RecordValue::from(who.as_str()));
    }
    if wanted.since_s > 0 {
        draft.parameters.insert("start_time".to_owned(), RecordValue::from(wanted.since_s.min(INTEGER_MAX)));
    }
    let since_us = wanted.since_s.saturating_mul(1_000_000);
    let (first, second) = (gateway.log().records_since(since_us)?, gateway.log().records_since(since_us)?);
    Ok(Carried::Export(Exported(Blocks::new(Suggesting {
        live: gateway.policies().live(),
        settings: gateway.policies().settings(),
        of: first.left(),
        end: 0,
        first,
        second,
        observed: Observed::new(wanted.who.clone(), since_us),
        stage: Stage::Observing,
        checked: Vec::new(),
        withheld: Vec::new(),
        _turn: turn,
    }))))
}

/// A suggestion that loads and grants nothing new.
struct Checked {
    suggestion: Suggestion,
    /// How many things it takes away, as `policy diff` counts them; or why that cannot be said.
    takes_away: Result<usize, String>,
}

/// How far it is.
enum Stage {
    /// What was done is being read.
    Observing,
    /// Each suggestion is compared with the live set.
    Comparing(VecDeque<Suggestion>),
    /// The trail is decided by all of them together.
    Replaying(Box<PolicySet>, Beside),
    /// It is told.
    Telling(VecDeque<Value>),
}

/// Suggestions on their way.
struct Suggesting {
    live: Arc<Live>,
    settings: Arc<Settings>,
    /// Records of the span.
    of: u64,
    /// The index behind the last of them.
    end: u64,
    first: Records,
    second: Records,
    observed: Observed,
    stage: Stage,
    checked: Vec<Checked>,
    /// What is not suggested, and why.
    withheld: Vec<(String, String)>,
    _turn: Turn,
}

impl Iterator for Suggesting {
    type Item = Result<Vec<u8>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let went_on = match &mut self.stage {
            Stage::Telling(lines) => return lines.pop_front().map(|told| Ok(line(&told))),
            Stage::Observing => self.observe(),
            Stage::Comparing(_) => self.compare(),
            Stage::Replaying(..) => self.replay(),
        };
        let of = self.of.saturating_mul(2);
        let left = self.first.left().saturating_add(self.second.left().min(self.of));
        Some(went_on.map(|()| line(&json!({"Read": of.saturating_sub(left), "Of": of}))))
    }
}

impl Suggesting {
    /// Goes over some blocks for what was done; behind the last one it is known what to suggest.
    fn observe(&mut self) -> Result<(), StoreError> {
        go_on(&mut self.first, |index, record, text| {
            self.observed.add(&self.live.set, index, record, text);
            self.end = index.saturating_add(1);
        })?;
        if self.first.left() == 0 {
            let suggestions = self.suggestions();
            self.stage = match suggestions.len() > ONE_BY_ONE_MAX {
                true => self.compare_in_one(suggestions),
                false => Stage::Comparing(suggestions.into()),
            };
        }
        Ok(())
    }

    /// Whether anything was done that a suggestion could rest on: a time in which nothing happened says nothing.
    fn is_known(&self) -> bool {
        let seen = self.observed.seen();
        if self.observed.who().is_some() { seen.records > 0 } else { seen.accesses > 0 }
    }

    fn suggestions(&self) -> Vec<Suggestion> {
        let (set, usage) = (&self.live.set, self.observed.usage());
        if !self.is_known() {
            return Vec::new();
        }
        match self.observed.who() {
            None => set.narrowed(usage),
            Some(who) => {
                let least = set.least(usage, who);
                // Of somebody who did nothing and to whom nothing is attached there is nothing to say.
                let changes = set.with_suggestions(std::slice::from_ref(&least)) != set.files();
                changes.then_some(least).into_iter().collect()
            }
        }
    }

    /// Checks many suggestions in one comparison, or one by one if that finds anything wrong.
    fn compare_in_one(&mut self, suggestions: Vec<Suggestion>) -> Stage {
        let Ok(set) = self.together(&suggestions) else { return Stage::Comparing(suggestions.into()) };
        let reason = format!("of {} suggestions only all together are compared", suggestions.len());
        let checked = suggestions.into_iter();
        self.checked = checked.map(|suggestion| Checked { suggestion, takes_away: Err(reason.clone()) }).collect();
        Stage::Replaying(Box::new(set), Beside::default())
    }

    /// Checks one suggestion; behind the last one all of them are put together.
    fn compare(&mut self) -> Result<(), StoreError> {
        let Stage::Comparing(waiting) = &mut self.stage else { return Ok(()) };
        match waiting.pop_front() {
            Some(suggestion) => self.check(suggestion),
            None => self.combine(),
        }
        Ok(())
    }

    fn check(&mut self, suggestion: Suggestion) {
        let one = std::slice::from_ref(&suggestion);
        match self.loaded(one).and_then(|set| self.taken_away(&set)) {
            Err(reason) => self.withheld.push((suggestion.path, reason)),
            // One that takes nothing away stays: of two that grant the same, each does so as long as the other is there.
            Ok(takes_away) => self.checked.push(Checked { suggestion, takes_away }),
        }
    }

    /// All suggestions in one set, which the trail is then decided by.
    fn combine(&mut self) {
        let all = self.suggested();
        self.stage = match self.together(&all) {
            Ok(set) if !all.is_empty() => Stage::Replaying(Box::new(set), Beside::default()),
            Ok(_) => Stage::Telling(self.told()),
            Err(reason) => self.withholding(&reason),
        };
    }

    /// The live set with suggestions in it, which together grant nothing new; or why there is none.
    fn together(&self, suggestions: &[Suggestion]) -> Result<PolicySet, String> {
        self.loaded(suggestions).and_then(|set| self.taken_away(&set).map(|_| set))
    }

    /// The live set with suggestions in it; or why it does not load.
    fn loaded(&self, suggestions: &[Suggestion]) -> Result<PolicySet, String> {
        let files = self.live.set.with_suggestions(suggestions);
        PolicySet::load(&files, &self.settings).map_err(|findings| {
            let first = findings.first().map(Finding::to_string).unwrap_or_default();
            format!("it does not load: {first}")
        })
    }

    /// How many things a set takes away, or why that cannot be said exactly; an error if it gives anything, or may.
    fn taken_away(&self, set: &PolicySet) -> Result<Result<usize, String>, String> {
        match authz::diff(&self.live.set, set, &|_| None) {
            Ok(diff) if diff.has_gains() => Err("it would let somebody do something new".to_owned()),
            Ok(diff) => Ok(Ok(diff.lines.len().saturating_add(diff.roles.len()))),
            Err(error @ DiffError::Exhausted { .. }) => Ok(Err(error.to_string())),
            Err(error) => Err(format!("it cannot be compared: {error}")),
        }
    }

    /// Goes over some blocks with both sets; behind the last one it is told.
    fn replay(&mut self) -> Result<(), StoreError> {
        let Stage::Replaying(set, beside) = &mut self.stage else { return Ok(()) };
        go_on(&mut self.second, |index, record, text| {
            // What came since was not looked at, and may be new.
            if index < self.end {
                beside.add([&self.live.set, set], &self.settings.place, record, text);
            }
        })?;
        if self.second.left() > 0 {
            return Ok(());
        }
        let Beside { lost, won } = *beside;
        self.stage = if lost == 0 && won == 0 {
            Stage::Telling(self.told())
        } else {
            self.withholding(&format!(
                "replayed, `{lost}` recorded accesses would be denied and `{won}` denials allowed"
            ))
        };
        Ok(())
    }

    /// Suggests nothing.
    fn withholding(&mut self, reason: &str) -> Stage {
        let checked = std::mem::take(&mut self.checked);
        self.withheld.extend(checked.into_iter().map(|one| (one.suggestion.path, reason.to_owned())));
        Stage::Telling(self.told())
    }

    fn suggested(&self) -> Vec<Suggestion> {
        self.checked.iter().map(|checked| checked.suggestion.clone()).collect()
    }

    /// All lines but those that say how far it is.
    fn told(&self) -> VecDeque<Value> {
        let (set, usage, who) = (&self.live.set, self.observed.usage(), self.observed.who());
        let mut lines: VecDeque<Value> = self.checked.iter().map(|checked| self.suggestion(checked)).collect();
        lines.extend(self.attachments());
        lines.extend(self.withheld.iter().map(|(path, reason)| json!({"Withheld": path, "Reason": reason})));
        let unused = if self.is_known() { set.unused(usage, who) } else { Vec::new() };
        lines.extend(unused.into_iter().map(|unused| {
            json!({
                "Unused": unused.path, "Statement": unused.statement, "Line": unused.line, "Column": unused.column,
            })
        }));
        lines.extend(set.narrow_wildcards(usage, who).into_iter().map(|wildcard| {
            json!({
                "Wildcard": wildcard.text, "Path": wildcard.path, "Statement": wildcard.statement,
                "Part": wildcard.part.name(), "Used": wildcard.used,
            })
        }));
        let undecidable = &self.observed.seen().undecidable;
        lines.extend(
            undecidable
                .iter()
                .map(|(reason, (count, first))| json!({"Undecidable": reason, "Count": count, "FirstIndex": first})),
        );
        lines.push_back(self.totals());
        lines
    }

    fn suggestion(&self, checked: &Checked) -> Value {
        let Suggestion { path, text, accesses, who, keeps } = &checked.suggestion;
        let seen = self.observed.seen();
        let keeps: Vec<Value> = keeps.iter().map(|kept| json!({"Document": kept.document, "To": kept.to})).collect();
        json!({
            "Suggested": path, "Text": text, "Principal": who.as_ref().map(|who| who.as_str()), "Keeps": keeps,
            "Accesses": accesses, "Records": seen.records, "Days": seen.days(),
            "TakesAway": checked.takes_away.as_ref().ok(), "NotCompared": checked.takes_away.as_ref().err(),
        })
    }

    /// `attachments.json`, if suggestions change it.
    fn attachments(&self) -> Option<Value> {
        let of =
            |files: &[PolicyFile]| files.iter().find(|file| file.path == ATTACHMENTS).map(|file| file.bytes.clone());
        let new = of(&self.live.set.with_suggestions(&self.suggested()));
        let new = new.filter(|new| Some(new) != of(self.live.set.files()).as_ref())?;
        Some(json!({"Suggested": ATTACHMENTS, "Text": String::from_utf8(new).ok()?}))
    }

    fn totals(&self) -> Value {
        let seen = self.observed.seen();
        let (first, last) = seen.span_us.unwrap_or_default();
        let undecidable: u64 = seen.undecidable.values().map(|(count, _)| count).sum();
        json!({
            "Records": seen.records, "Accesses": seen.accesses, "DeniedNow": seen.denied, "Days": seen.days(),
            "FirstTime": first / 1_000_000, "LastTime": last / 1_000_000, "Revision": self.live.set.revision(),
            "Suggestions": self.checked.len(), "UndecidableTotal": undecidable,
        })
    }
}
