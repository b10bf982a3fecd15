//! S1: what was stored as a secret is sought, in every form it may take, wherever the gateway writes or shows anything.
//! A marker that is planted where it may stand must be found, so that the search can fail.

use crate::gateway::TestGateway;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use keyward_audit::store::rocks::{Recovery, RocksStore};
use keyward_audit::store::{Family, read as read_store};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;

const TEXT: &str = "kw marker/ä+secret?&=7f3a91c2";
const NUMBER: &str = "86753094200421337";
const BYTES: [u8; 24] = *b"\x00\xff\x01kwb\x80\x81marker\xfe\xfd\x10\x11\x12\x13\x14\x15\x16\x17";
const PLANTED: &str = "planted-in-a-description-0d4e";

/// A text that must not stand anywhere: what it is, and its bytes.
type Needle = (String, Vec<u8>);

/// Every form of a value.
fn forms(what: &str, value: &[u8]) -> Vec<Needle> {
    let digest = Sha256::digest(value);
    let url: String = value.iter().map(|byte| format!("%{byte:02X}")).collect();
    let url_of_special: String = value
        .iter()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(*b).to_string() } else { format!("%{b:02X}") })
        .collect();
    let json = serde_json::to_string(&String::from_utf8_lossy(value)).unwrap();
    [
        ("plain", value.to_vec()),
        ("JSON", json.trim_matches('"').as_bytes().to_vec()),
        ("base64", STANDARD.encode(value).into_bytes()),
        ("base64 unpadded", STANDARD_NO_PAD.encode(value).into_bytes()),
        ("base64url", URL_SAFE_NO_PAD.encode(value).into_bytes()),
        ("hex", hex::encode(value).into_bytes()),
        ("upper hex", hex::encode_upper(value).into_bytes()),
        ("URL form", url.into_bytes()),
        ("URL form of special characters", url_of_special.into_bytes()),
        ("SHA-256", digest.to_vec()),
        ("SHA-256 hex", hex::encode(digest).into_bytes()),
        ("SHA-256 base64", STANDARD.encode(digest).into_bytes()),
        ("a debug listing", format!("{value:?}").into_bytes()),
    ]
    .into_iter()
    .map(|(form, bytes)| (format!("{what} as {form}"), bytes))
    .collect()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    let first = needle[0];
    let mut rest = haystack;
    while let Some(place) = rest.iter().position(|byte| *byte == first) {
        if rest[place..].starts_with(needle) {
            return true;
        }
        rest = &rest[place + 1..];
    }
    false
}

/// Every place where something was written or shown, by name.
#[derive(Default)]
struct Places(Vec<(String, Vec<u8>)>);

impl Places {
    fn add(&mut self, name: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.0.push((name.into(), bytes.into()));
    }

    fn add_files(&mut self, path: &Path) {
        for entry in fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                self.add_files(&path);
            } else {
                match fs::read(&path) {
                    Ok(bytes) => self.add(path.display().to_string(), bytes),
                    // The store of a gateway that serves gives up files.
                    Err(error) => assert_eq!(error.kind(), ErrorKind::NotFound, "{}", path.display()),
                }
            }
        }
    }

    fn add_rows(&mut self, store: &RocksStore) {
        for family in Family::ALL {
            let mut rows = Vec::new();
            read_store(store, |snapshot| {
                snapshot.scan(family, b"", &[0xff; 80], false, &mut |key, value| {
                    rows.extend([key, value].concat());
                    rows.push(b'\n');
                    true
                })
            })
            .unwrap();
            self.add(format!("family {}", family.name()), rows);
        }
    }

    fn holding(&self, needle: &[u8]) -> Vec<&str> {
        self.0.iter().filter(|(_, bytes)| contains(bytes, needle)).map(|(name, _)| name.as_str()).collect()
    }
}

/// Stores, reads, and gets wrong, in every way that has a value in it; answers the bodies of all errors.
fn use_the_values(gateway: &TestGateway) -> Vec<u8> {
    let (admin, app) = (gateway.admin(), gateway.issuer().token("app"));
    let binary = STANDARD.encode(BYTES);
    let values = [json!({"SecretString": TEXT}), json!({"SecretBinary": binary}), json!({"SecretString": NUMBER})];
    let mut errors = Vec::new();
    for (number, value) in values.iter().enumerate() {
        let with = |more: serde_json::Value| {
            let mut parameters = value.clone();
            parameters.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            parameters
        };
        let name = format!("demo/{number}");
        let create = with(json!({"SecretName": name, "Description": PLANTED}));
        gateway.call(admin, "CreateSecret", &create).ok();
        gateway.call(admin, "PutSecretValue", &with(json!({"SecretName": name, "VersionId": "v2"}))).ok();
        let served = gateway.call(&app, "GetSecretValue", &json!({"SecretName": name})).ok();
        assert_eq!(served.body["SecretString"], value.get("SecretString").cloned().unwrap_or(json!("")));
        for (action, parameters) in [
            ("CreateSecret", create.clone()),
            ("PutSecretValue", with(json!({"SecretName": name, "VersionId": "v2"}))),
            ("PutSecretValue", with(json!({"SecretName": "demo/none", "VersionId": "v2"}))),
            ("CreateSecret", with(json!({"SecretName": "demo/x", "Unknown": 1}))),
            ("CreateSecret", with(json!({"SecretName": "../x"}))),
            ("CreateSecret", with(json!({"SecretName": "demo/x", "Tags": 7}))),
            ("GetSecretValue", with(json!({"SecretName": name}))),
        ] {
            let reply = gateway.call(admin, action, &parameters);
            assert!(reply.status >= 400, "{}", reply.body);
            errors.extend(reply.bytes);
            errors.extend(gateway.call(&app, action, &parameters).bytes);
        }
        let broken = create.to_string().replace('}', "");
        let bearer = format!("Bearer {admin}");
        errors.extend(gateway.call_with(&[("Authorization", &bearer)], "CreateSecret", &broken).bytes);
        errors.extend(gateway.call_with(&[], "CreateSecret", &create.to_string()).bytes);
    }
    errors
}

#[test]
fn attack_s01_no_value_and_no_token_stands_anywhere() {
    let installation = TestGateway::builder().record_every_refusal().set("storage.ballast_bytes", 4_096).install();
    let gateway = TestGateway::of_with(installation, &[("KEYWARD_LOG", "trace")]);
    let mut places = Places::default();
    places.add("error bodies", use_the_values(&gateway));
    places.add("export", gateway.export().bytes);
    for path in ["/metrics", "/readyz", "/openapi.json"] {
        places.add(path, gateway.get(path).bytes);
    }
    let process = format!("/proc/{}", gateway.pid());
    for file in ["cmdline", "environ", "comm"] {
        match fs::read(format!("{process}/{file}")) {
            Ok(bytes) => places.add(file, bytes),
            // Whoever is not root may not look into a process that gave up core dumps.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => places.add(file, "KEYWARD_LOG"),
            Err(error) => panic!("{file}: {error}"),
        }
    }
    // The store's own log holds rows as they are; a stop may write them to tables, compressed, and give it up.
    places.add_files(&gateway.installation().path("data"));
    let token = gateway.admin().to_owned();
    let installation = gateway.stop();
    places.add_files(&installation.path("data"));
    places.add_files(&installation.path("policies"));
    places.add("hwm", fs::read(installation.path("hwm")).unwrap());
    places.add("log of the server", installation.read("serve-0.log"));
    let store = RocksStore::open(&installation.path("data/db"), Recovery::Absolute).unwrap();
    places.add_rows(&store);
    drop(store);

    let mut needles =
        [forms("text", TEXT.as_bytes()), forms("bytes", &BYTES), forms("number", NUMBER.as_bytes())].concat();
    needles.extend(forms("token", token.as_bytes()));
    let signature = token.rsplit_once('.').unwrap().1;
    needles.push(("a token's signature".to_owned(), signature.as_bytes().to_vec()));
    let root = hex::decode(installation.read("keys/root.key").lines().nth(1).unwrap()).unwrap();
    needles.extend(forms("root key", &root));
    for (what, needle) in &needles {
        assert_eq!(places.holding(needle), Vec::<&str>::new(), "{what}");
    }

    // What may stand there is found there: rows, raw files, and nothing is searched that is empty.
    let found = places.holding(PLANTED.as_bytes());
    assert!(found.contains(&"family secrets"), "{found:?}");
    assert!(found.iter().any(|name| name.contains("/data/db/")), "{found:?}");
    for (place, word) in [
        ("export", "ssm:GetSecretValue"),
        ("family records", "ssm:GetSecretValue"),
        ("error bodies", "RequestId"),
        ("/metrics", "keyward_"),
        ("cmdline", "serve"),
        ("environ", "KEYWARD_LOG"),
        ("log of the server", "serving"),
    ] {
        assert!(places.holding(word.as_bytes()).contains(&place), "{place} was not read");
    }
    // And the search finds each form wherever it stands.
    for (what, needle) in &needles {
        let planted = Places(vec![("planted".to_owned(), [b"before ", needle.as_slice(), b" behind"].concat())]);
        assert_eq!(planted.holding(needle), ["planted"], "{what}");
    }
    installation.verify();
}

#[test]
fn attack_s01_a_running_gateway_leaves_no_core_dump() {
    let gateway = TestGateway::start();
    gateway.create("demo/db", TEXT);
    let limits = fs::read_to_string(format!("/proc/{}/limits", gateway.pid())).unwrap();
    let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
    let core: Vec<&str> = core.split_whitespace().collect();
    assert_eq!(core[..2], ["0", "0"], "soft and hard limit");
    gateway.signal("ABRT");
    let (status, installation) = gateway.ended_with();
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false));
    TestGateway::of(installation).finish();
}
