//! Sessions: temporary access keys. The gateway keeps none of them: all of a session lies sealed in its token, which comes back
//! with every request.
//!
//! INVARIANT I8: AES-256-GCM under a key of the installation for this purpose alone, derived anew for each session's id; the
//! associated data names label, installation and id, so that a token opens beside its own id and no other, in its own
//! installation and no other.
//! INVARIANT I10: a token is read whole or refused.
//! INVARIANT I13: a token says by what the credential that began the session can be revoked, its time of issue among it. Version 1
//! lacked that time; it is read as unknown.
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
const VERSION: u8 = 2;
/// That of sessions which were begun by a token and do not know when it was issued.
const VERSION_WITHOUT_ISSUED: u8 = 1;

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
    /// A token.
    Token {
        /// Its credential hash.
        hash: [u8; 32],
        /// Its `jti`, if it had one.
        jti: Option<String>,
        /// Its `iat`, in seconds since 1970; `None` in a session of version 1.
        issued_s: Option<u64>,
    },
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
        let mut sealed = self.encode(&secret);
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

    /// SECURITY: the secret is copied once, into the row at its full size: a row that grows would leave it behind in what it grew
    /// out of.
    fn encode(&self, secret: &AccessKeySecret) -> Zeroizing<Vec<u8>> {
        let version = match self.parent {
            ParentCredential::Token { issued_s: None, .. } => VERSION_WITHOUT_ISSUED,
            ParentCredential::Token { .. } | ParentCredential::Key(_) => VERSION,
        };
        Zeroizing::new([[version].as_slice(), secret.bytes(), &self.encode_told()].concat())
    }

    /// What follows the secret.
    fn encode_told(&self) -> Vec<u8> {
        let row = Writer::new().bytes(self.principal.as_str().as_bytes()).bytes(self.name.as_bytes());
        let row = row.bytes(self.assumed_by.as_str().as_bytes()).u8(u8::from(self.groups_proved));
        let row = row.bytes(self.policy.as_deref().unwrap_or_default().as_bytes());
        let row = row.u64(self.issued_s).u64(self.expires_s);
        let row = match &self.parent {
            ParentCredential::Token { hash, jti, issued_s } => {
                let row = row.u8(0).raw(hash).bytes(jti.as_deref().unwrap_or_default().as_bytes());
                issued_s.iter().fold(row, |row, issued_s| row.u64(*issued_s))
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
        let version = reader.u8()?;
        if ![VERSION_WITHOUT_ISSUED, VERSION].contains(&version) {
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
                0 => ParentCredential::Token {
                    hash: reader.array()?,
                    jti: said(reader.text()?),
                    issued_s: (version == VERSION).then(|| reader.u64()).transpose()?,
                },
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
            parent: token(7, Some("jti-1"), Some(1_799_999_999)),
        }
    }

    fn token(hash: u8, jti: Option<&str>, issued_s: Option<u64>) -> ParentCredential {
        ParentCredential::Token { hash: [hash; 32], jti: jti.map(str::to_owned), issued_s }
    }

    /// The bytes of a row of each version: with the time of issue, without it, and begun by a key. What is said is the same.
    #[test]
    fn a_row_of_each_version_has_the_bytes_that_it_always_had_and_is_read() {
        let secret = || AccessKeySecret::from_bytes(Zeroizing::new([b'k'; 32]));
        let key = "AKIDexample000000000000000000009";
        let text = |text: &str| format!("{:08x}{}", text.len(), hex::encode(text));
        let told = [
            text("role/local/reader"),
            text("deploy-1"),
            text("user/corp/svc"),
            "01".to_owned(),
            text(&format!("sha256:{}", "a".repeat(64))),
            "000000006b49d200000000006b49ee20".to_owned(),
        ];
        let names = format!("00000001{}00000000", text("group/corp/payments"));
        let by_token = format!("00{}{}", "07".repeat(32), text("jti-1"));
        for (version, parent, bytes) in [
            ("01", token(7, Some("jti-1"), None), by_token.clone()),
            ("02", token(7, Some("jti-1"), Some(1_799_999_999)), format!("{by_token}000000006b49d1ff")),
            ("02", ParentCredential::Key(AccessKeyId::parse(key).unwrap()), format!("01{}", text(key))),
        ] {
            let session = Session { parent, ..session() };
            let row = session.encode(&secret());
            assert_eq!(hex::encode(&*row), format!("{version}{}{}{bytes}{names}", "6b".repeat(32), told.concat()));
            assert_eq!(Session::decode(&row).unwrap().0, session);
        }
        let mut old = session().encode(&secret()).to_vec();
        old[0] = 3;
        assert!(Session::decode(&old).is_err(), "a later version");
    }

    #[test]
    fn a_session_of_version_1_that_a_key_began_is_read() {
        let parent = ParentCredential::Key(AccessKeyId::parse("AKIDexample000000000000000000009").unwrap());
        let session = Session { parent, ..session() };
        let mut row = session.encode(&AccessKeySecret::from_bytes(Zeroizing::new([b'k'; 32]))).to_vec();
        row[0] = 1;
        assert_eq!(Session::decode(&row).unwrap().0, session);
    }

    #[test]
    fn a_token_holds_its_session_and_opens_beside_its_own_id_alone() {
        let (here, there) = (installed().0, installed().0);
        let (here, there) = (here.installation(), there.installation());
        for parent in [
            token(7, Some("jti-1"), Some(0)),
            token(8, None, Some(u64::MAX)),
            token(9, None, None),
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
