//! The vendor's older signatures, HmacSHA256 and HmacSHA1 ("signature v1"): an HMAC under the secret itself over the parameters of
//! a form, those that every request has among them.
//!
//! ```text
//! Text      = METHOD host /? k=v&k=v...     names ascending by bytes, values as they are before they are encoded
//! Signature = base64(HMAC(secret, Text))
//! ```
//!
//! SECURITY: they are weaker than [`tc3`](super::tc3) and off unless switched on. The joined text is ambiguous (a value may hold
//! `&k=v`), and SHA-1 is no hash to begin with today, although its HMAC stands. They do bind action, version, region and token.
//!
//! Pure computation over what it is given; if the process dies here, nothing is lost.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::{Choice, ConstantTimeEq as _};
use zeroize::Zeroizing;

use super::signed::{Signer, is_key_id};
use super::tc3::without_port;

/// The parameter that holds the signature, over all others.
pub const SIGNATURE: &str = "Signature";

/// The hash of the HMAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum V1Hash {
    /// HmacSHA256
    Sha256,
    /// HmacSHA1
    Sha1,
}

impl V1Hash {
    /// What `SignatureMethod` asks for; HmacSHA1 if it is not there.
    #[must_use]
    pub fn of(method: Option<&str>) -> Option<Self> {
        match method {
            Some("HmacSHA256") => Some(Self::Sha256),
            Some("HmacSHA1") | None => Some(Self::Sha1),
            Some(_) => None,
        }
    }
}

/// A request that was signed so.
#[derive(Clone, PartialEq, Eq)]
pub struct V1Request {
    /// The id of the access key.
    pub key: String,
    /// The timestamp, in seconds since 1970.
    pub timestamp_s: u64,
    /// The hash of the HMAC.
    pub hash: V1Hash,
    /// The signature.
    pub signature: Vec<u8>,
    /// The texts that the client may have signed, each once. A value that is stored by the request stands in them.
    texts: Vec<Zeroizing<Vec<u8>>>,
}

impl fmt::Debug for V1Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("V1Request")
            .field("key", &self.key)
            .field("timestamp_s", &self.timestamp_s)
            .finish_non_exhaustive()
    }
}

impl V1Request {
    /// Reads what a form, or a query, says of its signature: `parameters` by name, decoded. `None` if any part is missing or is not
    /// of its form.
    #[must_use]
    pub fn read(method: &str, host: &[u8], parameters: &BTreeMap<String, Zeroizing<String>>) -> Option<Self> {
        let text = |name: &str| parameters.get(name).map(|text| text.as_str());
        let digits = |name: &str| {
            let is_number = |text: &&str| (1..=19).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
            text(name).filter(is_number)?.parse::<u64>().ok()
        };
        let (key, timestamp_s) = (text("SecretId").filter(|key| is_key_id(key))?, digits("Timestamp")?);
        digits("Nonce")?;
        let signature = STANDARD.decode(text(SIGNATURE)?).ok()?;
        let hash = V1Hash::of(text("SignatureMethod"))?;
        // The Node SDK leaves the port out of what it signs.
        let mut hosts = vec![host, without_port(host)];
        hosts.dedup();
        let texts = hosts.iter().map(|host| joined(method, host, parameters)).collect();
        Some(Self { key: key.to_owned(), timestamp_s, hash, signature, texts })
    }

    /// Whether `signer` signed it. Every text is computed and compared, whichever fits.
    pub(super) fn is_signed_by(&self, signer: &dyn Signer) -> bool {
        let computed = signer.sign_whole(self.hash, &self.texts);
        computed.iter().fold(Choice::from(0), |found, one| found | one.as_slice().ct_eq(&self.signature)).into()
    }
}

/// The text, made once in its length: what grows leaves copies behind.
fn joined(method: &str, host: &[u8], parameters: &BTreeMap<String, Zeroizing<String>>) -> Zeroizing<Vec<u8>> {
    let signed = || parameters.iter().filter(|(name, _)| *name != SIGNATURE);
    let bytes = signed().fold(method.len() + host.len() + 2, |sum, (name, value)| sum + name.len() + value.len() + 2);
    let mut text = Zeroizing::new(Vec::with_capacity(bytes));
    text.extend_from_slice(method.as_bytes());
    text.extend_from_slice(host);
    text.extend_from_slice(b"/?");
    for (at, (name, value)) in signed().enumerate() {
        if at > 0 {
            text.push(b'&');
        }
        text.extend_from_slice(name.as_bytes());
        text.push(b'=');
        text.extend_from_slice(value.as_bytes());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use hmac::{Hmac, KeyInit as _, Mac as _};
    use proptest::prelude::*;
    use sha1::Sha1;
    use sha2::Sha256;

    /// The project's vector: a query as it is signed, behind method and host.
    const OWN: &str = "Action=GetSecretValue&Nonce=12345&Region=ap-guangzhou&SecretId=AKIDEXAMPLE&SecretName=demo&\
                       SignatureMethod=HmacSHA256&Timestamp=1800000000&Version=2019-09-23&VersionId=v1";
    /// The vendor's published one.
    const VENDOR: &str = concat!(
        "Action=DescribeInstances&InstanceIds.0=ins-09dx96dg&Limit=20&Nonce=11886&Offset=0&Region=ap-guangzhou&SecretId=AKID",
        "z8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE&Timestamp=1465185768&Version=2017-03-12",
    );

    /// The naive signer, from the secret's text.
    struct Secret<'a>(&'a str);

    impl Signer for Secret<'_> {
        fn sign(&self, _: &str, _: &str, _: &[Vec<u8>]) -> Vec<[u8; 32]> {
            Vec::new()
        }

        fn sign_whole(&self, hash: V1Hash, texts: &[Zeroizing<Vec<u8>>]) -> Vec<Vec<u8>> {
            let key = self.0.as_bytes();
            let sign = |text: &Zeroizing<Vec<u8>>| match hash {
                V1Hash::Sha256 => Hmac::<Sha256>::new_from_slice(key)
                    .unwrap()
                    .chain_update(text.as_slice())
                    .finalize()
                    .into_bytes()
                    .to_vec(),
                V1Hash::Sha1 => Hmac::<Sha1>::new_from_slice(key)
                    .unwrap()
                    .chain_update(text.as_slice())
                    .finalize()
                    .into_bytes()
                    .to_vec(),
            };
            texts.iter().map(sign).collect()
        }
    }

    fn parameters(query: &str, signature: &str) -> BTreeMap<String, Zeroizing<String>> {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let mut parameters: BTreeMap<_, _> =
            pairs.map(|(name, value)| (name.to_owned(), Zeroizing::new(value.to_owned()))).collect();
        parameters.insert(SIGNATURE.to_owned(), Zeroizing::new(signature.to_owned()));
        parameters
    }

    fn is_good(method: &str, host: &str, query: &str, signature: &str, by: &Secret<'_>) -> Option<bool> {
        let request = V1Request::read(method, host.as_bytes(), &parameters(query, signature))?;
        Some(request.is_signed_by(by))
    }

    #[test]
    fn attack_l04_the_published_vectors_of_signature_v1_are_accepted() {
        let (vendor, own) = (Secret("Gu5t9xGARNpq86cd98joQYCN3EXAMPLE"), Secret("EXAMPLEEXAMPLEEXAMPLEEXAMPLEKEY0"));
        let sha1 = OWN.replace("HmacSHA256", "HmacSHA1");
        for (method, host, query, signature, by) in [
            ("GET", "cvm.tencentcloudapi.com", VENDOR, "EliP9YW3pW28FpsEdkXt/+WcGeI=", &vendor),
            ("POST", "127.0.0.1:8743", OWN, "w3gwySIyII6LLh86KJQFwnEy99juuK8EE6DEHQXvV8I=", &own),
            ("POST", "127.0.0.1:8743", sha1.as_str(), "/DIq2xQuGDeYDVdw8B2sD7fYjS0=", &own),
            ("GET", "cvm.tencentcloudapi.com:80", VENDOR, "EliP9YW3pW28FpsEdkXt/+WcGeI=", &vendor),
        ] {
            assert_eq!(is_good(method, host, query, signature, by), Some(true), "{host} {query}");
            for other in ["GET", "POST", "PUT"].into_iter().filter(|other| *other != method) {
                assert_eq!(is_good(other, host, query, signature, by), Some(false), "{other}");
            }
            assert_eq!(is_good(method, "other.example", query, signature, by), Some(false));
            assert_eq!(is_good(method, host, query, signature, &Secret(&"x".repeat(32))), Some(false));
        }
    }

    #[test]
    fn attack_l04_a_form_that_lacks_a_part_of_its_signature_has_none() {
        let good = parameters(OWN, "w3gwySIyII6LLh86KJQFwnEy99juuK8EE6DEHQXvV8I=");
        assert!(V1Request::read("POST", b"127.0.0.1:8743", &good).is_some());
        for name in ["SecretId", "Timestamp", "Nonce", SIGNATURE] {
            let mut without = good.clone();
            without.remove(name);
            assert_eq!(V1Request::read("POST", b"127.0.0.1:8743", &without), None, "{name}");
            for bad in ["", "-1", "a b", "18446744073709551616000"] {
                let mut with = good.clone();
                with.insert(name.to_owned(), Zeroizing::new(bad.to_owned()));
                let read = V1Request::read("POST", b"127.0.0.1:8743", &with);
                // Nothing is base64 of nothing, and no signature.
                assert!(
                    read.is_none_or(|read| !read.is_signed_by(&Secret("EXAMPLEEXAMPLEEXAMPLEEXAMPLEKEY0"))),
                    "{name} {bad}"
                );
            }
        }
        for method in ["TC3-HMAC-SHA256", "hmacsha256", "HmacSHA512", ""] {
            let mut other = good.clone();
            other.insert("SignatureMethod".to_owned(), Zeroizing::new(method.to_owned()));
            assert_eq!(V1Request::read("POST", b"127.0.0.1:8743", &other), None, "{method}");
        }
    }

    proptest! {
        #[test]
        fn attack_l04_a_parameter_that_is_changed_added_or_left_out_breaks_signature_v1(
            place in any::<prop::sample::Index>(), value in "[ -~]{0,8}", name in "[A-Za-z]{1,8}",
        ) {
            let by = Secret("EXAMPLEEXAMPLEEXAMPLEEXAMPLEKEY0");
            let good = parameters(OWN, "w3gwySIyII6LLh86KJQFwnEy99juuK8EE6DEHQXvV8I=");
            let refused = |parameters: &BTreeMap<String, Zeroizing<String>>| {
                V1Request::read("POST", b"127.0.0.1:8743", parameters).is_none_or(|request| !request.is_signed_by(&by))
            };
            prop_assert!(!refused(&good));
            let names: Vec<&String> = good.keys().filter(|name| *name != SIGNATURE).collect();
            let at = (*place.get(&names)).clone();
            let mut changed = good.clone();
            let before = changed.insert(at.clone(), Zeroizing::new(value.clone()));
            prop_assert_eq!(refused(&changed), before.is_none_or(|before| *before != value), "{} {}", at, value);
            let mut without = good.clone();
            without.remove(&at);
            prop_assert!(refused(&without), "{}", at);
            if !good.contains_key(&name) {
                let mut with = good.clone();
                with.insert(name.clone(), Zeroizing::new(value));
                prop_assert!(refused(&with), "{}", name);
            }
        }
    }
}
