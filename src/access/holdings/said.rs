//! What the records of a log say of secrets and revocations, read in order: the state that the store must hold. Of keys:
//! [`super::keys`].

use super::Found;
use super::access_keys::AccessKeysSaid;
use super::keys::KeysSaid;
use crate::actions::{self, Level, Operation, Service};
use crate::authn::Selector;
use crate::keys::KeyId;
use crate::resource::SecretName;
use crate::secret::row::{SecretRow, VersionMeta};
use crate::state::State;
use keyward_audit::record::{Context, Decision, Draft, Kind, Outcome, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Something that a record said, and that record's index.
pub(super) struct At<T> {
    pub(super) what: T,
    pub(super) index: u64,
}

/// A version, as records name it.
struct Version {
    value: String,
    staged: bool,
}

/// A secret, as the records made it.
struct Life {
    made: u64,
    /// The key that its values are under.
    key: String,
    creator: String,
    tags: At<BTreeSet<String>>,
    state: At<State>,
    current: At<String>,
    versions: BTreeMap<String, At<Version>>,
}

/// All that the records said so far.
#[derive(Default)]
pub(super) struct Said {
    secrets: BTreeMap<String, Life>,
    /// By key: up to which time of issue, and the record.
    revocations: BTreeMap<Vec<u8>, At<u64>>,
    keys: KeysSaid,
    access_keys: AccessKeysSaid,
}

impl Said {
    /// Takes in the next record. What it decided on or read must be what the records before it made.
    pub(super) fn hear(&mut self, index: u64, draft: &Draft, found: &mut Found) {
        if draft.kind == Kind::Purge {
            return self.purge(index, draft, found);
        }
        let action = draft.action.split_once(':').and_then(|(_, name)| actions::by_name(name));
        let Some(action) = action.filter(|_| draft.kind == Kind::Access) else { return };
        self.access_keys.use_of(index, draft, found);
        let is_done = draft.decision == Some(Decision::Allow) && draft.outcome == Some(Outcome::Ok);
        if let Some((creator, name)) = draft.resource.as_deref().and_then(secret_of) {
            if let (Level::Secret, Some(context)) = (action.level, &draft.context) {
                self.check_decision(index, (creator, name), context, found);
            }
            if is_done {
                self.carry_out(index, action.operation, (creator, name), draft, found);
            }
        } else if is_done && action.service == Service::Kms {
            self.keys.carry_out(index, action.operation, draft, found);
        } else if is_done && action.operation == Operation::RevokeToken {
            self.revoke(index, draft, found);
        } else if is_done && matches!(action.service, Service::Cam | Service::Sts) {
            self.access_keys.carry_out(index, action.operation, draft);
        }
    }

    /// A due deletion that was carried out: of a secret that waited for it, by that DeleteSecret.
    fn purge(&mut self, index: u64, draft: &Draft, found: &mut Found) {
        let resource = draft.resource.as_deref().unwrap_or_default();
        let number = |name: &str| draft.parameters.get(name).and_then(Value::as_integer);
        let asked = (number("due").unwrap_or_default(), number("requested").unwrap_or_default());
        if let Some((_, id)) = resource.split_once(":key/") {
            return self.keys.purge(index, id, asked, found);
        }
        let Some((_, name)) = secret_of(resource) else { return };
        let waited = self.secrets.remove(name).map(|life| (life.state.what.delete_at_s(), life.state.index));
        if waited != Some(asked) {
            found.add(index, format!("secret `{name}`: it was purged and did not wait for this deletion"));
        }
    }

    /// The creator and the tags that a decision saw are those of the secret, or it is unknown to both: it does not exist, or
    /// its deletion was due.
    fn check_decision(&self, index: u64, (creator, name): (&str, &str), context: &Context, found: &mut Found) {
        let none = BTreeSet::new();
        let tags = context.conditions.get("qcs:resource_tag").unwrap_or(&none);
        let fits = match self.secrets.get(name) {
            Some(life) if creator == "*" => life.is_due(context),
            Some(life) => life.creator == creator && life.tags.what == *tags,
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
        if matches!(operation, Operation::CreateSecret | Operation::CreateSSHKeyPairSecret) {
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
            Operation::UpdateSecret => {
                if let Some(version) = life.versions.get_mut(&id) {
                    (version.what.value, version.index) = (value, index);
                }
            }
            Operation::DeleteSecretVersion => {
                life.versions.remove(&id);
                if let Some(current) = draft.parameters.get("current").and_then(Value::as_text) {
                    life.current = At { what: current.to_owned(), index };
                }
            }
            Operation::EnableSecret => life.state = At { what: State::Enabled, index },
            Operation::DisableSecret | Operation::RestoreSecret => life.state = At { what: State::Disabled, index },
            Operation::DeleteSecret => {
                let delete_at_s = draft.parameters.get("delete_time").and_then(Value::as_integer).unwrap_or_default();
                life.state = At { what: State::PendingDelete { delete_at_s }, index };
                if conditions(draft, "keyward:recovery_window").contains("0") {
                    self.secrets.remove(name);
                }
            }
            Operation::TagResource => life.tag(index, &conditions(draft, "qcs:request_tag"), true),
            Operation::UntagResource => life.tag(index, &conditions(draft, "qcs:request_tag"), false),
            Operation::GetSecretValue | Operation::GetSSHKeyPairValue => {
                life.check_read(index, (name, &id), &value, &self.keys, found);
            }
            // What reads no value and changes no secret, or is not offered.
            _ => {}
        }
    }

    fn create(&mut self, index: u64, (creator, name): (&str, &str), draft: &Draft, found: &mut Found) {
        let id = draft.secret_version.clone().unwrap_or_default();
        let version = Version { value: draft.value.clone().unwrap_or_default(), staged: false };
        let life = Life {
            made: index,
            key: key_of(draft),
            creator: creator.to_owned(),
            tags: At { what: conditions(draft, "qcs:request_tag"), index },
            state: At { what: State::Enabled, index },
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

    /// What was said of access keys.
    pub(super) fn access_keys(&self) -> &AccessKeysSaid {
        &self.access_keys
    }

    /// What was said of the keys that values are sealed with.
    pub(super) fn keys(&self) -> &KeysSaid {
        &self.keys
    }

    /// Every revocation: its key, up to which time of issue, its record.
    pub(super) fn revocations(&self) -> impl Iterator<Item = (&[u8], u64, u64)> {
        self.revocations.iter().map(|(key, at)| (key.as_slice(), at.what, at.index))
    }
}

impl Life {
    fn newest(&self) -> u64 {
        let versions = self.versions.values().map(|version| version.index);
        let rest = [self.made, self.state.index, self.current.index, self.tags.index];
        versions.chain(rest).max().unwrap_or(self.made)
    }

    /// Whether its deletion was due when this was decided.
    fn is_due(&self, context: &Context) -> bool {
        let now = context.conditions.get("qcs:current_time").and_then(|values| values.first());
        let now_s = now.and_then(|text| chrono::DateTime::parse_from_rfc3339(text).ok()).map(|now| now.timestamp());
        let now_s = now_s.and_then(|now_s| u64::try_from(now_s).ok()).unwrap_or_default();
        self.state.what.is_due(now_s)
    }

    /// Takes off what has the keys of `texts` (`key&value`), and puts them in its place if they are to be added.
    fn tag(&mut self, index: u64, texts: &BTreeSet<String>, add: bool) {
        let key = |text: &str| text.split_once('&').map_or(text, |(key, _)| key).to_owned();
        let keys: BTreeSet<String> = texts.iter().map(|text| key(text)).collect();
        self.tags.what.retain(|text| !keys.contains(&key(text)));
        self.tags.what.extend(texts.iter().filter(|_| add).cloned());
        self.tags.index = index;
    }

    /// A value that was read is the one that was last written as that version, of a secret and under a key that were
    /// enabled.
    fn check_read(&self, index: u64, (name, id): (&str, &str), value: &str, keys: &KeysSaid, found: &mut Found) {
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
        if self.state.what != State::Enabled {
            let disabled = self.state.index;
            found.add(index, format!("secret `{name}`: a value was read although index {disabled} disabled it"));
        }
        if let Some(disabled) = keys.unusable_since(&self.key) {
            found.add(index, format!("secret `{name}`: a value was read although index {disabled} disabled its key"));
        }
    }

    fn compare(&self, row: &SecretRow, found: &mut Found) {
        let name = row.name.as_str();
        let mut differ = |index: u64, what: String| {
            found.add(index, format!("secret `{name}`: {what}: an older row was put back, or it was altered"));
        };
        let tags: BTreeSet<String> = row.tags.condition_values().into_iter().collect();
        if self.creator != row.creator.to_string() || self.tags.what != tags {
            differ(self.tags.index, "the store holds another creator or other tags than this record".to_owned());
        }
        let state = self.state.what;
        if row.state != state {
            let (stored, said) = (row.state.name(), state.name());
            differ(self.state.index, format!("it is {stored} in the store and {said} by this record"));
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

/// The values of a condition key that a decision saw.
fn conditions(draft: &Draft, key: &str) -> BTreeSet<String> {
    let found = draft.context.as_ref().and_then(|context| context.conditions.get(key));
    found.cloned().unwrap_or_default()
}

/// The key that a creation named, or the default key.
fn key_of(draft: &Draft) -> String {
    let named = draft.parameters.get("key").and_then(Value::as_text);
    named.map_or_else(|| KeyId::default_key().as_str().to_owned(), str::to_owned)
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
