//! What callers and operators send: tokens, parameters, policies, configuration.

use super::{files, fuzz};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use keyward::actions::by_name;
use keyward::authn::{
    Algorithm, Authenticator, ClaimNames, GroupsRule, IssuerSettings, KeySource, Prepared, Revocations,
    RevocationsUnavailable,
};
use keyward::authz::{
    Caller, Context, Coverage, CredentialForm, IssuerRule, PolicyFile, PolicySet, PolicyTests, Question, Settings,
    Surroundings, Target, Verdict, grid, lint,
};
use keyward::config::{Config, DEV_ISSUER, TEMPLATE};
use keyward::parameters::Fields;
use keyward::principal::Principal;
use keyward::resource::{CreatorNumber, Place, SecretName};
use std::collections::BTreeSet;

const NOW_S: u64 = 1_700_000_000;
const CLAIMS: &str = r#"{"iss":"https://issuer.example","aud":["keyward"],"sub":"svc","iat":1700000000,"exp":1700000900,"jti":"t-1","groups":["a"],"roles":["b"]}"#;

/// No token is revoked.
struct NoneRevoked;

impl Revocations for NoneRevoked {
    fn generation(&self) -> u64 {
        1
    }

    fn row(&self, _: &[u8]) -> Result<Option<Vec<u8>>, RevocationsUnavailable> {
        Ok(None)
    }
}

fn pair() -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap()
}

/// The public key as PEM: RFC 8410's fixed head and the 32 bytes.
fn pem() -> Vec<u8> {
    let mut der = hex::decode("302a300506032b6570032100").unwrap();
    der.extend_from_slice(pair().public_key().as_ref());
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der)).into_bytes()
}

fn issuer(key: KeySource) -> IssuerSettings {
    IssuerSettings {
        name: "dev".to_owned(),
        issuer: "https://issuer.example".to_owned(),
        audience: vec!["keyward".to_owned()],
        algorithms: vec![Algorithm::EdDsa],
        key,
        leeway_s: 30,
        max_lifetime_s: 86_400,
        groups: GroupsRule::Optional,
        claims: ClaimNames::default(),
    }
}

fn signed(header: &str, claims: &[u8]) -> String {
    let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = pair().sign(input.as_bytes());
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

#[test]
fn i10_tokens() {
    let authenticator = Authenticator::new(Prepared::new(vec![issuer(KeySource::PublicKeyPem(pem()))]).unwrap(), 1);
    let good =
        [signed(r#"{"alg":"EdDSA","typ":"JWT"}"#, CLAIMS.as_bytes()), signed(r#"{"alg":"EdDSA"}"#, CLAIMS.as_bytes())];
    let seeds: Vec<Vec<u8>> = good.iter().map(|token| token.clone().into_bytes()).collect();
    let accepted: BTreeSet<String> = good.into_iter().collect();
    fuzz("token", seeds, |bytes| {
        let Ok(token) = std::str::from_utf8(bytes) else { return };
        // One token, one spelling: whoever cannot sign makes no other that is good.
        let answer = authenticator.authenticate(token, NOW_S, &NoneRevoked);
        assert_eq!(answer.is_ok(), accepted.contains(token));
    });
}

#[test]
fn i10_claims_that_are_well_signed() {
    let authenticator = Authenticator::new(Prepared::new(vec![issuer(KeySource::PublicKeyPem(pem()))]).unwrap(), 1);
    fuzz("claims", vec![CLAIMS.as_bytes().to_vec()], |bytes| {
        let token = signed(r#"{"alg":"EdDSA"}"#, bytes);
        if authenticator.authenticate(&token, NOW_S, &NoneRevoked).is_ok() {
            let claims: serde_json::Value = serde_json::from_slice(bytes).expect("what is accepted is JSON");
            assert_eq!(claims["iss"], "https://issuer.example");
            let subject = claims["sub"].as_str().expect("a text");
            Principal::parse(&format!("user/dev/{subject}")).expect("a principal");
            assert!(claims["exp"].as_u64().expect("an integer") + 30 >= NOW_S);
        }
    });
}

#[test]
fn i10_key_sets() {
    let x = URL_SAFE_NO_PAD.encode(pair().public_key().as_ref());
    let set = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"k","use":"sig","alg":"EdDSA","x":"{x}"}}]}}"#);
    fuzz("jwks", vec![set.into_bytes(), pem()], |bytes| {
        let _refused = Prepared::new(vec![issuer(KeySource::public(bytes.to_vec()))]);
    });
}

#[test]
fn i10_request_parameters() {
    fuzz("parameters", Vec::new(), |bytes| {
        let Ok(mut fields) = Fields::parse(bytes) else { return };
        let _missing = fields.required_text("SecretName");
        let _wrong = (fields.nonempty_text("VersionId"), fields.number("Limit"), fields.flag("Stage"));
        let _wrong = (fields.texts("Names"), fields.text("SecretString"));
        if let Ok(tags) = fields.objects("Tags") {
            for mut tag in tags {
                let _wrong = (tag.text("TagKey"), tag.text("TagValue"), tag.finish());
            }
        }
        let _unknown = fields.finish();
    });
}

fn settings() -> Settings {
    let issuer = |name: &str| IssuerRule { name: name.to_owned(), groups_required: true };
    Settings {
        place: Place { region: "local".to_owned(), account: "100000000001".to_owned() },
        issuers: vec![issuer("dev"), issuer("corp"), issuer("ci")],
        foreign_services: Vec::new(),
        document_characters_max: 6_144,
        catalogue: keyward::actions::CATALOGUE,
    }
}

fn file(path: &str, bytes: &[u8]) -> PolicyFile {
    PolicyFile { path: path.to_owned(), bytes: bytes.to_vec() }
}

const ATTACHED: &[u8] =
    br#"{"version":1,"groups":{},"attachments":[{"policy":"p","to":["everyone"]}],"boundaries":[]}"#;
const ALLOW: &[u8] =
    br#"{"version":"2.0","statement":[{"effect":"allow","action":"ssm:GetSecretValue","resource":"*"}]}"#;

/// What everyone may do with `demo/db` under a set.
fn verdict(set: &PolicySet) -> Verdict {
    let (caller, name) = (Principal::parse("user/dev/app").unwrap(), SecretName::parse("demo/db").unwrap());
    let creator = CreatorNumber::new(7).unwrap();
    set.decide(&Question {
        caller: Caller {
            principal: &caller,
            groups: &[],
            roles: &[],
            restricted: &[],
            creator,
            form: CredentialForm::Token,
        },
        action: by_name("GetSecretValue").unwrap(),
        target: Target::Secret { creator: Some(creator), name: &name },
        context: &Context::default(),
        session_policy: None,
    })
    .outcome
}

/// What a folder that loads is told of, and what its tests say: whatever stands in it, that is an answer.
fn for_authors(set: &PolicySet, files: &[PolicyFile]) {
    let settings = settings();
    let found = lint(files, &settings, &Surroundings::default()).unwrap();
    assert!(found.warnings.iter().all(|warning| warning.line > 0 && warning.column > 0));
    let tests = PolicyTests::read(files, &settings);
    assert!(tests.run(set, &settings).iter().all(|outcome| outcome.decision != "error"));
    assert!(Coverage::of(&tests, files, set, &settings).percent() <= 100);
    let _rows = grid(&tests.tests, &settings, &|question| set.decide(question));
}

#[test]
fn i05_i10_policy_documents() {
    let mut seeds = files("policies/presets", ".json");
    seeds.extend(files("policies/examples", ".json"));
    fuzz("policy", seeds, |bytes| {
        for path in ["documents/p.json", "attachments.json", "roles/r.json", "tests/t.json", "waivers.json"] {
            let mut set = vec![file(path, bytes)];
            if path != "attachments.json" {
                set.push(file("attachments.json", ATTACHED));
            }
            if path != "documents/p.json" {
                set.push(file("documents/p.json", ALLOW));
            }
            match PolicySet::load(&set, &settings()) {
                Ok(loaded) => {
                    assert!(!matches!(verdict(&loaded), Verdict::Error(_)));
                    for_authors(&loaded, &set);
                }
                Err(findings) => assert!(!findings.is_empty()),
            }
        }
    });
}

/// A plain reading of `*` in a secret's name, recursive on purpose.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some((b'*', rest)) => (0..=name.len()).any(|at| fits(rest, &name[at..])),
        Some((byte, rest)) => name.first() == Some(byte) && fits(rest, &name[1..]),
    }
}

#[test]
fn i06_i10_resource_patterns() {
    let seeds =
        ["qcs::ssm:::secret/creatorUin/*/demo/*", "qcs::ssm:local:uin/100000000001:secret/creatorUin/7/d*o/*b", "*"];
    fuzz("resource", seeds.iter().map(|seed| seed.as_bytes().to_vec()).collect(), |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let resource = serde_json::to_string(text).unwrap();
        let document = format!(
            r#"{{"version":"2.0","statement":[{{"effect":"allow","action":"ssm:GetSecretValue","resource":{resource}}}]}}"#
        );
        let files = [file("attachments.json", ATTACHED), file("documents/p.json", document.as_bytes())];
        let Ok(set) = PolicySet::load(&files, &settings()) else { return };
        let allowed = verdict(&set) == Verdict::Allow;
        // The plain cases are decided a second time.
        if let Some(pattern) = text.strip_prefix("qcs::ssm:::secret/creatorUin/*/")
            && pattern.len() < 40
            && pattern.matches('*').count() < 6
            && !pattern.contains("${")
        {
            assert_eq!(allowed, fits(pattern.as_bytes(), b"demo/db"), "{text:?}");
        }
    });
}

#[test]
fn i10_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keyward.toml");
    let template = TEMPLATE.replace("{origin}", "localhost/keyward-00000000");
    fuzz("config", vec![format!("{template}{DEV_ISSUER}").into_bytes(), template.into_bytes()], |bytes| {
        std::fs::write(&path, bytes).unwrap();
        if let Ok(config) = Config::load(&path) {
            // No spelling opens plain HTTP to a network.
            assert!(config.server.listen.ip().is_loopback());
        }
    });
}
