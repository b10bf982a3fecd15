//! Sessions: temporary access keys. The gateway keeps none of them: all of a session lies sealed in its token, which comes back
//! with every request.
//!
//! INVARIANT I8: AES-256-GCM under a key of the installation for this purpose alone, derived anew for each session's id; the
//! associated data names label, installation and id, so that a token opens beside its own id and no other, in its own
//! installation and no other.
//! INVARIANT I10: a token is read whole or refused.
//!
//! Nothing is written here; a process that dies leaves sessions as they were.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyward_audit::Random;
use zeroize::Zeroizing;

use super::access_key::{AccessKeyId, AccessKeySecret, names, read_names};
use super::installation::{Installation, InstallationId};
use super::material::{NONCE_BYTES, SealError, TAG_BYTES, open_in_place, seal_in_place};
use crate::encoding::{Damaged, Reader, Writer};
use crate::principal::Principal;

const LABEL: &[u8] = b"keyward/session/v1";
const VERSION: u8 = 1;

/// What a session is, but for its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Whom it speaks for: a role of the folder, or the user that began it.
    pub principal: Principal,
    /// Its name, which whoever began it gave.
    pub name: String,
    /// Who began it.
    pub assumed_by: Principal,
    /// Groups of whoever began it: they restrict only.
    pub groups: Vec<Principal>,
    /// Roles of whoever began it: they restrict only.
    pub roles: Vec<Principal>,
    /// Whether whoever began it proved all of its groups then.
    pub groups_proved: bool,
    /// The digest of the policy that narrows it: `sha256:` and hex.
    pub policy: Option<String>,
    /// When it began, in seconds since 1970.
    pub issued_s: u64,
    /// When it ends, in seconds since 1970: the first second in which it is not good.
    pub expires_s: u64,
    /// The credential that it was begun by.
    pub parent: ParentCredential,
}

/// The credential that a session was begun by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParentCredential {
    /// A token: its credential hash, and its `jti` if it had one.
    Token([u8; 32], Option<String>),
    /// The id of an access key.
    Key(AccessKeyId),
}

/// A new temporary key, for the one answer that shows it.
pub struct TemporaryKey {
    /// Its id.
    pub id: AccessKeyId,
    /// Its secret.
    pub secret: AccessKeySecret,
    /// What holds the session.
    pub token: Zeroizing<String>,
}

impl Session {
    /// A temporary key of this session.
    ///
    /// # Errors
    /// [`SealError`] if the system gives no random bytes.
    pub fn begin(&self, installation: &Installation, random: &dyn Random) -> Result<TemporaryKey, SealError> {
        let (id, secret) = (AccessKeyId::random(random)?, AccessKeySecret::random(random)?);
        let associated = associated(installation.id(), &id);
        let key = installation.session_key().derive(id.as_str().as_bytes(), &associated)?;
        let mut nonce = [0; NONCE_BYTES];
        random.fill(&mut nonce)?;
        let mut sealed = Zeroizing::new(self.encode(&secret));
        let tag = seal_in_place(&key, &nonce, &associated, &mut sealed)?;
        let token = URL_SAFE_NO_PAD.encode([&nonce, sealed.as_slice(), &tag].concat());
        Ok(TemporaryKey { id, secret, token: Zeroizing::new(token) })
    }

    /// The session that a token holds, and its secret; `None` if it is not the token of that id.
    #[must_use]
    pub fn open(installation: &Installation, id: &AccessKeyId, token: &str) -> Option<(Self, AccessKeySecret)> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (nonce, rest) = bytes.split_first_chunk::<NONCE_BYTES>()?;
        let (sealed, tag) = rest.split_last_chunk::<TAG_BYTES>()?;
        let associated = associated(installation.id(), id);
        let key = installation.session_key().derive(id.as_str().as_bytes(), &associated).ok()?;
        let mut opened = Zeroizing::new(sealed.to_vec());
        open_in_place(&key, nonce, &associated, &mut opened, tag).ok()?;
        Self::decode(&opened).ok()
    }

    fn encode(&self, secret: &AccessKeySecret) -> Vec<u8> {
        let row = Writer::new().u8(VERSION).raw(secret.bytes());
        let row = row.bytes(self.principal.as_str().as_bytes()).bytes(self.name.as_bytes());
        let row = row.bytes(self.assumed_by.as_str().as_bytes()).u8(u8::from(self.groups_proved));
        let row = row.bytes(self.policy.as_deref().unwrap_or_default().as_bytes());
        let row = row.u64(self.issued_s).u64(self.expires_s);
        let row = match &self.parent {
            ParentCredential::Token(hash, jti) => {
                row.u8(0).raw(hash).bytes(jti.as_deref().unwrap_or_default().as_bytes())
            }
            ParentCredential::Key(id) => row.u8(1).bytes(id.as_str().as_bytes()),
        };
        names(names(row, &self.groups), &self.roles).finish()
    }

    fn decode(row: &[u8]) -> Result<(Self, AccessKeySecret), Damaged> {
        let principal = |reader: &mut Reader<'_>| -> Result<Principal, Damaged> {
            Principal::parse(reader.text()?).map_err(|_| Damaged("principal"))
        };
        let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let mut reader = Reader::new(row);
        if reader.u8()? != VERSION {
            return Err(Damaged("session version"));
        }
        let secret = AccessKeySecret::from_bytes(Zeroizing::new(reader.array()?));
        let session = Self {
            principal: principal(&mut reader)?,
            name: reader.text()?.to_owned(),
            assumed_by: principal(&mut reader)?,
            groups_proved: reader.u8()? == 1,
            policy: said(reader.text()?),
            issued_s: reader.u64()?,
            expires_s: reader.u64()?,
            parent: match reader.u8()? {
                0 => ParentCredential::Token(reader.array()?, said(reader.text()?)),
                1 => ParentCredential::Key(AccessKeyId::parse(reader.text()?).ok_or(Damaged("access key id"))?),
                _ => return Err(Damaged("parent")),
            },
            groups: read_names(&mut reader)?,
            roles: read_names(&mut reader)?,
        };
        reader.finish()?;
        Ok((session, secret))
    }
}

/// Label, installation id, id of the temporary key.
fn associated(installation: InstallationId, id: &AccessKeyId) -> Vec<u8> {
    Writer::new().bytes(LABEL).raw(installation.as_bytes()).bytes(id.as_str().as_bytes()).finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemRandom;
    use crate::keys::fixture::installed;
    use proptest::prelude::*;

    fn session() -> Session {
        let principal = |text: &str| Principal::parse(text).unwrap();
        Session {
            principal: principal("role/local/reader"),
            name: "deploy-1".to_owned(),
            assumed_by: principal("user/corp/svc"),
            groups: vec![principal("group/corp/payments")],
            roles: Vec::new(),
            groups_proved: true,
            policy: Some(format!("sha256:{}", "a".repeat(64))),
            issued_s: 1_800_000_000,
            expires_s: 1_800_007_200,
            parent: ParentCredential::Token([7; 32], Some("jti-1".to_owned())),
        }
    }

    #[test]
    fn a_token_holds_its_session_and_opens_beside_its_own_id_alone() {
        let (here, there) = (installed().0, installed().0);
        let (here, there) = (here.installation(), there.installation());
        for parent in [
            ParentCredential::Token([7; 32], Some("jti-1".to_owned())),
            ParentCredential::Token([8; 32], None),
            ParentCredential::Key(AccessKeyId::parse("AKIDexample000000000000000000009").unwrap()),
        ] {
            let session = Session { parent, ..session() };
            let (one, other) =
                (session.begin(here, &SystemRandom).unwrap(), session.begin(here, &SystemRandom).unwrap());
            let (opened, secret) = Session::open(here, &one.id, &one.token).unwrap();
            assert_eq!((opened, secret.expose().as_str()), (session.clone(), one.secret.expose().as_str()));
            assert!(Session::open(here, &other.id, &one.token).is_none(), "another key's");
            assert!(Session::open(there, &one.id, &one.token).is_none(), "another installation's");
            assert!(!one.token.contains(one.secret.expose().as_str()));
        }
    }

    proptest! {
        #[test]
        fn i08_i10_attack_l05_a_token_of_which_anything_was_changed_is_none(
            at in any::<prop::sample::Index>(),
            bit in 0_u8..8,
            cut in any::<prop::sample::Index>(),
        ) {
            let keyring = installed().0;
            let here = keyring.installation();
            let key = session().begin(here, &SystemRandom).unwrap();
            let mut bytes = URL_SAFE_NO_PAD.decode(key.token.as_bytes()).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(Session::open(here, &key.id, &URL_SAFE_NO_PAD.encode(&bytes)).is_none());
            let cut: String = key.token.chars().take(cut.index(key.token.len())).collect();
            prop_assert!(Session::open(here, &key.id, &cut).is_none());
        }

        #[test]
        fn i10_any_text_is_no_token(text in "\\PC{0,200}") {
            let id = AccessKeyId::parse("AKIDexample000000000000000000009").unwrap();
            prop_assert!(Session::open(installed().0.installation(), &id, &text).is_none());
            let _any = Session::decode(text.as_bytes());
        }
    }
}
