//! SSH key pairs: made here, written as OpenSSH writes them (PROTOCOL.key of OpenSSH, RFC 4253 6.6, RFC 8709).
//!
//! SECURITY: a private key is a [`Plaintext`] from its making on; every buffer that holds part of it is wiped. The one
//! copy that is not ours is inside aws-lc, which wipes its own.
//!
//! INVARIANT I10: reading is total: neither the key that aws-lc made nor a stored value is trusted to be well formed.

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyward_audit::{Random, RandomError};
use zeroize::Zeroizing;

use super::limits::Limits;
use super::plaintext::Plaintext;
use der::Der;

mod der;

const MAGIC: &[u8] = b"openssh-key-v1\0";
const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";
const END: &str = "-----END OPENSSH PRIVATE KEY-----";
/// Characters of a line of the private key's text.
const LINE: usize = 70;
/// The private part is padded to a multiple of this.
const BLOCK: usize = 8;

/// The kinds of keys that are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SshKeyType {
    /// Ed25519.
    Ed25519,
    /// RSA with a modulus of so many bits.
    Rsa3072,
    /// The same.
    Rsa4096,
}

/// Why no key pair was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SshKeyError {
    /// The system gives no random bytes.
    #[error("no random bytes could be had from the system")]
    Random,
    /// What the crypto library made does not read as a key.
    #[error("the key that was made does not read")]
    Malformed,
}

/// A new private key as OpenSSH writes it, without a passphrase.
///
/// # Errors
/// [`SshKeyError`].
pub fn generate(kind: SshKeyType, comment: &str, random: &dyn Random) -> Result<Plaintext, SshKeyError> {
    let mut check = [0; 4];
    random.fill(&mut check).map_err(|RandomError| SshKeyError::Random)?;
    let key = match kind {
        SshKeyType::Ed25519 => ed25519(random)?,
        SshKeyType::Rsa3072 => rsa(KeySize::Rsa3072)?,
        SshKeyType::Rsa4096 => rsa(KeySize::Rsa4096)?,
    };
    let mut private = Wire::new();
    private.raw(&check).raw(&check).raw(&key.private).string(comment.as_bytes());
    for byte in (1..=u8::MAX).take((BLOCK - private.0.len() % BLOCK) % BLOCK) {
        private.raw(&[byte]);
    }
    let mut whole = Wire::new();
    whole.raw(MAGIC).string(b"none").string(b"none").string(b"").raw(&1_u32.to_be_bytes());
    whole.string(&key.public).string(&private.0);
    Plaintext::text(armoured(&whole.0), &Limits::default()).map_err(|_| SshKeyError::Malformed)
}

/// The public key's line, `ssh-ed25519 <base64> <comment>`, of a private key that [`generate`] made.
#[must_use]
pub fn public_line(private: &Plaintext, comment: &str) -> Option<String> {
    let text = std::str::from_utf8(private.expose()).ok()?;
    let body = text.trim_end().strip_prefix(BEGIN)?.strip_suffix(END)?;
    let joined: Zeroizing<String> = Zeroizing::new(body.split_ascii_whitespace().collect());
    let bytes = Zeroizing::new(STANDARD.decode(joined.as_bytes()).ok()?);
    let mut rest = bytes.strip_prefix(MAGIC)?;
    for _ in 0..3 {
        take(&mut rest)?;
    }
    rest = rest.strip_prefix(&1_u32.to_be_bytes())?;
    let public = take(&mut rest)?;
    let mut inside = public;
    let kind = std::str::from_utf8(take(&mut inside)?).ok()?;
    Some(format!("{kind} {} {comment}", STANDARD.encode(public)))
}

/// Reads one length-prefixed string.
fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, tail) = rest.split_first_chunk::<4>()?;
    let (head, tail) = tail.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    *rest = tail;
    Some(head)
}

/// Both halves of a key in the form of the wire.
struct Key {
    public: Vec<u8>,
    /// The key type and the private fields, without comment and padding.
    private: Zeroizing<Vec<u8>>,
}

fn ed25519(random: &dyn Random) -> Result<Key, SshKeyError> {
    let mut seed = Zeroizing::new([0; 32]);
    random.fill(seed.as_mut_slice()).map_err(|RandomError| SshKeyError::Random)?;
    let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).map_err(|_| SshKeyError::Malformed)?;
    let point = pair.public_key().as_ref();
    let mut public = Wire::new();
    public.string(b"ssh-ed25519").string(point);
    let both = Zeroizing::new([seed.as_slice(), point].concat());
    let mut private = Wire::new();
    private.string(b"ssh-ed25519").string(point).string(&both);
    Ok(Key { public: public.0.to_vec(), private: private.0 })
}

fn rsa(size: KeySize) -> Result<Key, SshKeyError> {
    let pair = RsaKeyPair::generate(size).map_err(|_| SshKeyError::Random)?;
    let der = pair.as_der().map_err(|_| SshKeyError::Malformed)?;
    let [modulus, public_exponent, exponent, p, q, coefficient] =
        rsa_numbers(der.as_ref()).ok_or(SshKeyError::Malformed)?;
    let mut public = Wire::new();
    public.string(b"ssh-rsa").number(public_exponent).number(modulus);
    let mut private = Wire::new();
    private.string(b"ssh-rsa").number(modulus).number(public_exponent).number(exponent);
    private.number(coefficient).number(p).number(q);
    Ok(Key { public: public.0.to_vec(), private: private.0 })
}

/// n, e, d, p, q and q^-1 mod p of a PKCS#8 RSA key (RFC 5208, RFC 8017 A.1.2).
fn rsa_numbers(pkcs8: &[u8]) -> Option<[&[u8]; 6]> {
    let mut info = Der(Der(pkcs8).sequence()?);
    info.integer()?;
    info.sequence()?;
    let mut key = Der(Der(info.octets()?).sequence()?);
    key.integer()?;
    let [n, e, d, p, q] = [key.integer()?, key.integer()?, key.integer()?, key.integer()?, key.integer()?];
    key.integer()?;
    key.integer()?;
    Some([n, e, d, p, q, key.integer()?])
}

/// Bytes in the form of the SSH protocol; wiped. Made large enough never to move while it grows.
struct Wire(Zeroizing<Vec<u8>>);

impl Wire {
    fn new() -> Self {
        Self(Zeroizing::new(Vec::with_capacity(8_192)))
    }

    fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn string(&mut self, bytes: &[u8]) -> &mut Self {
        // Nothing here comes near 2^32 bytes.
        self.raw(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes()).raw(bytes)
    }

    /// A number of at least 0, most significant byte first, in the fewest bytes; a zero byte keeps it from being negative.
    fn number(&mut self, bytes: &[u8]) -> &mut Self {
        let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
        let (_, digits) = bytes.split_at(first);
        if digits.first().is_some_and(|byte| *byte >= 0x80) {
            let length = u32::try_from(digits.len()).unwrap_or(u32::MAX).saturating_add(1);
            self.raw(&length.to_be_bytes()).raw(&[0]).raw(digits)
        } else {
            self.string(digits)
        }
    }
}

/// The text of a private key: base64 in lines between two marks.
fn armoured(bytes: &[u8]) -> String {
    let encoded = Zeroizing::new(STANDARD.encode(bytes));
    let mut text = String::with_capacity(encoded.len() + encoded.len() / LINE + BEGIN.len() + END.len() + 8);
    text.push_str(BEGIN);
    text.push('\n');
    let mut rest = encoded.as_str();
    while let Some((line, tail)) = rest.split_at_checked(LINE).or_else(|| (!rest.is_empty()).then_some((rest, ""))) {
        text.push_str(line);
        text.push('\n');
        rest = tail;
    }
    text.push_str(END);
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::process::Command;

    use super::*;
    use crate::clock::SystemRandom;
    use crate::keys::fixture::NoRandom;

    /// What OpenSSH's own program makes of a private key: its public line and its description.
    fn read_by_openssh(private: &Plaintext) -> (String, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, private.expose()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let run = |arguments: &[&str]| {
            let ran =
                Command::new("ssh-keygen").args(arguments).arg("-f").arg(&path).output().expect("ssh-keygen is there");
            assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
            String::from_utf8(ran.stdout).unwrap().trim_end().to_owned()
        };
        (run(&["-y", "-P", ""]), run(&["-l"]))
    }

    #[test]
    fn openssh_reads_the_keys_that_are_made() {
        for (kind, name, described) in [
            (SshKeyType::Ed25519, "ssh-ed25519 ", "(ED25519)"),
            (SshKeyType::Rsa3072, "ssh-rsa ", "(RSA)"),
            (SshKeyType::Rsa4096, "ssh-rsa ", "(RSA)"),
        ] {
            let private = generate(kind, "deploy_1", &SystemRandom).unwrap();
            let line = public_line(&private, "deploy_1").unwrap();
            let (public, description) = read_by_openssh(&private);
            assert_eq!(public, line);
            assert!(line.starts_with(name) && line.ends_with(" deploy_1"), "{line}");
            assert!(description.ends_with(described), "{description}");
            let bits = if kind == SshKeyType::Rsa4096 {
                "4096 "
            } else if kind == SshKeyType::Rsa3072 {
                "3072 "
            } else {
                "256 "
            };
            assert!(description.starts_with(bits), "{description}");
            let text = String::from_utf8(private.expose().to_vec()).unwrap();
            assert!(text.lines().all(|line| line.len() <= LINE) && text.ends_with(&format!("{END}\n")));
        }
    }

    #[test]
    fn a_signature_by_openssh_with_a_key_that_was_made_is_good() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let private = generate(SshKeyType::Ed25519, "c", &SystemRandom).unwrap();
        fs::write(at("key"), private.expose()).unwrap();
        fs::set_permissions(at("key"), fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(at("signers"), format!("me {}\n", public_line(&private, "").unwrap())).unwrap();
        fs::write(at("text"), "signed").unwrap();
        let sign = Command::new("ssh-keygen")
            .args(["-q", "-Y", "sign", "-n", "file", "-f"])
            .arg(at("key"))
            .arg(at("text"))
            .status();
        assert!(sign.unwrap().success());
        let verify = Command::new("ssh-keygen")
            .args(["-q", "-Y", "verify", "-n", "file", "-I", "me", "-f"])
            .arg(at("signers"))
            .arg("-s")
            .arg(at("text.sig"))
            .stdin(fs::File::open(at("text")).unwrap())
            .status();
        assert!(verify.unwrap().success());
    }

    #[test]
    fn each_key_is_another_one_and_none_is_made_without_randomness() {
        let make = || generate(SshKeyType::Ed25519, "", &SystemRandom).unwrap();
        assert_ne!(public_line(&make(), ""), public_line(&make(), ""));
        assert_eq!(generate(SshKeyType::Ed25519, "", &NoRandom).err(), Some(SshKeyError::Random));
    }

    #[test]
    fn i10_what_is_no_key_has_no_public_line() {
        let good = generate(SshKeyType::Ed25519, "", &SystemRandom).unwrap();
        let text = String::from_utf8(good.expose().to_vec()).unwrap();
        let of = |text: String| public_line(&Plaintext::text(text, &Limits::default()).unwrap(), "");
        assert!(of(text.clone()).is_some());
        for bad in
            ["x".to_owned(), format!("{BEGIN}\n{END}\n"), text.replace("b3BlbnNza", "AAAAAAAAA"), text.replace(END, "")]
        {
            assert_eq!(of(bad), None);
        }
        let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
        let bytes = STANDARD.decode(body).unwrap();
        let shortest = MAGIC.len() + 3 * 4 + 8 + 4 + 4 + 51;
        for length in 0..shortest {
            assert_eq!(of(armoured(&bytes[..length])), None, "{length}");
        }
    }
}
