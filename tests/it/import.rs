//! `keyward import`: from one gateway into another, over the wire of Tencent Cloud's API.

use crate::gateway::TestGateway;
use crate::installation::Ran;
use crate::tls;
use serde_json::{Value, json};

/// The gateway that the secrets are in, with an access key of its administrator.
struct From {
    gateway: TestGateway,
    id: String,
    secret: String,
}

impl From {
    fn start() -> Self {
        let gateway = TestGateway::builder().set("tencent.enabled", true).start();
        let made = gateway.call(gateway.admin(), "CreateAccessKey", &json!({})).ok();
        let text = |field: &str| made.body["AccessKey"][field].as_str().unwrap().to_owned();
        Self { id: text("AccessKeyId"), secret: text("SecretAccessKey"), gateway }
    }

    fn act(&self, action: &str, parameters: &Value) {
        self.gateway.call(self.gateway.admin(), action, parameters).ok();
    }

    /// Two versions, bytes, one that is disabled, and an SSH key.
    fn fill(&self) {
        let create = |name: &str, more: Value| {
            let mut parameters = json!({"SecretName": name, "VersionId": "v1"});
            parameters.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            self.act("CreateSecret", &parameters);
        };
        create("pay/db", json!({"SecretString": "planted-first", "Description": "the database"}));
        self.act(
            "PutSecretValue",
            &json!({"SecretName": "pay/db", "VersionId": "v2", "SecretString": "planted-second"}),
        );
        create("pay/bytes", json!({"SecretBinary": "AAH+/w=="}));
        create("other/off", json!({"SecretString": "planted-third"}));
        self.act("DisableSecret", &json!({"SecretName": "other/off"}));
        self.act("CreateSSHKeyPairSecret", &json!({"SecretName": "other/pair", "ProjectId": 0}));
    }
}

fn import(from: &From, to: &TestGateway, token: &str, endpoint: &str, more: &[&str]) -> Ran {
    let mut command = to.installation().command(&["--output", "json", "import", "--from", "tencent"]);
    command
        .args(["--endpoint", endpoint, "--region", "local"])
        .args(more)
        .env("KEYWARD_ADDR", format!("http://{}", to.address()))
        .env("KEYWARD_TOKEN", token)
        .env("TENCENTCLOUD_SECRET_ID", &from.id)
        .env("TENCENTCLOUD_SECRET_KEY", &from.secret);
    let ran = Ran::from(command.output().unwrap());
    assert!(!ran.out.contains("planted") && !ran.err.contains("planted"), "{ran:?}");
    ran
}

fn said(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{ran:?}"))
}

fn read(gateway: &TestGateway, name: &str, version: &str) -> Value {
    let parameters = json!({"SecretName": name, "VersionId": version});
    gateway.call(gateway.admin(), "GetSecretValue", &parameters).ok().body
}

#[test]
fn every_version_is_copied_and_what_cannot_be_is_named() {
    let (from, to) = (From::start(), TestGateway::start());
    from.fill();
    let endpoint = format!("http://{}", from.gateway.address());
    let ran = import(&from, &to, to.admin(), &endpoint, &[]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("2 secrets were not copied"), "{ran:?}");
    let answer = said(&ran);
    assert_eq!((&answer["Secrets"], &answer["Versions"], &answer["Present"]), (&json!(2), &json!(3), &json!(0)));
    let left: Vec<&Value> = answer["Left"].as_array().unwrap().iter().map(|left| &left["SecretName"]).collect();
    assert_eq!(left, [&json!("other/off"), &json!("other/pair")]);
    assert_eq!(read(&to, "pay/db", "v1")["SecretString"], json!("planted-first"));
    assert_eq!(read(&to, "pay/bytes", "v1")["SecretBinary"], json!("AAH+/w=="));
    let current = to.call(to.admin(), "GetSecretValue", &json!({"SecretName": "pay/db"})).ok();
    assert_eq!(current.body["SecretString"], json!("planted-second"), "the newest version is the current one");
    let described = to.call(to.admin(), "DescribeSecret", &json!({"SecretName": "pay/db"})).ok();
    assert_eq!(described.body["Description"], json!("the database"));
    to.finish();
    from.gateway.finish();
}

#[test]
fn an_import_goes_on_where_it_was_and_changes_nothing_that_is_here() {
    let (from, to) = (From::start(), TestGateway::start());
    from.fill();
    // As if it had been cut off behind the first version, which has been changed here since.
    let first = json!({"SecretName": "pay/db", "VersionId": "v1", "SecretString": "our own"});
    to.call(to.admin(), "CreateSecret", &first).ok();
    let endpoint = format!("http://{}", from.gateway.address());
    let answer = said(&import(&from, &to, to.admin(), &endpoint, &["--prefix", "pay/"]));
    assert_eq!((&answer["Versions"], &answer["Present"], &answer["Left"]), (&json!(2), &json!(1), &json!([])));
    assert_eq!(read(&to, "pay/db", "v1")["SecretString"], json!("our own"));
    assert_eq!(read(&to, "pay/db", "v2")["SecretString"], json!("planted-second"));
    let again = import(&from, &to, to.admin(), &endpoint, &["--prefix", "pay/"]);
    assert_eq!(
        (again.code, said(&again)["Versions"].clone(), said(&again)["Present"].clone()),
        (0, json!(0), json!(3))
    );
    to.finish();
    from.gateway.finish();
}

#[test]
fn whoever_may_not_is_told_so_at_either_end() {
    let (mut from, to) = (From::start(), TestGateway::start());
    from.fill();
    let endpoint = format!("http://{}", from.gateway.address());
    let stranger = to.issuer().token("stranger");
    let ran = import(&from, &to, &stranger, &endpoint, &["--prefix", "pay/db"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(said(&ran)["Left"][0]["Reason"].as_str().unwrap().contains("UnauthorizedOperation"), "{ran:?}");
    let ran = import(&from, &to, "nonsense", &endpoint, &[]);
    assert_eq!(ran.code, 3, "{ran:?}");
    assert!(import(&from, &to, to.admin(), "http://192.0.2.1:8743", &[]).err.contains("clear text"));
    from.secret.replace_range(..1, "*");
    let ran = import(&from, &to, to.admin(), &endpoint, &[]);
    assert!(ran.code == 1 && ran.err.contains("AuthFailure.SignatureFailure"), "{ran:?}");
    from.secret.clear();
    let ran = import(&from, &to, to.admin(), &endpoint, &[]);
    assert!(ran.code == 2 && ran.err.contains("TENCENTCLOUD_SECRET_KEY"), "{ran:?}");
    to.finish();
    from.gateway.finish();
}

#[test]
fn the_other_endpoint_is_trusted_by_an_authority_of_its_own() {
    let From { gateway, id, secret } = From::start();
    gateway.create("pay/db", "planted-first");
    let installation = gateway.stop();
    tls::serve_as(&installation, "localhost");
    let from = From { gateway: TestGateway::of(installation), id, secret };
    let to = TestGateway::start();
    let endpoint = format!("https://localhost:{}", from.gateway.address().port());
    let authority = from.gateway.installation().path("ca.pem");
    let authority = authority.to_str().unwrap();
    let ran = import(&from, &to, to.admin(), &endpoint, &[]);
    assert!(ran.code == 1 && ran.err.contains("did not answer"), "{ran:?}");
    let ran = import(&from, &to, to.admin(), &endpoint, &["--from-cacert", authority]);
    assert_eq!((ran.code, said(&ran)["Versions"].clone()), (0, json!(1)));
    to.finish();
    from.gateway.finish();
}
