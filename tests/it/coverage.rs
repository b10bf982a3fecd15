//! INVARIANT I3, I11: the whole catalogue asked by everyone who may come along. Each request leaves exactly one
//! record, and it is the right one.

use crate::gateway::{Export, TestGateway};
use crate::installation::{Policies, shown_by, taken_by};
use crate::wire::Reply;
use keyward::actions::{ACTIONS, Action, BUNDLES, Bundle, Level, Served, row};
use serde_json::{Value, json};

/// Who comes along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Caller {
    Nobody,
    Forged,
    Expired,
    WrongAudience,
    Denied,
    Allowed,
}

const CALLERS: [Caller; 6] =
    [Caller::Nobody, Caller::Forged, Caller::Expired, Caller::WrongAudience, Caller::Denied, Caller::Allowed];

impl Caller {
    fn token(self, gateway: &TestGateway) -> Option<String> {
        let issuer = gateway.issuer();
        let mut claims = issuer.claims(if self == Self::Allowed { "admin" } else { "stranger" });
        match self {
            Self::Nobody => return None,
            Self::Forged => return Some(issuer.impostor().sign(&claims)),
            Self::Expired => {
                let issued = claims["iat"].as_u64().unwrap() - 7_200;
                claims["iat"] = json!(issued);
                claims["exp"] = json!(issued + 3_600);
            }
            Self::WrongAudience => claims["aud"] = json!("another"),
            Self::Denied | Self::Allowed => {}
        }
        Some(issuer.sign(&claims))
    }

    /// Why it is refused before anything is decided.
    fn refusal(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Nobody => Some(("AuthFailure.InvalidAuthorization", "no_credential")),
            Self::Forged => Some(("AuthFailure.TokenFailure", "signature")),
            Self::Expired => Some(("AuthFailure.TokenFailure", "expired")),
            Self::WrongAudience => Some(("AuthFailure.TokenFailure", "audience")),
            Self::Denied | Self::Allowed => None,
        }
    }

    fn principal(self) -> Value {
        match self {
            Self::Denied => json!("user/dev/stranger"),
            Self::Allowed => json!("user/dev/admin"),
            _ => Value::Null,
        }
    }
}

/// What a request must have come to: in the reply and in its one record.
#[derive(Debug, PartialEq)]
struct Expected {
    status: u16,
    code: String,
    kind: &'static str,
    decision: &'static str,
    outcome: &'static str,
    reason: Value,
    action: String,
    principal: Value,
}

impl Expected {
    fn refused(caller: Caller, action: String) -> Option<Self> {
        let (code, reason) = caller.refusal()?;
        Some(Self {
            status: 401,
            code: code.to_owned(),
            kind: "unauthenticated",
            decision: "deny",
            outcome: "denied",
            reason: json!(reason),
            action,
            principal: Value::Null,
        })
    }

    /// A known caller's request that is wrong as such.
    fn wrong(caller: Caller, status: u16, code: &str, action: String) -> Self {
        Self {
            status,
            code: code.to_owned(),
            kind: "access",
            decision: "error",
            outcome: "failed",
            reason: json!(code),
            action,
            principal: caller.principal(),
        }
    }

    fn of(action: &Action, caller: Caller) -> Self {
        let name = match action.served {
            Served::Internal => "keyward:Unknown".to_owned(),
            Served::Door | Served::Refused | Served::Not => action.full_name(),
        };
        if let Some(refused) = Self::refused(caller, name.clone()) {
            return refused;
        }
        let principal = caller.principal();
        let (decision, kind) = (if caller == Caller::Allowed { "allow" } else { "deny" }, "access");
        match (action.served, caller) {
            (Served::Not, _) => Self::wrong(caller, 400, "UnsupportedOperation", name),
            (Served::Internal, _) => Self::wrong(caller, 400, "InvalidAction", name),
            // Which it takes an access key to be granted.
            (Served::Door, Caller::Allowed) if action.name == "GetFederationToken" => {
                let mut expected = Self::wrong(caller, 409, "FailedOperation.TempKeyNotAllowed", name);
                expected.decision = "allow";
                expected
            }
            (Served::Door, Caller::Allowed) => {
                let (code, reason) = ("ok".to_owned(), Value::Null);
                Self { status: 200, code, kind, decision, outcome: "ok", reason, action: name, principal }
            }
            (Served::Refused, Caller::Allowed) => {
                let (status, code) = refusal_of(action);
                let (code, reason) = (code.to_owned(), json!(code));
                Self { status, code, kind, decision, outcome: "failed", reason, action: name, principal }
            }
            (Served::Door | Served::Refused, _) => {
                let (code, reason) = ("UnauthorizedOperation".to_owned(), json!("default_deny"));
                Self { status: 403, code, kind, decision, outcome: "denied", reason, action: name, principal }
            }
        }
    }

    fn found(reply: &Reply, export: &Export) -> Self {
        let record = export.record_of(reply);
        let word = |field: &str, words: &[&'static str]| {
            words.iter().copied().find(|word| record[field] == *word).unwrap_or("another word")
        };
        Self {
            status: reply.status,
            code: reply.code().to_owned(),
            kind: word("kind", &["access", "unauthenticated"]),
            decision: word("decision", &["allow", "deny", "error"]),
            outcome: word("outcome", &["ok", "denied", "failed"]),
            reason: record["reason"].clone(),
            action: record["action"].as_str().unwrap().to_owned(),
            principal: record["principal"].clone(),
        }
    }
}

/// What an action comes to for which there is nothing to do here.
fn refusal_of(action: &Action) -> (u16, &'static str) {
    match action.name {
        "CreateService" => (409, "ResourceInUse.ServiceAlreadyEnabled"),
        _ => (400, "UnsupportedOperation"),
    }
}

/// A bundle of one item is answered as an item: 200 whatever came of it.
fn of_bundle(bundle: &Bundle, caller: Caller) -> Expected {
    let action = row(bundle.of).unwrap();
    let mut expected = Expected::of(action, caller);
    if caller == Caller::Denied {
        (expected.status, expected.code) = (200, "ok".to_owned());
    }
    expected
}

/// Good parameters of every action that is served; the others get an empty object.
fn parameters(action: &Action, access_key: &str) -> Value {
    match action.name {
        "CreateSecret" => json!({"SecretName": "cov/new", "SecretString": "v"}),
        "PutSecretValue" => json!({"SecretName": "cov/one", "VersionId": "v2", "SecretString": "w"}),
        "GetSecretValue" | "DescribeSecret" | "ListSecretVersionIds" => json!({"SecretName": "cov/one"}),
        "SetCurrentVersion" => json!({"SecretName": "cov/one", "VersionId": "SSM_Current"}),
        "EnableSecret" | "DisableSecret" | "RestoreSecret" => json!({"SecretName": "cov/switched"}),
        "CreateSSHKeyPairSecret" => json!({"SecretName": "cov/pair", "ProjectId": 0}),
        "GetSSHKeyPairValue" => json!({"SecretName": "cov/pair"}),
        "UpdateSecret" => json!({"SecretName": "cov/one", "VersionId": "v2", "SecretString": "x"}),
        "UpdateDescription" => json!({"SecretName": "cov/one", "Description": "text"}),
        "DeleteSecret" => json!({"SecretName": "cov/switched", "RecoveryWindowInDays": 7}),
        "DeleteSecretVersion" => json!({"SecretName": "cov/one", "VersionId": "v2"}),
        "TagResource" => json!({"SecretName": "cov/one", "Tags": [{"TagKey": "env", "TagValue": "prod"}]}),
        "UntagResource" => json!({"SecretName": "cov/one", "TagKeys": ["env"]}),
        "UpdateAccessKey" => json!({"AccessKeyId": access_key, "Status": "Inactive"}),
        "DeleteAccessKey" => json!({"AccessKeyId": access_key}),
        "AssumeRole" | "AssumeRoleWithWebIdentity" => {
            json!({"RoleArn": "role/local/cov", "RoleSessionName": "cov"})
        }
        "GetFederationToken" => {
            json!({"Name": "cov", "Policy": "{\"version\":\"2.0\",\"statement\":[{\"effect\":\"allow\",\"action\":\"*\",\"resource\":\"*\"}]}"})
        }
        "SearchRecords" => json!({"Resource": "cov/one"}),
        "LookUpEvents" | "DescribeEvents" => json!({"StartTime": 0, "EndTime": 4_000_000_000_u64}),
        "ListShadowDecisions" => json!({"Revision": format!("sha256:{}", "0".repeat(64))}),
        "GetInclusionProof" => json!({"Index": 0}),
        "GetPolicy" => json!({"Path": "attachments.json"}),
        "SimulatePolicy" => {
            json!({"Principal": "user/dev/app", "Action": "ssm:GetSecretValue", "Resource": "cov/one"})
        }
        // Of the first secret that was made, right behind the records of the start.
        "ExplainDecision" => json!({"Index": 3}),
        "RevokeToken" => json!({"Issuer": "dev", "Jti": "nobody's"}),
        "CreateService" => json!({"PayMode": "PostPay", "ClientToken": "t"}),
        "CreateProductSecret" => product("cov/product"),
        "RotateProductSecret" | "DescribeRotationDetail" | "DescribeRotationHistory" => {
            json!({"SecretName": "cov/one"})
        }
        "UpdateRotationStatus" => json!({"SecretName": "cov/one", "EnableRotation": false}),
        "DescribeAsyncRequestInfo" => json!({"FlowID": 1}),
        "CreateKey" | "DescribeKey" | "EnableKey" | "DisableKey" | "CancelKeyDeletion" => json!({"KeyId": "cov"}),
        "ScheduleKeyDeletion" => json!({"KeyId": "cov", "PendingWindowInDays": 7}),
        "RotateKey" | "RewrapKeys" => json!({"KeyId": "cov"}),
        "RetireKeyGeneration" => json!({"KeyId": "cov", "Generation": 1}),
        _ => json!({}),
    }
}

/// Good parameters of CreateProductSecret.
pub(crate) fn product(name: &str) -> Value {
    json!({
        "SecretName": name, "UserNamePrefix": "app", "ProductName": "Mysql", "InstanceID": "cdb-1", "Domains": ["%"],
        "PrivilegesList": [{"PrivilegeName": "GlobalPrivileges", "Privileges": ["SELECT"]}],
    })
}

fn ask(gateway: &TestGateway, caller: Caller, line: &str, body: &Value) -> Reply {
    let authorization = caller.token(gateway).map(|token| format!("Bearer {token}"));
    let mut headers = vec![("Content-Type", "application/json")];
    headers.extend(authorization.iter().map(|value| ("Authorization", value.as_str())));
    gateway.request(line, &headers, body.to_string().as_bytes())
}

/// Every record of a request is the one that its reply names, and there is no other.
fn check(export: &Export, asked: &[(String, Reply, Expected)]) {
    for (what, reply, expected) in asked {
        assert_eq!(&Expected::found(reply, export), expected, "{what}: {}", reply.body);
        let of_request = export.records.iter().filter(|record| record["request"] == json!(reply.request()));
        assert_eq!(of_request.count(), 1, "{what}");
        if reply.status != 200 || !reply.body.is_null() {
            assert_eq!(reply.text("RequestId"), reply.request(), "{what}");
        }
    }
    let requests = export.records.iter().filter(|r| r["kind"] == "access" || r["kind"] == "unauthenticated");
    assert_eq!(requests.count(), asked.len(), "records of requests that were never made, or the other way round");
}

#[test]
fn i03_i11_every_action_leaves_one_right_record_whoever_asks() {
    let gateway = TestGateway::builder()
        .record_every_refusal()
        .set("keys.next", toml::Table::from_iter([("path".to_owned(), "keys/root-2.key".into())]))
        .policies(Policies::default().role("cov", &[taken_by("user/dev/admin"), shown_by("dev", "admin")], None))
        .start();
    let mut asked = Vec::new();
    for name in ["cov/one", "cov/switched"] {
        let made = gateway.create(name, "value");
        let action = ACTIONS.iter().find(|action| action.name == "CreateSecret").unwrap();
        asked.push((format!("create {name}"), made, Expected::of(action, Caller::Allowed)));
    }
    let mut access_key = "AKIDexample000000000000000000001".to_owned();
    for action in ACTIONS {
        for caller in CALLERS {
            let body = parameters(action, &access_key);
            let reply = ask(&gateway, caller, &format!("POST /v1/{}", action.name), &body);
            if let Some(made) = reply.body.pointer("/AccessKey/AccessKeyId") {
                made.as_str().unwrap().clone_into(&mut access_key);
            }
            asked.push((format!("{} by {caller:?}", action.name), reply, Expected::of(action, caller)));
        }
    }
    for bundle in BUNDLES {
        for caller in CALLERS {
            let body = json!({"Secrets": [{"SecretName": "cov/one"}]});
            let reply = ask(&gateway, caller, &format!("POST /v1/{}", bundle.name), &body);
            asked.push((format!("{} by {caller:?}", bundle.name), reply, of_bundle(bundle, caller)));
        }
    }
    let export = gateway.export();
    check(&export, &asked);
    for (what, reply, expected) in asked.iter().filter(|(_, _, expected)| expected.kind == "access") {
        let record = export.record_of(reply);
        assert!(record["credential"]["jti"].is_string(), "{what}: {record}");
        assert_eq!(record["source_ip"], "127.0.0.1", "{what}");
        let decided = expected.decision != "error";
        assert_eq!(record["policy"]["revision"].is_string(), decided, "{what}");
        let action = ACTIONS.iter().find(|action| what.starts_with(action.name));
        if let (true, Some(action)) = (decided, action) {
            let named = action.level != Level::Operation;
            assert_eq!(record["resource"].is_string(), named, "{what}");
        }
    }
    gateway.finish();
}

#[test]
fn i03_what_is_no_route_leaves_one_right_record() {
    let gateway = TestGateway::builder().record_every_refusal().start();
    let mut asked = Vec::new();
    let unknown = || "keyward:Unknown".to_owned();
    // What is wrong with path or parameters is told to known callers only.
    let inner = [
        ("POST /v2/GetSecretValue", 404, "ResourceNotFound"),
        ("POST /v1/", 404, "ResourceNotFound"),
        ("POST /v1/GetSecretValue/", 404, "ResourceNotFound"),
        ("POST /", 404, "ResourceNotFound"),
        ("GET /v2/GetSecretValue", 404, "ResourceNotFound"),
    ];
    for (line, status, code) in inner {
        for caller in CALLERS {
            let reply = ask(&gateway, caller, line, &json!({}));
            let expected = Expected::refused(caller, unknown())
                .unwrap_or_else(|| Expected::wrong(caller, status, code, unknown()));
            asked.push((format!("{line} by {caller:?}"), reply, expected));
        }
    }
    // A method is looked at before the credential: all who cannot be known are told the same.
    for line in ["GET /v1/GetSecretValue", "PUT /v1/GetSecretValue", "DELETE /v1/GetSecretValue"] {
        for caller in CALLERS {
            let reply = ask(&gateway, caller, line, &json!({}));
            let mut expected = Expected::wrong(caller, 405, "UnsupportedProtocol", "ssm:GetSecretValue".to_owned());
            if caller.refusal().is_some() {
                expected.kind = "unauthenticated";
                (expected.decision, expected.outcome) = ("deny", "denied");
            }
            asked.push((format!("{line} by {caller:?}"), reply, expected));
        }
    }
    for name in ["NoSuchAction", "getsecretvalue", "GetSecretValue%20", "ssm:GetSecretValue"] {
        for caller in CALLERS {
            let reply = ask(&gateway, caller, &format!("POST /v1/{name}"), &json!({}));
            let expected = Expected::refused(caller, unknown())
                .unwrap_or_else(|| Expected::wrong(caller, 400, "InvalidAction", unknown()));
            asked.push((format!("{name} by {caller:?}"), reply, expected));
        }
    }
    check(&gateway.export(), &asked);
    gateway.finish();
}

#[test]
fn i03_health_metrics_and_openapi_leave_no_record() {
    let gateway = TestGateway::start();
    for path in ["/healthz", "/readyz", "/metrics", "/openapi.json"] {
        let reply = gateway.get(path);
        assert_eq!((reply.status, reply.index()), (200, None), "{path}");
    }
    let records = gateway.records();
    let kinds: Vec<&str> = records.iter().map(|record| record["kind"].as_str().unwrap()).collect();
    assert!(kinds.iter().all(|kind| *kind == "system" || *kind == "policy_change"), "{kinds:?}");
    gateway.finish();
}
