//! What the records of a log say of secrets and revocations, read in order: the state that the store must hold.

use super::Found;
use crate::actions::{self, Level, Operation};
use crate::authn::Selector;
use crate::resource::SecretName;
use crate::secret::row::{SecretRow, VersionMeta};
use keyward_audit::record::{Context, Decision, Draft, Kind, Outcome, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Something that a record said, and that record's index.
struct At<T> {
    what: T,
    index: u64,
}

/// A version, as records name it.
struct Version {
    value: String,
    staged: bool,
}

/// A secret, as the records made it.
struct Life {
    made: u64,
    creator: String,
    tags: BTreeSet<String>,
    enabled: At<bool>,
    current: At<String>,
    versions: BTreeMap<String, At<Version>>,
}

/// All that the records said so far.
#[derive(Default)]
pub(super) struct Said {
    secrets: BTreeMap<String, Life>,
    /// By key: up to which time of issue, and the record.
    revocations: BTreeMap<Vec<u8>, At<u64>>,
}

impl Said {
    /// Takes in the next record. What it decided on or read must be what the records before it made.
    pub(super) fn hear(&mut self, index: u64, draft: &Draft, found: &mut Found) {
        let action = draft.action.split_once(':').and_then(|(_, name)| actions::by_name(name));
        let Some(action) = action.filter(|_| draft.kind == Kind::Access) else { return };
        let is_done = draft.decision == Some(Decision::Allow) && draft.outcome == Some(Outcome::Ok);
        if let Some((creator, name)) = draft.resource.as_deref().and_then(secret_of) {
            if let (Level::Secret, Some(context)) = (action.level, &draft.context) {
                self.check_decision(index, (creator, name), context, found);
            }
            if is_done {
                self.carry_out(index, action.operation, (creator, name), draft, found);
            }
        } else if is_done && action.operation == Operation::RevokeToken {
            self.revoke(index, draft, found);
        }
    }

    /// The creator and the tags that a decision saw are those of the secret, or it is unknown to both.
    fn check_decision(&self, index: u64, (creator, name): (&str, &str), context: &Context, found: &mut Found) {
        let none = BTreeSet::new();
        let tags = context.conditions.get("qcs:resource_tag").unwrap_or(&none);
        let fits = match self.secrets.get(name) {
            Some(life) => life.creator == creator && life.tags == *tags,
            None => creator == "*",
        };
        if !fits {
            found.add(
                index,
                format!("secret `{name}`: it was decided on another creator or other tags than were recorded"),
            );
        }
    }

    fn carry_out(
        &mut self,
        index: u64,
        operation: Operation,
        (creator, name): (&str, &str),
        draft: &Draft,
        found: &mut Found,
    ) {
        if operation == Operation::CreateSecret {
            return self.create(index, (creator, name), draft, found);
        }
        let Some(life) = self.secrets.get_mut(name) else { return };
        let id = draft.secret_version.clone().unwrap_or_default();
        let value = draft.value.clone().unwrap_or_default();
        match operation {
            Operation::PutSecretValue => {
                let staged = draft.parameters.get("stage") == Some(&Value::Flag(true));
                if !staged {
                    life.current = At { what: id.clone(), index };
                }
                life.versions.insert(id, At { what: Version { value, staged }, index });
            }
            Operation::SetCurrentVersion => {
                life.current = At { what: id.clone(), index };
                if let Some(version) = life.versions.get_mut(&id) {
                    (version.what.staged, version.index) = (false, index);
                }
            }
            Operation::EnableSecret => life.enabled = At { what: true, index },
            Operation::DisableSecret => life.enabled = At { what: false, index },
            Operation::GetSecretValue => life.check_read(index, (name, &id), &value, found),
            // What reads no value and changes no secret, or is not offered.
            _ => {}
        }
    }

    fn create(&mut self, index: u64, (creator, name): (&str, &str), draft: &Draft, found: &mut Found) {
        let id = draft.secret_version.clone().unwrap_or_default();
        let version = Version { value: draft.value.clone().unwrap_or_default(), staged: false };
        let requested = draft.context.as_ref().and_then(|context| context.conditions.get("qcs:request_tag"));
        let life = Life {
            made: index,
            creator: creator.to_owned(),
            tags: requested.cloned().unwrap_or_default(),
            enabled: At { what: true, index },
            current: At { what: id.clone(), index },
            versions: BTreeMap::from([(id, At { what: version, index })]),
        };
        if let Some(before) = self.secrets.insert(name.to_owned(), life) {
            let made = before.made;
            found.add(index, format!("secret `{name}`: it was created although the one of index {made} was there"));
        }
    }

    fn revoke(&mut self, index: u64, draft: &Draft, found: &mut Found) {
        match revocation(draft) {
            Some((key, issued_before)) => {
                let at = self.revocations.entry(key).or_insert(At { what: issued_before, index });
                if at.what < issued_before {
                    *at = At { what: issued_before, index };
                }
            }
            None => found.add(index, "it does not say which tokens are revoked"),
        }
    }

    /// Takes out the secret of `row` and says how the row differs from it.
    pub(super) fn meet(&mut self, row: &SecretRow, found: &mut Found) {
        let name = row.name.as_str();
        match self.secrets.remove(name) {
            Some(life) => life.compare(row, found),
            None => found.add(None, format!("secret `{name}` is in the store and no record made it")),
        }
    }

    /// Takes out the secret `name`, whose row cannot be read; answers the newest record that made it what it was.
    pub(super) fn pass_over(&mut self, name: &str) -> Option<u64> {
        self.secrets.remove(name).map(|life| life.newest())
    }

    /// The secrets that no row was met for, and the record that made each.
    pub(super) fn missing(&self) -> impl Iterator<Item = (&str, u64)> {
        self.secrets.iter().map(|(name, life)| (name.as_str(), life.newest()))
    }

    /// Every revocation: its key, up to which time of issue, its record.
    pub(super) fn revocations(&self) -> impl Iterator<Item = (&[u8], u64, u64)> {
        self.revocations.iter().map(|(key, at)| (key.as_slice(), at.what, at.index))
    }
}

impl Life {
    fn newest(&self) -> u64 {
        let versions = self.versions.values().map(|version| version.index);
        versions.chain([self.made, self.enabled.index, self.current.index]).max().unwrap_or(self.made)
    }

    /// A value that was read is the one that was last written as that version, of a secret that was enabled.
    fn check_read(&self, index: u64, (name, id): (&str, &str), value: &str, found: &mut Found) {
        match self.versions.get(id) {
            Some(version) if version.what.value == value => {}
            Some(version) => found.add(
                index,
                format!(
                    "secret `{name}`: value `{value}` was read as version `{id}`, whose last write is `{}` at index {}",
                    version.what.value, version.index
                ),
            ),
            None => found.add(index, format!("secret `{name}`: version `{id}` was read and no record made it")),
        }
        if !self.enabled.what {
            let disabled = self.enabled.index;
            found.add(index, format!("secret `{name}`: a value was read although index {disabled} disabled it"));
        }
    }

    fn compare(&self, row: &SecretRow, found: &mut Found) {
        let name = row.name.as_str();
        let mut differ = |index: u64, what: String| {
            found.add(index, format!("secret `{name}`: {what}: an older row was put back, or it was altered"));
        };
        if self.creator != row.creator.to_string() || self.tags != row.tags.condition_values().into_iter().collect() {
            differ(self.made, "the store holds another creator or other tags than this record".to_owned());
        }
        let state = if self.enabled.what { "Enabled" } else { "Disabled" };
        if row.state.name() != state {
            differ(self.enabled.index, format!("it is {} in the store and {state} by this record", row.state.name()));
        }
        if row.current.as_str() != self.current.what {
            let (stored, said) = (row.current.as_str(), &self.current.what);
            differ(
                self.current.index,
                format!("version `{stored}` is current in the store and `{said}` by this record"),
            );
        }
        for version in &row.versions {
            if !self.versions.contains_key(version.id.as_str()) {
                differ(self.newest(), format!("the store has a version `{}` that no record made", version.id));
            }
        }
        for (id, said) in &self.versions {
            if !row.versions.iter().any(|version| said.what.is(id, version)) {
                differ(said.index, format!("version `{id}` is not in the store as this record left it"));
            }
        }
    }
}

impl Version {
    fn is(&self, id: &str, row: &VersionMeta) -> bool {
        row.id.as_str() == id && row.value.to_string() == self.value && row.staged == self.staged
    }
}

/// Creator and name in the six segments of a secret, wherever it was recorded.
fn secret_of(resource: &str) -> Option<(&str, &str)> {
    let (_, secret) = resource.split_once(":secret/creatorUin/")?;
    secret.split_once('/').filter(|(_, name)| SecretName::parse(name).is_ok())
}

/// The key and the time of issue of a recorded revocation.
fn revocation(draft: &Draft) -> Option<(Vec<u8>, u64)> {
    let text = |name: &str| draft.parameters.get(name).and_then(Value::as_text);
    let selector = match (text("jti"), text("credential_hash"), text("subject")) {
        (Some(jti), None, None) => Selector::jti(jti),
        (None, Some(hash), None) => Selector::credential_hash(hash),
        (None, None, Some(subject)) => Selector::subject(subject),
        _ => return None,
    };
    let Some(Value::Integer(issued_before)) = draft.parameters.get("issued_before") else { return None };
    Some((selector.ok()?.key(text("issuer")?).ok()?, *issued_before))
}
