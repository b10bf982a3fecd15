//! Remembered tokens, and revocation: what was good once is asked about again on every use (row A13, invariant I13).

use serde_json::json;

use super::super::{AuthenticateError, IssuerSettings};
use super::*;

fn jti(text: &str) -> Selector {
    Selector::jti(text).unwrap()
}

#[test]
fn a_token_seen_before_costs_no_lookup() {
    let (authenticator, rows, token) = (authenticator(settings()), Rows::default(), token(&good()));
    let first = authenticator.authenticate(&token, NOW, &rows).unwrap();
    let lookups = rows.lookups.get();
    let second = authenticator.authenticate(&token, NOW + 1, &rows).unwrap();
    assert!(std::sync::Arc::ptr_eq(&first, &second));
    assert_eq!((lookups, rows.lookups.get()), (3, 3));
}

#[test]
fn attack_a13_a_revoked_token_is_refused_on_its_next_use() {
    let hash = |claims: &Value| {
        let claims = &mut claims.clone();
        claims.as_object_mut().unwrap().remove("jti");
        let who = authenticator(settings()).authenticate(&token(claims), NOW, &Rows::default()).unwrap();
        (token(claims), Selector::credential_hash(who.credential.hash.as_deref().unwrap()).unwrap())
    };
    let (hashed, hash) = hash(&good());
    let subject = Selector::subject("svc-billing").unwrap();
    let cases = [(token(&good()), jti("t-1"), 0), (hashed, hash, 0), (token(&good()), subject, NOW)];
    for (token, selector, issued_before) in cases {
        let (authenticator, rows) = (authenticator(settings()), Rows::default());
        let ask = || word(&authenticator.authenticate(&token, NOW, &rows));
        assert_eq!((ask(), ask()), ("ok", "ok"), "{selector:?}");
        rows.revoke(&selector, issued_before);
        assert_eq!((ask(), ask()), ("revoked", "revoked"), "{selector:?}, remembered");
        // A process that has never seen the token, over the same rows.
        let restarted = super::authenticator(settings());
        assert_eq!(word(&restarted.authenticate(&token, NOW, &rows)), "revoked", "{selector:?}, after a restart");
    }
}

#[test]
fn attack_a13_the_whole_second_counts_as_before() {
    let rows = Rows::default();
    rows.revoke(&Selector::subject("svc-billing").unwrap(), NOW);
    let authenticator = authenticator(settings());
    for (issued, expected) in [(NOW - 1, "revoked"), (NOW, "revoked"), (NOW + 1, "ok")] {
        let token = token(&but("iat", Some(json!(issued))));
        assert_eq!(word(&authenticator.authenticate(&token, NOW, &rows)), expected, "{issued}");
    }
}

#[test]
fn attack_a13_a_revocation_takes_only_what_it_names() {
    let rows = Rows::default();
    for near in ["t-", "t-10", "T-1", "svc-billing", " t-1"] {
        rows.revoke(&jti(near), 0);
    }
    for near in ["svc", "svc-billing2", "t-1", "SVC-BILLING"] {
        rows.revoke(&Selector::subject(near).unwrap(), NOW);
    }
    let of_another_issuer = Revocation::new(0, NOW, "").unwrap().encode().unwrap();
    rows.put(jti("t-1").key("corp").unwrap(), of_another_issuer);
    assert_eq!(word(&authenticator(settings()).authenticate(&token(&good()), NOW, &rows)), "ok");
}

#[test]
fn i13_the_generation_seen_is_that_before_the_rows_were_read() {
    /// Revocations into which one more falls while the first row is looked up.
    struct Racing(Rows);
    impl Revocations for Racing {
        fn generation(&self) -> u64 {
            self.0.generation()
        }

        fn row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, RevocationsUnavailable> {
            let row = self.0.row(key);
            if self.0.lookups.get() == 1 {
                self.0.revoke(&jti("t-1"), 0);
            }
            row
        }
    }
    let (authenticator, rows, token) = (authenticator(settings()), Racing(Rows::default()), token(&good()));
    let first = authenticator.authenticate(&token, NOW, &rows).unwrap();
    assert_eq!((first.revocations_seen, rows.generation()), (0, 1));
    assert_eq!(word(&authenticator.authenticate(&token, NOW, &rows)), "revoked");
}

#[test]
fn i13_a_remembered_token_moves_to_the_generation_it_was_checked_at() {
    let (authenticator, rows, token) = (authenticator(settings()), Rows::default(), token(&good()));
    let first = authenticator.authenticate(&token, NOW, &rows).unwrap();
    rows.revoke(&jti("another"), 0);
    let second = authenticator.authenticate(&token, NOW, &rows).unwrap();
    assert_eq!((first.revocations_seen, second.revocations_seen), (0, 1));
    assert_eq!(
        (&first.principal, &first.groups, &first.credential),
        (&second.principal, &second.groups, &second.credential)
    );
    let lookups = rows.lookups.get();
    let third = authenticator.authenticate(&token, NOW, &rows).unwrap();
    assert_eq!((third.revocations_seen, rows.lookups.get()), (1, lookups));
}

#[test]
fn i05_unreadable_revocations_are_no_pass() {
    let (authenticator, rows, token) = (authenticator(settings()), Rows::default(), token(&good()));
    rows.broken.set(true);
    assert_eq!(word(&authenticator.authenticate(&token, NOW, &rows)), "unavailable");
    rows.broken.set(false);
    assert_eq!(word(&authenticator.authenticate(&token, NOW, &rows)), "ok");
    // Remembered, and something was revoked since: it cannot be known whether it was this.
    rows.revoke(&jti("another"), 0);
    rows.broken.set(true);
    assert_eq!(word(&authenticator.authenticate(&token, NOW, &rows)), "unavailable");
    // A token that is no good anyway is told so.
    let other = token_of(&OTHER_ED, "EdDSA", r#"{"alg":"EdDSA"}"#, &good().to_string());
    assert_eq!(word(&authenticator.authenticate(&other, NOW, &rows)), "signature");
}

#[test]
fn i05_a_row_that_cannot_be_decoded_is_no_pass() {
    let good_row = Revocation::new(0, NOW, "r").unwrap().encode().unwrap();
    let newer = String::from_utf8(good_row.clone()).unwrap().replace("\"version\":1", "\"version\":2");
    for row in [b"".to_vec(), b"{}".to_vec(), good_row[1..].to_vec(), newer.into_bytes()] {
        let rows = Rows::default();
        rows.put(jti("t-1").key("dev").unwrap(), row);
        let answer = authenticator(settings()).authenticate(&token(&good()), NOW, &rows);
        assert!(matches!(answer, Err(AuthenticateError::Unavailable(_))), "{answer:?}");
    }
}

#[test]
fn a_remembered_token_dies_with_its_key_its_issuer_or_its_terms() {
    let other_key = || IssuerSettings { key: KeySource::PublicKeyPem(OTHER_ED.pem().into_bytes()), ..settings() };
    let other_issuer = || IssuerSettings { issuer: "https://elsewhere".to_owned(), ..settings() };
    let other_audience = || IssuerSettings { audience: vec!["other".to_owned()], ..settings() };
    let shorter = || IssuerSettings { max_lifetime_s: 899, ..settings() };
    let cases = [
        (other_key(), "signature"),
        (other_issuer(), "issuer"),
        (other_audience(), "audience"),
        (shorter(), "lifetime"),
    ];
    for (changed, expected) in cases {
        let (authenticator, token) = (authenticator(settings()), token(&good()));
        assert_eq!(ask(&authenticator, &token), "ok");
        authenticator.replace(Prepared::new(vec![changed]).unwrap(), 2);
        assert_eq!(ask(&authenticator, &token), expected);
        authenticator.replace(Prepared::new(vec![settings()]).unwrap(), 3);
        assert_eq!(ask(&authenticator, &token), "ok");
    }
    let (authenticator, token) = (authenticator(settings()), token(&good()));
    assert_eq!(ask(&authenticator, &token), "ok");
    let unusable = IssuerSettings { key: KeySource::PublicKeyPem(Vec::new()), ..settings() };
    assert!(Prepared::new(vec![unusable]).is_err());
    authenticator.replace(Prepared::new(Vec::new()).unwrap(), 2);
    assert_eq!(ask(&authenticator, &token), "issuer");
}

#[test]
fn refusals_are_not_remembered() {
    let authenticator = authenticator(settings());
    let token = token(&but("nbf", Some(json!(NOW + 100))));
    let rows = Rows::default();
    assert_eq!(word(&authenticator.authenticate(&token, NOW, &rows)), "not_yet_valid");
    assert_eq!(word(&authenticator.authenticate(&token, NOW + 100, &rows)), "ok");
}

#[test]
fn keys_of_revocations_are_fixed_and_apart() {
    assert_eq!(jti("a").key("dev").unwrap(), b"dev\0ja");
    assert_eq!(Selector::subject("a").unwrap().key("dev").unwrap(), b"dev\0sa");
    assert_eq!(Selector::CredentialHash([1; 32]).key("dev").unwrap(), [b"dev\0h".as_slice(), &[1; 32]].concat());
    assert!(jti("a").key("de\0v").is_err());
    assert!(Selector::jti("").is_err() && Selector::jti("a\n").is_err() && Selector::subject("").is_err());
    let upper = "AB".repeat(32);
    assert!(Selector::credential_hash(&upper).is_err() && Selector::credential_hash(&upper.to_lowercase()).is_ok());
    assert!(Selector::credential_hash("ab").is_err());
}

#[test]
fn rows_of_revocations_are_canonical_and_never_give_back() {
    let row = Revocation::new(NOW, NOW + 1, "left").unwrap();
    let bytes = row.encode().unwrap();
    let text = format!("{{\"issued_before\":{NOW},\"reason\":\"left\",\"revoked_at\":{},\"version\":1}}", NOW + 1);
    assert_eq!(bytes, text.as_bytes());
    assert_eq!(Revocation::decode(&bytes).unwrap(), row);
    let earlier = Revocation::new(NOW - 10, NOW + 2, "again").unwrap();
    assert_eq!(earlier.over(&row).issued_before, NOW);
    assert!(Revocation::new(0, 0, &"r".repeat(256)).is_some() && Revocation::new(0, 0, &"r".repeat(257)).is_none());
}
