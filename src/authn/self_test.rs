//! The self-test at start: every offered family verifies a known signature, and refuses it over another text.
//!
//! The JWT crate takes its backend from build features, and panics at first use if there is none or more than one. So
//! it is used once before anything listens: a wrong build does not start, instead of failing the first caller.

use std::panic::catch_unwind;

use jsonwebtoken::{DecodingKey, EncodingKey};

use super::algorithm::Algorithm;
use super::jwks;
use super::key::Keys;
use super::signature;

/// What the known signatures are over.
const TEXT: &str = "keyward self-test";
/// Keys made for this test; their private halves were thrown away.
const KEYS: &str = r#"{"keys":[
{"kid":"rsa","kty":"RSA","e":"AQAB","n":"0svc2m8AWB-pDc6ZdWWFQP9PTzg82CHIr96vJwpMaxyEtwozeLSqewmqnd2LPGnw48khZHvbY9NM8G2rxxm7DrHVx3EjbcQz8lakzEFq3SbewlOcn4gobwrcF757SFU2Nu2eHja9H4XjWZnyR-vq6W9s-36ToK7X4V9QFFLglDgt6Y8eGZtgFC7A7FfH71Hd5kRC7Qxs6uv-yVl0GyVQqtGU7YPaXYXfQh3saWR-PSlkJPOp7q73It65BfhYjznpu3ZKkyD-p1ZUda_Hq1m9fTdRBorzPb6cfD6-XQWJKzoGVxtEcrM9ar4HeZ7Adnzgw5l7yTqJmRSk8W9Lc7Ej8w"},
{"kid":"p256","kty":"EC","crv":"P-256","x":"qrOLJfZ7kyCeox6fLvgsP3dCOhpr2pTh3v7mB2os_P4","y":"A91na4bv3bA7o3yqbqijZUiXGs3axhGK1pKdML5MJrw"},
{"kid":"p384","kty":"EC","crv":"P-384","x":"gFWRftfgBSc3aLwAnKkB9I-Ecf4quaotFPqbxBMcQaVEceK3RtwUEiDjGByKyME_","y":"93wtozo0I83VK8PIYEZnADtPi7ZX1SAggTvxpELDjL1ezHHitOLJo4DVosRGGLp_"},
{"kid":"ed","kty":"OKP","crv":"Ed25519","x":"GlLjhTQmDjE3VvddP_s5Yuc4Ip1fCEBGdCNwkvDuUXA"}]}"#;
/// One signature for each family with public keys: key, algorithm, signature.
const KNOWN: [(&str, Algorithm, &str); 5] = [
    ("ed", Algorithm::EdDsa, "DEg2Q_StG8cbCEGPtERPRgTkTc-uOcOb31Z2RBL92rvmhsd9ZzOYFOtf4ksdYx8chY_DR-1by0B96II1-S94Cw"),
    (
        "p256",
        Algorithm::Es256,
        "FjK-3Rw2oPqkLsN0dnZaNIVOriRrmLqlsGyuEDIXDJ5VFegkPCaLHJqxA43-AUf2wwlENQa65h6kpRjvqFc8aA",
    ),
    (
        "p384",
        Algorithm::Es384,
        "dBawcZkRPXGQo_Fkizggk-EbhRNxwUAmYHXCEigeo3rwoJ9uzg71goN2nTC38Paxc9cndEHRpLwnvSC3Y5SV8mfXBzTI3gWdZTzHvk7ZcaDzS70hwt9kH82Ht7L5g1-3",
    ),
    (
        "rsa",
        Algorithm::Rs256,
        "Uum0U0q2H3EPvlYSIO42OcFuoSszPm5M3E5Gv7gYQfaZisDXnfAR2VP5DVIQS1oZoB5XDO-ctgs52MdJWwMa2flmq_p0EqRjzj9WyAB8p9DvVyu0WSVeAH0JD_uzeJngc-dnpUk9feQ0kTfAmTiTtOBD_5ZG_Mkx7Lz1pL_sW8ygKb98rTlUHiIArMNBUKLDgTw4NMW0zUBnLuKqdxay01rB8DN78jqxZRMNTMiGyfbVOBQP9AQT35Re96mBfCslANg2IcTMwv6L1Z-_hTnBlpkGvWAop7wSi_SQT9TXAOhoEf67qWb_-8804WvjB2mImFYWCKvf4gXfozEXjMgvLA",
    ),
    (
        "rsa",
        Algorithm::Ps256,
        "x6HaWG_pVzUhzMxDGLSDJsDSV46FOTWicNfg3iThv_G3EOS-BjSvQpV9yeBG-2QqsoRXYoTsDmherw_1m62dupOEQaNov4hsLZOYJJKTP00kWVuaSpjcrP-sm7ywGERSBo19wA9kpWdfOBm2pXgEZlhpaP4shCl2G6jb5eE_qk-SG3fXS6YU-34ZbZJ_LA3KfjkPLhlp7qJFmb-dMwAbkQ4i4ExMtpZYJlHyArXi9EQC3Uuf50NG8W-SZDahNFXwQgCJbl7hnOjpGWq5wLg3MLWmvysBt10eBaR-uW1Sn3xJvEDF1o1Wt55JMwiAUPHywXzFIBk62YbJSJ3m4Lisxg",
    ),
];

/// Tokens cannot be verified by this build.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelfTestError {
    /// The signature backend panicked: it is missing, or there is more than one.
    #[error("self-test: the signature backend is missing or doubled")]
    Backend,
    /// An algorithm refused a good signature or took a bad one.
    #[error("self-test: `{0}` does not verify as it must")]
    Algorithm(&'static str),
}

/// Verifies one known signature of every family, and signs one with a shared secret.
///
/// # Errors
/// [`SelfTestError`]; keyward must not start then.
pub fn self_test() -> Result<(), SelfTestError> {
    catch_unwind(run).unwrap_or(Err(SelfTestError::Backend))
}

fn run() -> Result<(), SelfTestError> {
    let keys = Keys::Set(jwks::read(KEYS.as_bytes()).map_err(|_| SelfTestError::Algorithm("JWKS"))?);
    for (kid, algorithm, known) in KNOWN {
        let verifies =
            |text: &str| keys.select(Some(kid), algorithm).is_ok_and(|key| key.verify(algorithm, text, known).is_ok());
        expect(algorithm, verifies(TEXT) && !verifies("another text"))?;
    }
    let secret = [7_u8; 32];
    let tag =
        signature::sign(&EncodingKey::from_secret(&secret), Algorithm::Hs256, TEXT.as_bytes()).unwrap_or_default();
    let key = DecodingKey::from_secret(&secret);
    let verifies = |text: &str| signature::verify(&key, Algorithm::Hs256, text.as_bytes(), &tag);
    expect(Algorithm::Hs256, verifies(TEXT) && !verifies("another text"))
}

fn expect(algorithm: Algorithm, holds: bool) -> Result<(), SelfTestError> {
    if holds { Ok(()) } else { Err(SelfTestError::Algorithm(algorithm.name())) }
}
