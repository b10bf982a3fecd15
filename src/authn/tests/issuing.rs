//! The dev issuer: what it signs is what the server takes, and other tools read its files.

use std::sync::atomic::{AtomicU8, Ordering};

use keyward_audit::{Random, RandomError};

use super::super::{DevIssuer, IssueError, IssuerSettings, TokenRequest};
use super::*;

/// Bytes that differ from call to call.
#[derive(Debug, Default)]
struct Counting(AtomicU8);

impl Random for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), RandomError> {
        bytes.fill(self.0.fetch_add(1, Ordering::Relaxed));
        Ok(())
    }
}

#[derive(Debug)]
struct Dry;

impl Random for Dry {
    fn fill(&self, _: &mut [u8]) -> Result<(), RandomError> {
        Err(RandomError)
    }
}

fn request<'a>(audience: &'a [String], groups: &'a [String]) -> TokenRequest<'a> {
    TokenRequest { issuer: ISS, audience, subject: "app", groups, roles: &[], issued_s: NOW, ttl_s: 3_600 }
}

#[test]
fn an_issued_token_is_taken_by_the_server() {
    let random = Counting::default();
    let dev = DevIssuer::generate(&random).unwrap();
    let authenticator =
        authenticator(IssuerSettings { key: KeySource::public(dev.public_pem().into_bytes()), ..settings() });
    let (audience, groups) = (["keyward".to_owned()], ["ops".to_owned()]);
    let first = dev.issue(&request(&audience, &groups), &random).unwrap();
    let who = authenticator.authenticate(&first, NOW, &Rows::default()).unwrap();
    assert_eq!((who.principal.as_str(), who.groups[0].as_str()), ("user/dev/app", "group/dev/ops"));
    assert_eq!(who.credential.kid, Some(dev.kid()));
    assert_eq!(who.credential.jti.as_deref(), Some("01".repeat(16).as_str()));
    assert_eq!(who.credential.expires, NOW + 3_600);
    assert_ne!(first, dev.issue(&request(&audience, &groups), &random).unwrap());
}

#[test]
fn the_key_files_give_the_same_key_back() {
    let random = Counting::default();
    let dev = DevIssuer::generate(&random).unwrap();
    let read = DevIssuer::from_private_pem(&dev.private_pem()).unwrap();
    assert_eq!((read.public_pem(), read.kid()), (dev.public_pem(), dev.kid()));
    assert!(dev.kid().starts_with("dev-") && dev.kid().len() == 12);
    // RFC 8410 10.3: the private key of the example, whose public half 10.1 gives.
    let rfc = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
    let expected = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    let example = DevIssuer::from_private_pem(rfc).unwrap();
    assert_eq!((example.public_pem().as_str(), example.private_pem().as_str()), (expected, rfc));
}

#[test]
fn files_that_hold_no_private_key_are_refused() {
    for text in [String::new(), ED.pem(), ED.pem().replace("PUBLIC", "PRIVATE"), "x".to_owned()] {
        assert!(matches!(DevIssuer::from_private_pem(&text), Err(IssueError::Key)));
    }
}

#[test]
fn what_no_token_can_say_is_not_issued() {
    let random = Counting::default();
    let dev = DevIssuer::generate(&random).unwrap();
    let audience = ["keyward".to_owned()];
    let issue =
        |subject: &str, groups: &[String]| dev.issue(&TokenRequest { subject, ..request(&audience, groups) }, &random);
    assert!(matches!(issue("", &[]), Err(IssueError::Name(..))));
    assert!(matches!(issue("app", &["a\nb".to_owned()]), Err(IssueError::Name(..))));
    assert!(matches!(issue("app", &vec!["g".repeat(256); 40]), Err(IssueError::TooLong)));
    assert!(matches!(DevIssuer::generate(&Dry), Err(IssueError::Random(_))));
    assert!(matches!(dev.issue(&request(&audience, &[]), &Dry), Err(IssueError::Random(_))));
}
