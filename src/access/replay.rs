//! The same request decided again, from its record alone (invariant I4): the stored texts of a revision, and the
//! question that a record holds.

mod against;
mod beside;
mod flips;
mod glance;
mod input;
mod observed;
mod reading;

pub use against::{Against, Told};
pub use beside::Beside;
pub use flips::{Answer, Flip, Flips, Times};
pub use observed::{Observed, Seen};

use super::{key_use, shadow};
use crate::actions::{self, ConditionKey};
use crate::authz::{
    Caller, Context, CredentialForm, DecidingStatement, Decision, Explanation, Fault, Layer, PolicyFile, PolicySet,
    Question, Reason, Remedy, SessionPolicy, Settings, StatementEffect, Target, Verdict,
};
use crate::keys::KeyId;
use crate::principal::{Kind, Principal};
use crate::resource::{CreatorNumber, Place, SecretName};
use keyward_audit::record::{self, Record};
use keyward_audit::store::{self, Family, Key, Snapshot, Store, StoreError, Write};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashSet};

/// Reads a row of the family `texts`.
pub type TextRow<'a> = dyn FnMut(&[u8]) -> Result<Option<Vec<u8>>, StoreError> + 'a;

/// What a revision is made of, as the store keeps it beside the texts: its frame `config`, and digests by path.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    config: String,
    files: BTreeMap<String, String>,
}

/// Why a stored revision, or a record's question, cannot be had again.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store holds no such revision, or only part of it.
    #[error("the store holds no complete policy revision `{0}`")]
    Missing(String),
    /// Its texts do not load, or are another revision.
    #[error("the stored texts of policy revision `{0}` are not that revision")]
    Differs(String),
    /// It cannot be decided again.
    #[error("it cannot be decided: {0}")]
    Undecidable(#[from] Fault),
    /// The record does not hold what a decision needs.
    #[error("the record lacks what a decision needs: {0}")]
    Incomplete(&'static str),
}

/// Where a text is kept, by its digest, which records write with `sha256:` before it.
pub(super) fn text_key(digest: &str) -> Vec<u8> {
    format!("text/{}", digest.trim_start_matches("sha256:")).into_bytes()
}

fn manifest_key(revision: &str) -> Vec<u8> {
    format!("revision/{revision}").into_bytes()
}

/// The revisions whose digests begin with these hex digits, at most `most` of them.
pub(super) fn revisions_of(rows: &dyn Snapshot, digits: &str, most: usize) -> Result<Vec<String>, StoreError> {
    let from = manifest_key(&format!("sha256:{digits}"));
    // Behind every hex digit.
    let to = [from.as_slice(), b"g"].concat();
    let mut found = Vec::new();
    rows.scan(Family::Texts, &from, &to, false, &mut |key, _| {
        let name = std::str::from_utf8(key).ok().and_then(|key| key.strip_prefix("revision/"));
        found.extend(name.map(str::to_owned));
        found.len() < most
    })?;
    Ok(found)
}

/// The rows that keep a revision: each text by its digest, unless `kept`, a revision that is kept already, has it; and the list of them.
#[must_use]
pub fn revision_rows(set: &PolicySet, kept: Option<&PolicySet>) -> Vec<Write> {
    let kept: HashSet<&[u8]> =
        kept.map_or(&[][..], PolicySet::files).iter().map(|file| file.bytes.as_slice()).collect();
    let config = String::from_utf8_lossy(set.config_frame()).into_owned();
    let mut manifest = Manifest { config, files: BTreeMap::new() };
    let mut writes = Vec::new();
    for file in set.files() {
        let digest = hex::encode(Sha256::digest(&file.bytes));
        if !kept.contains(file.bytes.as_slice()) {
            let key = Key::new(Family::Texts, text_key(&digest));
            writes.push(Write { key, value: Some(file.bytes.clone()) });
        }
        manifest.files.insert(file.path.clone(), digest);
    }
    let key = Key::new(Family::Texts, manifest_key(set.revision()));
    writes.push(Write { key, value: serde_json::to_vec(&manifest).ok() });
    writes
}

/// A revision from its stored texts; `get` reads a row of the family `texts`.
///
/// # Errors
/// [`ReplayError`] if the store cannot be read, lacks a part, or what it holds is not that revision.
pub fn stored_revision(revision: &str, get: &mut TextRow<'_>) -> Result<PolicySet, ReplayError> {
    let missing = || ReplayError::Missing(revision.to_owned());
    let differs = || ReplayError::Differs(revision.to_owned());
    let manifest = get(&manifest_key(revision))?.ok_or_else(missing)?;
    let manifest: Manifest = serde_json::from_slice(&manifest).map_err(|_| differs())?;
    let mut files = Vec::new();
    for (path, digest) in manifest.files {
        files.push(PolicyFile { path, bytes: get(&text_key(&digest))?.ok_or_else(missing)? });
    }
    let settings = Settings::of_revision(manifest.config.as_bytes()).ok_or_else(differs)?;
    let set = PolicySet::load(&files, &settings).map_err(|_| differs())?;
    if set.revision() == revision { Ok(set) } else { Err(differs()) }
}

/// The version of the catalogue that a revision was decided under.
fn catalogue_of(revision: &str, get: &mut TextRow<'_>) -> Result<u64, ReplayError> {
    let manifest = get(&manifest_key(revision))?.ok_or_else(|| ReplayError::Missing(revision.to_owned()))?;
    let manifest: Option<Manifest> = serde_json::from_slice(&manifest).ok();
    let settings = manifest.and_then(|manifest| Settings::of_revision(manifest.config.as_bytes()));
    settings.map(|settings| settings.catalogue).ok_or_else(|| ReplayError::Differs(revision.to_owned()))
}

/// What a record says was decided.
#[must_use]
pub fn recorded(record: &Record) -> Option<Decision> {
    let policy = record.draft().policy.as_ref()?;
    let outcome = match (record.draft().decision?, record.draft().reason.as_deref()) {
        (record::Decision::Allow, _) => Verdict::Allow,
        (record::Decision::Deny, Some("explicit_deny")) => Verdict::Deny(Reason::Explicit),
        (record::Decision::Deny, _) => Verdict::Deny(Reason::Default),
        (record::Decision::Error, _) => return None,
    };
    let layers = policy.layers.iter().map(|layer| DecidingStatement {
        layer: match layer.layer {
            record::LayerName::Identity => Layer::Identity,
            record::LayerName::Boundary => Layer::Boundary,
            record::LayerName::Session => Layer::Session,
            record::LayerName::Trust => Layer::Trust,
        },
        effect: match layer.effect {
            record::Effect::Allow => StatementEffect::Allow,
            record::Effect::Deny => StatementEffect::Deny,
        },
        document: layer.document.clone(),
        statement: layer.statement,
    });
    Some(Decision { outcome, layers: layers.collect() })
}

/// Decides a recorded request again under `set`.
///
/// # Errors
/// [`ReplayError::Incomplete`] if the record does not hold what the decision needs.
pub fn decide_again(record: &Record, set: &PolicySet, get: &mut TextRow<'_>) -> Result<Decision, ReplayError> {
    ask_again(record, set, get, |question| set.decide(question))
}

/// The policy that narrowed the caller's session, if one did, from its stored text.
fn session_policy(
    record: &Record,
    settings: &Settings,
    get: &mut TextRow<'_>,
) -> Result<Option<SessionPolicy>, ReplayError> {
    let Some(digest) = record.draft().session_policy.as_deref() else { return Ok(None) };
    let text = get(&text_key(digest))?.ok_or(ReplayError::Incomplete("the session policy's text"))?;
    let policy = SessionPolicy::parse(&text, settings).ok().filter(|policy| policy.digest() == digest);
    policy.map(Some).ok_or(ReplayError::Incomplete("a session policy that loads"))
}

/// A recorded request, and each statement that was attached to its caller, under the request's own revision.
#[derive(Debug)]
pub struct Explained {
    /// The record.
    pub record: Record,
    /// Every attached statement and why it did not apply, if it did not.
    pub statements: Vec<Explanation>,
    /// What would have had to be otherwise for it to be allowed; nothing if it was.
    pub remedies: Vec<Remedy>,
    /// The same of the gateway itself, in whose role the request used a key; none if it used none.
    pub key_use: Vec<Explanation>,
}

/// Explains the decision that the record at `index` holds.
///
/// # Errors
/// [`ReplayError`] if there is no such record, it holds no decision by policy, or its revision cannot be had again.
pub fn explain(store: &dyn Store, origin: &str, index: u64) -> Result<Explained, ReplayError> {
    let bytes = keyward_audit::log::record_at(store, origin, index)?;
    let bytes = bytes.ok_or(ReplayError::Incomplete("a record of that index"))?;
    explain_record(&bytes, &mut |key| store::read(store, |rows| rows.get(Family::Texts, key)))
}

/// Explains the decision that a record holds; `get` reads a row of the family `texts`.
///
/// # Errors
/// As [`explain`].
pub(super) fn explain_record(bytes: &[u8], get: &mut TextRow<'_>) -> Result<Explained, ReplayError> {
    let record = Record::parse(bytes).map_err(|_| ReplayError::Incomplete("a record of that index"))?;
    let revision = record.draft().policy.as_ref().map(|policy| policy.revision.clone());
    let revision = revision.ok_or(ReplayError::Incomplete("a decision by policy"))?;
    let set = stored_revision(&revision, get)?;
    let settings = Settings::of_revision(set.config_frame()).ok_or(ReplayError::Differs(revision))?;
    let (statements, remedies) = ask_again(&record, &set, get, |question| {
        let statements = set.explain(question)?;
        let remedies = set.remedies(question, &statements)?;
        Ok::<_, Fault>((statements, remedies))
    })??;
    let key_use = key_use::explain(record.draft(), &set, &settings.place)?;
    Ok(Explained { record, statements, remedies, key_use })
}

/// Puts the question that a record holds to `ask`.
fn ask_again<R>(
    record: &Record,
    set: &PolicySet,
    get: &mut TextRow<'_>,
    ask: impl FnOnce(&Question<'_>) -> R,
) -> Result<R, ReplayError> {
    let draft = record.draft();
    let incomplete = ReplayError::Incomplete;
    let settings = Settings::of_revision(set.config_frame()).ok_or(incomplete("a revision of this catalogue"))?;
    let session_policy = session_policy(record, &settings, get)?;
    let assumed_by = draft.assumed_by.as_deref().and_then(|text| Principal::parse(text).ok());
    let recorded = draft.context.as_ref().ok_or(incomplete("context"))?;
    let name = draft.action.split_once(':').map_or("", |(_, name)| name);
    let action = actions::by_name(name).ok_or(incomplete("a known action"))?;
    let principal = draft.principal.as_deref().and_then(|text| Principal::parse(text).ok());
    let principal = principal.ok_or(incomplete("principal"))?;
    let proved = |texts: &std::collections::BTreeSet<String>| -> Vec<Principal> {
        let all = texts.iter().filter_map(|text| Principal::parse(text).ok());
        all.filter(|principal| principal.issuer() != Some(crate::principal::LOCAL)).collect()
    };
    let (groups, roles) = (proved(&recorded.groups), proved(&recorded.roles));
    let mut context = Context::default();
    for (key, values) in &recorded.conditions {
        let key = ConditionKey::parse(key).ok_or(incomplete("a known condition key"))?;
        context.values.insert(key, values.iter().cloned().collect());
    }
    let creator = context.values.get(&ConditionKey::Uin).and_then(|values| values.first());
    let creator =
        creator.and_then(|text| text.parse().ok()).and_then(CreatorNumber::new).ok_or(incomplete("qcs:uin"))?;
    let target = draft.resource.as_deref().map(|text| target(text, &settings.place)).transpose()?;
    let question = Question {
        caller: Caller {
            principal: &principal,
            groups: &groups,
            roles: &roles,
            restricted: &[],
            creator,
            form: match (&draft.credential, &assumed_by) {
                (Some(record::Credential::Session { .. }), Some(by)) if principal.kind() == Kind::Role => {
                    CredentialForm::Session { assumed_issuer: by.issuer() }
                }
                (Some(record::Credential::AccessKey { .. } | record::Credential::Session { .. }), _) => {
                    CredentialForm::AccessKey
                }
                _ => CredentialForm::Token,
            },
        },
        action,
        target: match &target {
            Some(Recorded::Secret(creator, name)) => Target::Secret { creator: *creator, name },
            Some(Recorded::Key(id)) => Target::Key { id: id.as_str() },
            Some(Recorded::Role(role)) => Target::Role { role },
            None => Target::Operation,
        },
        context: &context,
        session_policy: session_policy.as_ref(),
    };
    Ok(ask(&question))
}

/// What a record's resource is.
enum Recorded {
    Secret(Option<CreatorNumber>, SecretName),
    Key(KeyId),
    Role(Principal),
}

/// A recorded resource; creator `*` is one that was unknown.
fn target(text: &str, place: &Place) -> Result<Recorded, ReplayError> {
    if let Some((creator, name)) = place.parse_secret(text) {
        return Ok(Recorded::Secret(Some(creator), name));
    }
    if let Some(id) = place.parse_key(text).and_then(|id| KeyId::parse(id).ok()) {
        return Ok(Recorded::Key(id));
    }
    if let Some(role) = place.parse_role(text) {
        return Ok(Recorded::Role(role));
    }
    let name = text.split_once("/*/").and_then(|(_, name)| SecretName::parse(name).ok());
    let unknown = name.filter(|name| place.secret(None, name) == text);
    unknown.map(|name| Recorded::Secret(None, name)).ok_or(ReplayError::Incomplete("a resource of this gateway"))
}

/// What deciding a whole trail again came to.
#[derive(Debug, Default)]
pub struct Replayed {
    /// Decisions made again.
    pub decided: u64,
    /// Records whose decision came out otherwise, or could not be made, with the reason.
    pub differences: Vec<(u64, String)>,
}

/// Decides every recorded access of a log again, each under its own revision; tells `progress` of records done and of
/// all. Records without a policy (malformed requests, keyward's own) are passed over.
///
/// # Errors
/// [`ReplayError::Store`] if the store cannot be read.
pub fn whole_trail(
    store: &dyn Store,
    origin: &str,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Replayed, ReplayError> {
    let mut replayed = Replayed::default();
    let mut revisions = BTreeMap::new();
    let mut get = |key: &[u8]| store::read(store, |snapshot| snapshot.get(Family::Texts, key));
    keyward_audit::log::each_record(store, origin, &mut |index, size, bytes| {
        progress(index.saturating_add(1), size);
        if let Err(reason) = replay_one(bytes, &mut revisions, &mut get, &mut replayed.decided) {
            replayed.differences.push((index, reason));
        }
    })?;
    Ok(replayed)
}

type Revisions = BTreeMap<String, Result<(PolicySet, Place), String>>;

fn known_revision<'a>(
    revisions: &'a mut Revisions,
    revision: &str,
    get: &mut TextRow<'_>,
) -> Result<&'a (PolicySet, Place), String> {
    let known = revisions.entry(revision.to_owned()).or_insert_with_key(|revision| {
        let set = stored_revision(revision, get).map_err(|error| error.to_string())?;
        let settings = Settings::of_revision(set.config_frame()).ok_or("it is of another catalogue")?;
        Ok((set, settings.place))
    });
    known.as_ref().map_err(Clone::clone)
}

/// What a record says of the set in the shadow, decided again by it. Panics are not decided again: they are no property of the request.
fn replay_shadow(record: &Record, revisions: &mut Revisions, get: &mut TextRow<'_>) -> Result<(), String> {
    let draft = record.draft();
    let request = draft.policy.as_ref().and_then(|policy| policy.shadow.clone()).map(|said| (said, false));
    let key = key_use::shadow_said(draft).map(|said| (said, true));
    for (said, is_key_use) in request.into_iter().chain(key) {
        if said.decision == record::Decision::Error {
            continue;
        }
        let (set, place) = known_revision(revisions, &said.revision, get)?;
        let again = if is_key_use {
            key_use::answer_again(draft, set, place).map_err(|error| error.to_string())?
        } else {
            let decision = decide_again(record, set, get).map_err(|error| error.to_string())?;
            Some(shadow::word(decision.outcome))
        };
        if again != Some(said.decision) {
            return Err(format!(
                "the set in the shadow, asked again, decides {again:?}; recorded is {:?}",
                said.decision
            ));
        }
    }
    Ok(())
}

fn replay_one(bytes: &[u8], revisions: &mut Revisions, get: &mut TextRow<'_>, decided: &mut u64) -> Result<(), String> {
    let record = Record::parse(bytes).map_err(|error| error.to_string())?;
    let Some(policy) = &record.draft().policy else { return Ok(()) };
    let (set, place) = known_revision(revisions, &policy.revision, get)?;
    let Some(before) = recorded(&record) else { return Ok(()) };
    let again = decide_again(&record, set, get).map_err(|error| error.to_string())?;
    *decided = decided.saturating_add(1);
    if let Some(difference) = key_use::differs(record.draft(), set, place).map_err(|error| error.to_string())? {
        return Err(difference);
    }
    replay_shadow(&record, revisions, get)?;
    if again == before { Ok(()) } else { Err(format!("decided again it is {again:?}, recorded is {before:?}")) }
}
