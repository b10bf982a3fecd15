//! The rows of the attack checklist that authentication answers, by number: what a token is. Each case states the cause that its
//! record will have; the status and the body are the doors' tests.

use serde_json::{Value, json};

use super::super::{Algorithm, AuthenticateError, Authenticator, IssuerSettings, TOKEN_BYTES_MAX};
use super::*;

fn b64(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// A token by the usual key with this header and good claims.
fn with_header(header: &Value) -> String {
    token_of(&ED, "EdDSA", &header.to_string(), &good().to_string())
}

#[track_caller]
pub(super) fn all_refused(authenticator: &Authenticator, cause: &str, tokens: impl IntoIterator<Item = String>) {
    for (case, token) in tokens.into_iter().enumerate() {
        assert_eq!(ask(authenticator, &token), cause, "case {case}: {token}");
    }
}

#[test]
fn a_good_token_says_who_asks() {
    let authenticator = authenticator(settings());
    let token = token_of(&ED, "EdDSA", r#"{"alg":"EdDSA","kid":"k","typ":"JWT"}"#, &good().to_string());
    let who = authenticator.authenticate(&token, NOW, &Rows::default()).unwrap();
    assert_eq!(who.principal.as_str(), "user/dev/svc-billing");
    assert_eq!((who.issuer_name.as_str(), who.issuer.as_str()), ("dev", ISS));
    let texts = |list: &[crate::principal::Principal]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(texts(&who.groups), ["group/dev/all", "group/dev/billing"]);
    assert_eq!(texts(&who.roles), ["role/dev/batch"]);
    assert_eq!((who.credential.issued, who.credential.expires), (NOW, NOW + 900));
    assert_eq!((who.credential.jti.as_deref(), who.credential.kid.as_deref()), (Some("t-1"), Some("k")));
    assert_eq!(who.credential.hash, None);
}

#[test]
fn a_token_without_jti_is_named_by_its_credential_hash() {
    let corp = IssuerSettings { name: "corp".to_owned(), issuer: "https://idp.corp.example".to_owned(), ..settings() };
    let authenticator = authenticator(corp);
    let header = r#"{"alg":"EdDSA","kid":"corp-7"}"#;
    let claims = r#"{"aud":"keyward","exp":1767229200,"groups":["payments-ops"],"iat":1767225600,"iss":"https://idp.corp.example","sub":"r.lee"}"#;
    let who = authenticator.authenticate(&token_of(&ED, "EdDSA", header, claims), NOW, &Rows::default()).unwrap();
    let hash = "e0fb9714ac234799a12987a50058c462be54dde1bcce3a712f11dcbfe617f8a1";
    assert_eq!(who.credential.hash.as_deref(), Some(hash));
    assert_eq!(who.credential.jti, None);
}

#[test]
fn a_refusal_carries_what_was_claimed_shortened() {
    let claims = but("sub", Some(json!("x".repeat(200))));
    let token = token_of(&OTHER_ED, "EdDSA", r#"{"alg":"EdDSA","kid":"k"}"#, &claims.to_string());
    let refused = authenticator(settings()).authenticate(&token, NOW, &Rows::default());
    let Err(AuthenticateError::Refused(refusal)) = refused else { panic!("{refused:?}") };
    let expected =
        [("claimed_issuer", ISS.to_owned()), ("claimed_jti", "t-1".to_owned()), ("claimed_kid", "k".to_owned())];
    let expected = expected.into_iter().chain([("claimed_subject", "x".repeat(128))]);
    assert_eq!(refusal.claimed, expected.map(|(key, value)| (key.to_owned(), value)).collect());
}

#[test]
fn attack_a01_alg_none() {
    let authenticator = authenticator(settings());
    let headers = ["none", "None", "nOnE", "NONE", "", "eddsa", "EDDSA", "EdDSA ", "ES512", "Ed25519"]
        .map(|name| json!({"alg": name}))
        .into_iter()
        .chain([json!({}), json!({"alg": null}), json!({"alg": 1}), json!({"alg": ["EdDSA"]})]);
    for header in headers {
        let signed = with_header(&header);
        let unsigned = format!("{}.", signed.rsplit_once('.').unwrap().0);
        all_refused(&authenticator, "alg_refused", [signed, unsigned]);
    }
    let good = token(&good());
    let stripped = format!("{}.", good.rsplit_once('.').unwrap().0);
    all_refused(&authenticator, "alg_refused", [stripped]);
    // Offered, but not by this issuer.
    all_refused(
        &authenticator,
        "alg_refused",
        [token_of(&P256, "ES256", r#"{"alg":"ES256"}"#, &super::good().to_string())],
    );
}

#[test]
fn attack_a02_hmac_by_the_public_key() {
    let authenticators =
        [(authenticator(settings()), &ED), (authenticator(set_settings(&[RSA.jwk("rsa"), SECRET.jwk("oct")])), &RSA)];
    for (authenticator, public) in &authenticators {
        let texts = [
            public.pem().into_bytes(),
            public.pem().trim().as_bytes().to_vec(),
            public.spki(),
            public.jwk("rsa").to_string().into_bytes(),
        ];
        for text in texts {
            let forged =
                token_of(&Signer::Secret(text), "HS256", r#"{"alg":"HS256","kid":"rsa"}"#, &good().to_string());
            all_refused(authenticator, "alg_refused", [forged]);
        }
    }
    let (with_oct, _) = &authenticators[1];
    let by_oct =
        |alg: &str| token_of(&SECRET, alg, &json!({"alg": alg, "kid": "oct"}).to_string(), &good().to_string());
    all_refused(with_oct, "alg_refused", [by_oct("HS256")]);
    all_refused(with_oct, "key_unfit", [by_oct("RS256")]);
}

#[test]
fn attack_a03_key_of_another_kind() {
    let with = |signer: &Signer, kid: &str, name: &str, value: Value| {
        let mut jwk = signer.jwk(kid);
        jwk[name] = value;
        jwk
    };
    let mut short = RSA.jwk("short");
    short["n"] = json!(b64([0xc1; 128]));
    let mut lying = P256.jwk("lying");
    lying["crv"] = json!("P-384");
    let mut off_curve = P256.jwk("off-curve");
    off_curve["y"] = json!(b64([7; 32]));
    let keys = [
        ED.jwk("ed"),
        P256.jwk("p256"),
        P384.jwk("p384"),
        RSA.jwk("rsa"),
        short,
        lying,
        off_curve,
        with(&ED, "enc", "use", json!("enc")),
        with(&ED, "use-list", "use", json!(["sig"])),
        with(&ED, "ops-sign", "key_ops", json!(["sign"])),
        with(&ED, "ops-none", "key_ops", json!([])),
        with(&RSA, "ps256-only", "alg", json!("PS256")),
        with(&ED, "alg-es256", "alg", json!("ES256")),
        with(&ED, "alg-hs256", "alg", json!("HS256")),
        with(&ED, "alg-unknown", "alg", json!("RSA-OAEP")),
        with(&ED, "private", "d", json!("AAAA")),
        with(&ED, "x448", "crv", json!("X25519")),
        with(&RSA, "e1", "e", json!("AQ")),
        with(&RSA, "e-even", "e", json!("AQAA")),
    ];
    let authenticator = authenticator(set_settings(&keys));
    let by = |signer: &Signer, alg: &str, kid: &str| {
        token_of(signer, alg, &json!({"alg": alg, "kid": kid}).to_string(), &good().to_string())
    };
    let fit: [(&Signer, &str, &str); 9] = [
        (&ED, "EdDSA", "ed"),
        (&P256, "ES256", "p256"),
        (&P384, "ES384", "p384"),
        (&RSA, "RS256", "rsa"),
        (&RSA, "RS384", "rsa"),
        (&RSA, "RS512", "rsa"),
        (&RSA, "PS384", "rsa"),
        (&RSA, "PS512", "rsa"),
        (&RSA, "PS256", "ps256-only"),
    ];
    for (signer, alg, kid) in fit {
        assert_eq!(ask(&authenticator, &by(signer, alg, kid)), "ok", "{alg} {kid}");
    }
    let unfit: [(&Signer, &str, &str); 22] = [
        (&P256, "ES256", "ed"),
        (&ED, "EdDSA", "p256"),
        (&P256, "ES256", "p384"),
        (&P384, "ES384", "p256"),
        (&RSA, "RS256", "p256"),
        (&P256, "ES256", "rsa"),
        (&RSA, "RS256", "short"),
        (&P256, "ES256", "lying"),
        (&P384, "ES384", "lying"),
        (&P256, "ES256", "off-curve"),
        (&ED, "EdDSA", "enc"),
        (&ED, "EdDSA", "use-list"),
        (&ED, "EdDSA", "ops-sign"),
        (&ED, "EdDSA", "ops-none"),
        (&RSA, "RS256", "ps256-only"),
        (&ED, "EdDSA", "alg-es256"),
        (&ED, "EdDSA", "alg-hs256"),
        (&ED, "EdDSA", "alg-unknown"),
        (&ED, "EdDSA", "private"),
        (&ED, "EdDSA", "x448"),
        (&RSA, "RS256", "e1"),
        (&RSA, "RS256", "e-even"),
    ];
    for (signer, alg, kid) in unfit {
        assert_eq!(ask(&authenticator, &by(signer, alg, kid)), "key_unfit", "{alg} {kid}");
    }
    let pem =
        super::authenticator(IssuerSettings { algorithms: vec![Algorithm::EdDsa, Algorithm::Es256], ..settings() });
    assert_eq!(ask(&pem, &by(&P256, "ES256", "ed")), "key_unfit");
}

#[test]
fn attack_a08_keys_by_issuer_and_kid() {
    let x = IssuerSettings {
        name: "x".to_owned(),
        issuer: "https://x".to_owned(),
        ..set_settings(&[ED.jwk("same"), P256.jwk("x-only")])
    };
    let y = IssuerSettings {
        name: "y".to_owned(),
        issuer: "https://y".to_owned(),
        ..set_settings(&[OTHER_ED.jwk("same"), ED.jwk("y-only"), P384.jwk("p384")])
    };
    let authenticator = Authenticator::new(Prepared::new(vec![x, y]).unwrap(), 1);
    let by = |signer: &Signer, alg: &str, iss: &str, kid: Value| {
        let header = if kid.is_null() { json!({"alg": alg}) } else { json!({"alg": alg, "kid": kid}) };
        token_of(signer, alg, &header.to_string(), &but("iss", Some(json!(iss))).to_string())
    };
    assert_eq!(ask(&authenticator, &by(&ED, "EdDSA", "https://x", json!("same"))), "ok");
    assert_eq!(ask(&authenticator, &by(&OTHER_ED, "EdDSA", "https://y", json!("same"))), "ok");
    // The key of that name is the issuer's own, whoever else has one.
    assert_eq!(ask(&authenticator, &by(&OTHER_ED, "EdDSA", "https://x", json!("same"))), "signature");
    assert_eq!(ask(&authenticator, &by(&ED, "EdDSA", "https://x", json!("y-only"))), "kid_unknown");
    // Without kid: one fitting key will do, two will not.
    assert_eq!(ask(&authenticator, &by(&P384, "ES384", "https://y", Value::Null)), "ok");
    assert_eq!(ask(&authenticator, &by(&ED, "EdDSA", "https://y", Value::Null)), "kid_unknown");
    assert_eq!(ask(&authenticator, &by(&P256, "ES256", "https://y", Value::Null)), "key_unfit");
    let odd = ["../../keys/dev-issuer.pub", "' OR 1=1 --", "https://evil.example/key", "a\u{0}b", "", "same\n", "SAME"];
    all_refused(&authenticator, "kid_unknown", odd.map(|kid| by(&ED, "EdDSA", "https://x", json!(kid))));
    let long = by(&ED, "EdDSA", "https://x", json!("k".repeat(257)));
    let longer = by(&ED, "EdDSA", "https://x", json!("k".repeat(10_000)));
    assert_eq!((ask(&authenticator, &long), ask(&authenticator, &longer)), ("kid_unknown", "malformed"));
}

#[test]
fn attack_a08_a_single_key_ignores_kid() {
    let pem = authenticator(settings());
    let secret = authenticator(secret_settings(&[9; 32]));
    for kid in ["anything", "../../x", "https://evil.example"] {
        assert_eq!(ask(&pem, &with_header(&json!({"alg": "EdDSA", "kid": kid}))), "ok");
        let shared = token_of(&SECRET, "HS256", &json!({"alg": "HS256", "kid": kid}).to_string(), &good().to_string());
        assert_eq!(ask(&secret, &shared), "ok");
    }
}

#[test]
fn attack_a09_keys_brought_along() {
    let own = OTHER_ED.jwk("own");
    let headers = [
        json!({"alg": "EdDSA", "jwk": own}),
        json!({"alg": "EdDSA", "jku": "http://127.0.0.1:9/jwks"}),
        json!({"alg": "EdDSA", "x5u": "http://127.0.0.1:9/cert"}),
        json!({"alg": "EdDSA", "x5c": ["MIIB"]}),
    ];
    let authenticator = authenticator(settings());
    for header in headers {
        let forged = token_of(&OTHER_ED, "EdDSA", &header.to_string(), &good().to_string());
        // By the right key too: the header itself is refused.
        all_refused(&authenticator, "header", [forged, with_header(&header)]);
    }
}

#[test]
fn attack_a10_headers_that_ask_for_more() {
    let authenticator = authenticator(settings());
    let odd = [
        json!({"alg": "EdDSA", "crit": ["exp"]}),
        json!({"alg": "EdDSA", "crit": []}),
        json!({"alg": "EdDSA", "b64": false, "crit": ["b64"]}),
        json!({"alg": "EdDSA", "b64": true}),
        json!({"alg": "EdDSA", "zip": "DEF"}),
        json!({"alg": "EdDSA", "enc": "A256GCM"}),
        json!({"alg": "EdDSA", "cty": "JWT"}),
        json!({"alg": "EdDSA", "typ": "jwt"}),
        json!({"alg": "EdDSA", "typ": "JWS"}),
        json!({"alg": "EdDSA", "typ": "dpop+jwt"}),
        json!({"alg": "EdDSA", "typ": "id_token+jwt"}),
        json!({"alg": "EdDSA", "typ": ""}),
        json!({"alg": "EdDSA", "typ": null}),
        json!({"alg": "EdDSA", "typ": ["JWT"]}),
        json!({"alg": "EdDSA", "kid": 7}),
        json!({"alg": "EdDSA", "kid": null}),
    ];
    all_refused(&authenticator, "header", odd.map(|header| with_header(&header)));
    let nested = token_of(&ED, "EdDSA", r#"{"alg":"EdDSA","cty":"JWT"}"#, &token(&good()));
    let encrypted = [b64(r#"{"alg":"RSA-OAEP","enc":"A256GCM"}"#), b64("k"), b64("iv"), b64("c"), b64("t")].join(".");
    all_refused(&authenticator, "header", [nested, encrypted]);
    for typ in ["JWT", "at+jwt"] {
        assert_eq!(ask(&authenticator, &with_header(&json!({"alg": "EdDSA", "typ": typ, "x5t": "AAAA"}))), "ok");
    }
    // An ID token is told by its audience.
    assert_eq!(ask(&authenticator, &token(&but("aud", Some(json!("web-client"))))), "audience");
}

#[test]
fn attack_a11_texts_that_read_two_ways() {
    let authenticator = authenticator(settings());
    let good_token = token(&good());
    let parts: Vec<&str> = good_token.split('.').collect();
    let text = good().to_string();
    let raw = |header: &[u8], claims: &[u8]| {
        let input = format!("{}.{}", b64(header), b64(claims));
        format!("{input}.{}", b64(ED.sign("EdDSA", input.as_bytes())))
    };
    let twice = |name: &str, value: &str| format!("{{\"{name}\":{value},{}", text.strip_prefix('{').unwrap());
    let header = br#"{"alg":"EdDSA"}"#;
    // The last character of 64 signature bytes has four bits to spare, of which none may be set.
    let stray = format!("{}.{}.{}", parts[0], parts[1], stray_bits(parts[2]));
    all_refused(
        &authenticator,
        "malformed",
        [
            raw(br#"{"alg":"EdDSA","alg":"EdDSA"}"#, text.as_bytes()),
            raw(br#"{"alg":"EdDSA","\u0061lg":"none"}"#, text.as_bytes()),
            raw(header, twice("sub", "\"admin\"").as_bytes()),
            raw(header, twice("\\u0073ub", "\"admin\"").as_bytes()),
            raw(header, twice("other", "{\"a\":1,\"a\":1}").as_bytes()),
            raw(header, twice("deep", &format!("{}{}", "[".repeat(16), "]".repeat(16))).as_bytes()),
            raw(
                header,
                &text
                    .replace("svc-billing", "svc-\u{fffd}")
                    .into_bytes()
                    .into_iter()
                    .filter(|byte| *byte != 0xbf)
                    .collect::<Vec<_>>(),
            ),
            raw(header, format!("{text} {{}}").as_bytes()),
            raw(header, b"[]"),
            raw(header, b""),
            raw(b"", text.as_bytes()),
            raw(b"null", text.as_bytes()),
            format!("{good_token}="),
            format!("{}=.{}.{}", parts[0], parts[1], parts[2]),
            stray,
            format!("{}.{}", parts[0], parts[1]),
            format!("{good_token}.{}", parts[2]),
            format!("{good_token}."),
            format!(".{good_token}"),
            parts[0].to_owned(),
            String::new(),
            ".".to_owned(),
            "..".to_owned(),
            "...".to_owned(),
            good_token.replace('.', ". "),
            good_token.replacen('e', "+", 1),
            format!("{good_token}\n"),
            format!("\u{e9}{good_token}"),
            "a".repeat(TOKEN_BYTES_MAX + 1),
            token(&but("pad", Some(json!("p".repeat(TOKEN_BYTES_MAX))))),
        ],
    );
    let deepest = raw(header, twice("deep", &format!("{}{}", "[".repeat(15), "]".repeat(15))).as_bytes());
    assert_eq!((ask(&authenticator, &deepest), ask(&authenticator, &good_token)), ("ok", "ok"));
}

/// The same bytes in base64url with a spare bit set.
fn stray_bits(part: &str) -> String {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (head, last) = part.split_at(part.len() - 1);
    let place = alphabet.find(last).unwrap();
    assert_eq!((part.len() % 4, place % 16), (2, 0));
    format!("{head}{}", alphabet.chars().nth(place + 1).unwrap())
}

#[test]
fn attack_a14_only_the_token_itself_is_taken() {
    let good_token = token(&good());
    let texts = [
        format!("Bearer {good_token}"),
        format!(" {good_token}"),
        format!("{good_token} "),
        format!("token={good_token}"),
        format!("{good_token};x"),
    ];
    let authenticator = authenticator(settings());
    all_refused(&authenticator, "malformed", texts);
    // Two of them have five parts, as an encrypted one has.
    all_refused(&authenticator, "header", [format!("{good_token},{good_token}")]);
}
