//! Sealed values: what is stored, what it is bound to, and the pure computations between plaintext and seal.
//!
//! INVARIANT I8: each stored value is AES-256-GCM under a fresh random data key. Associated data of the value: format
//! label, installation id, secret id, value id, form, secret name, version id. Associated data of its wrapped data
//! key: another label, the same, and key id and key generation. All fields are of fixed length or length-prefixed,
//! so no two bindings have the same bytes. The name and the form are more than the invariant asks: a row laid under
//! another name does not open, and bytes cannot turn into text.
//!
//! Why no nonce can repeat: a data key seals one message, ever. The key that wraps it is derived from the
//! key-encryption key with the value id as salt and the associated data as info, so it too belongs to this value
//! alone. Nonces are random all the same, and stored.
//!
//! SECURITY: `unseal` is visible to this module's siblings for [`super::Engine`] alone, which asks for a committed
//! event first.

use keyward_audit::Random;
use zeroize::Zeroizing;

use super::id::{SecretId, ValueId, VersionId};
use super::plaintext::{Form, Plaintext};
use crate::encoding::{Damaged, Reader, Writer};
use crate::keys::{
    InstallationId, KeyGeneration, KeyId, KeyMaterial, KeyUnusable, NONCE_BYTES, SealError, TAG_BYTES, Tampered,
    Wrapped, open_in_place, seal_in_place,
};
use crate::resource::SecretName;

const VALUE_LABEL: &[u8] = b"keyward/value/v1";
const DATA_KEY_LABEL: &[u8] = b"keyward/data-key/v1";
const ROW_VERSION: u8 = 1;

/// What a stored value belongs to; opens nowhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The secret, in this life of its name.
    pub secret: SecretId,
    /// Its name, fixed for that life.
    pub name: SecretName,
    /// The version.
    pub version: VersionId,
    /// The stored value.
    pub value: ValueId,
    /// Text or binary.
    pub form: Form,
}

impl Form {
    /// Its one byte in rows and associated data.
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Text => 1,
            Self::Binary => 2,
        }
    }

    /// The form of that byte.
    pub(super) const fn from_code(code: u8) -> Result<Self, Damaged> {
        match code {
            1 => Ok(Self::Text),
            2 => Ok(Self::Binary),
            _ => Err(Damaged("form")),
        }
    }
}

impl Binding {
    fn write(&self, label: &[u8], installation: InstallationId) -> Writer {
        let ids = Writer::new().bytes(label).raw(installation.as_bytes());
        let ids = ids.raw(self.secret.as_bytes()).raw(self.value.as_bytes()).u8(self.form.code());
        ids.bytes(self.name.as_str().as_bytes()).bytes(self.version.as_str().as_bytes())
    }

    pub(super) fn of_value(&self, installation: InstallationId) -> Vec<u8> {
        self.write(VALUE_LABEL, installation).finish()
    }

    pub(super) fn of_data_key(&self, installation: InstallationId, key: &KeyId, generation: KeyGeneration) -> Vec<u8> {
        let binding = self.write(DATA_KEY_LABEL, installation);
        binding.bytes(key.as_str().as_bytes()).u32(generation.get()).finish()
    }
}

/// A value as it is stored: all ciphertext and public names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedValue {
    key: KeyId,
    generation: KeyGeneration,
    data_key: Wrapped,
    nonce: [u8; NONCE_BYTES],
    /// Ciphertext, then tag.
    body: Vec<u8>,
}

impl SealedValue {
    /// The key-encryption key that wraps its data key.
    #[must_use]
    pub fn key(&self) -> &KeyId {
        &self.key
    }

    /// That key's generation.
    #[must_use]
    pub fn generation(&self) -> KeyGeneration {
        self.generation
    }

    /// Bytes of its ciphertext and tag.
    pub(super) fn bytes(&self) -> usize {
        self.body.len()
    }

    /// Its row: version 1, key id, generation, nonce and body of the wrapped data key, nonce, ciphertext and tag.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let head = Writer::new().u8(ROW_VERSION).bytes(self.key.as_str().as_bytes()).u32(self.generation.get());
        let wrapped = head.raw(&self.data_key.nonce).raw(&self.data_key.body);
        wrapped.raw(&self.nonce).raw(&self.body).finish()
    }

    /// Reads a row. A body of any length is taken: whether it is whole, only opening tells.
    ///
    /// # Errors
    /// [`Damaged`] if the fields before the body do not fit.
    pub fn decode(row: &[u8]) -> Result<Self, Damaged> {
        let mut reader = Reader::new(row);
        if reader.u8()? != ROW_VERSION {
            return Err(Damaged("row version"));
        }
        let key = KeyId::parse(reader.text()?).map_err(|_| Damaged("key id"))?;
        let generation = KeyGeneration::new(reader.u32()?).ok_or(Damaged("generation"))?;
        let data_key = Wrapped { nonce: reader.array()?, body: reader.array()? };
        Ok(Self { key, generation, data_key, nonce: reader.array()?, body: reader.rest().to_vec() })
    }
}

/// A sealed value with what it was sealed for: what a change of a secret takes in, made by the engine alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    binding: Binding,
    value: SealedValue,
}

impl Sealed {
    /// What it was sealed for.
    #[must_use]
    pub fn binding(&self) -> &Binding {
        &self.binding
    }

    /// What is stored.
    #[must_use]
    pub fn value(&self) -> &SealedValue {
        &self.value
    }
}

/// A key-encryption key with its names.
pub(super) struct Wrapping<'a> {
    pub(super) installation: InstallationId,
    pub(super) key: &'a KeyId,
    pub(super) generation: KeyGeneration,
    pub(super) material: &'a KeyMaterial,
}

/// Seals `plaintext` for `binding` under a new data key.
pub(super) fn seal(
    plaintext: &Plaintext,
    binding: Binding,
    under: &Wrapping<'_>,
    random: &dyn Random,
) -> Result<Sealed, SealError> {
    let data_key = KeyMaterial::random(random)?;
    let mut nonce = [0; NONCE_BYTES];
    random.fill(&mut nonce)?;
    // Wiped should the cipher refuse half-way.
    let mut bytes = Zeroizing::new(Vec::with_capacity(plaintext.expose().len() + TAG_BYTES));
    bytes.extend_from_slice(plaintext.expose());
    let tag = seal_in_place(&data_key, &nonce, &binding.of_value(under.installation), &mut bytes)?;
    bytes.extend_from_slice(&tag);
    let associated = binding.of_data_key(under.installation, under.key, under.generation);
    let wrapped = under.material.wrap(&data_key, binding.value.as_bytes(), &associated, random)?;
    let value = SealedValue {
        key: under.key.clone(),
        generation: under.generation,
        data_key: wrapped,
        nonce,
        body: std::mem::take(&mut *bytes),
    };
    Ok(Sealed { binding, value })
}

/// Why a data key is not wrapped anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RewrapError {
    /// The key may not be used, or its generation is gone.
    #[error(transparent)]
    Key(#[from] KeyUnusable),
    /// The data key does not open: its row was altered or moved.
    #[error(transparent)]
    Tampered(#[from] Tampered),
    /// It could not be wrapped.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// The same value, its data key wrapped by another key-encryption key than `before`.
pub(super) fn rewrap(
    sealed: &SealedValue,
    binding: &Binding,
    before: &KeyMaterial,
    under: &Wrapping<'_>,
    random: &dyn Random,
) -> Result<SealedValue, RewrapError> {
    let associated = binding.of_data_key(under.installation, &sealed.key, sealed.generation);
    let data_key = before.unwrap(&sealed.data_key, binding.value.as_bytes(), &associated)?;
    let associated = binding.of_data_key(under.installation, under.key, under.generation);
    let data_key = under.material.wrap(&data_key, binding.value.as_bytes(), &associated, random)?;
    Ok(SealedValue {
        key: under.key.clone(),
        generation: under.generation,
        data_key,
        nonce: sealed.nonce,
        body: sealed.body.clone(),
    })
}

/// Opens `sealed` as what `binding` says that it is.
pub(super) fn unseal(
    sealed: &SealedValue,
    binding: &Binding,
    installation: InstallationId,
    key: &KeyMaterial,
) -> Result<Plaintext, Tampered> {
    let associated = binding.of_data_key(installation, &sealed.key, sealed.generation);
    let data_key = key.unwrap(&sealed.data_key, binding.value.as_bytes(), &associated)?;
    let (ciphertext, tag) = sealed.body.split_last_chunk::<TAG_BYTES>().ok_or(Tampered)?;
    let mut bytes = Zeroizing::new(ciphertext.to_vec());
    open_in_place(&data_key, &sealed.nonce, &binding.of_value(installation), &mut bytes, tag)?;
    Ok(Plaintext::opened(binding.form, bytes))
}
