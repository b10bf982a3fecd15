//! What tests of secrets, and of what is done with them, share.

use std::sync::Arc;

use super::change::{self, Change, NewSecret};
use super::lookup::CreationView;
use super::row::SecretRow;
use super::{Binding, Description, Engine, Form, Limits, Plaintext, Sealed, SecretId, Tags, ValueId, VersionId};
use crate::clock::SystemRandom;
use crate::keys::fixture::installed;
use crate::keys::{KeyId, Keyring, Tampered};
use crate::principal::Principal;
use crate::resource::{CreatorNumber, SecretName};

/// An engine over a new keyring.
pub(crate) fn engine() -> Engine {
    engine_over(installed().0)
}

pub(crate) fn engine_over(keyring: Keyring) -> Engine {
    Engine::new(Arc::new(keyring), Arc::new(SystemRandom))
}

pub(crate) fn name(text: &str) -> SecretName {
    SecretName::parse(text).unwrap()
}

pub(crate) fn version(text: &str) -> VersionId {
    VersionId::parse(text).unwrap()
}

pub(super) fn alice() -> Principal {
    Principal::parse("user/dev/alice").unwrap()
}

pub(super) fn creator() -> CreatorNumber {
    CreatorNumber::new(7).unwrap()
}

pub(super) fn text(value: &str) -> Plaintext {
    Plaintext::text(value.to_owned(), &Limits::default()).unwrap()
}

/// A binding with fresh ids.
pub(super) fn binding(of: &str, id: &str) -> Binding {
    Binding {
        secret: SecretId::random(&SystemRandom).unwrap(),
        name: name(of),
        version: version(id),
        value: ValueId::random(&SystemRandom).unwrap(),
        form: Form::Text,
    }
}

/// A value sealed as version `id` of the secret in `row`.
pub(crate) fn sealed_for(engine: &Engine, row: &SecretRow, id: &str) -> Sealed {
    let binding = Binding { secret: row.id, ..binding(row.name.as_str(), id) };
    engine.seal(&engine.keyring(), &text(id), binding, &row.key).unwrap()
}

/// A version that is added at that time and does not expire.
pub(crate) fn at(stage: bool, at_s: u64) -> change::NewVersion {
    change::NewVersion { stage, at_s, expires_at_s: 0 }
}

/// A view on which `of` can be created.
pub(super) fn free(of: &str) -> CreationView {
    CreationView {
        name: name(of),
        existing: None,
        gone: None,
        creator: creator(),
        creator_principal: None,
        in_shard: 0,
        total: 0,
    }
}

/// A creation by `alice`.
pub(super) fn new_secret(id: SecretId) -> NewSecret {
    NewSecret {
        id,
        creator: alice(),
        at_s: 100,
        description: Description::default(),
        tags: Tags::default(),
        key: KeyId::default_key(),
        resource_id: "1_7_customize_100_abc".to_owned(),
        kind: super::row::SecretKind::Custom,
        expires_at_s: 0,
    }
}

/// The secret `of` with one version `v1`.
pub(crate) fn created(engine: &Engine, of: &str) -> Change {
    let binding = binding(of, "v1");
    let id = binding.secret;
    let sealed = engine.seal(&engine.keyring(), &text("v1"), binding, &KeyId::default_key()).unwrap();
    change::create(&free(of), new_secret(id), &sealed, &Limits::default()).unwrap()
}

/// What `sealed` opens to as what `binding` says.
pub(super) fn opened(engine: &Engine, sealed: &super::SealedValue, binding: &Binding) -> Result<Plaintext, Tampered> {
    let keyring = engine.keyring();
    let material = keyring.material(sealed.key(), sealed.generation()).map_err(|_| Tampered)?;
    super::seal::unseal(sealed, binding, keyring.installation().id(), material)
}
