//! Sessions: temporary keys of roles, of web identities and of users that narrow themselves.

use super::signed::{Ask, Key};
use super::{named, with_door};
use crate::gateway::{Builder, TestGateway};
use crate::installation::{Policies, shown_by, taken_by};
use crate::token::{Issuer, now_s};
use crate::wire::Reply;
use serde_json::{Value, json};

const READER: &str = "qcs::cam::uin/100000000001:roleName/reader";

/// A temporary key, and the token that it goes with.
struct Temporary {
    key: Key,
    token: String,
    expires: u64,
}

impl Temporary {
    fn of(reply: &Reply) -> Self {
        let text = |field: &str| {
            reply.body["Credentials"][field].as_str().unwrap_or_else(|| panic!("no session: {}", reply.body)).to_owned()
        };
        let key = Key { id: text("TmpSecretId"), secret: text("TmpSecretKey") };
        Self { key, token: text("Token"), expires: reply.body["ExpiredTime"].as_u64().unwrap() }
    }

    fn ask(&self, gateway: &TestGateway, action: &str, service: &str, parameters: &Value) -> Reply {
        let mut ask = Ask::new(action, parameters);
        ask.service = service.to_owned();
        ask.more.push(("X-TC-Token".to_owned(), self.token.clone()));
        ask.send(gateway, &self.key)
    }

    fn read(&self, gateway: &TestGateway, name: &str) -> Reply {
        self.ask(gateway, "GetSecretValue", "ssm", &named(name))
    }
}

/// A request by a web identity.
fn shown(gateway: &TestGateway, token: &str, role: &str) -> Reply {
    let parameters = json!({"ProviderId": "corp", "WebIdentityToken": token, "RoleArn": role,
        "RoleSessionName": "ci-4711", "DurationSeconds": 3600});
    let mut ask = Ask::new("AssumeRoleWithWebIdentity", &parameters);
    ask.service = "sts".to_owned();
    ask.send_with(gateway, "SKIP")
}

/// A gateway with `demo/db`, whose role `reader` may read, if a session of `corp`'s `ci` or of `user/corp/ops` takes it.
fn builder(corp: &Issuer) -> Builder {
    let trust = [shown_by("corp", "ci"), taken_by("user/corp/ops"), taken_by("group/corp/wheel")];
    let policies = Policies::default()
        .role("reader", &trust, Some(7_200))
        .allow("read", &["ssm:GetSecretValue", "ssm:DescribeSecret", "sts:*", "cam:*"], "*")
        .attach("read", &["role/local/reader"])
        .allow("take", &["sts:*", "cam:*"], "*")
        .attach("take", &["user/corp/ops", "user/corp/other"])
        .document("stop", &json!({"effect": "deny", "action": "ssm:*", "resource": "*"}))
        .attach("stop", &["group/corp/contractors"]);
    with_door().issuer(corp, "groups = \"required\"").policies(policies).record_every_refusal()
}

fn token(corp: &Issuer, sub: &str, groups: &[&str]) -> String {
    corp.token_of(sub, groups, &[], 600)
}

#[test]
fn a_web_identity_takes_the_role_that_trusts_it_and_its_records_say_who_it_was() {
    let corp = Issuer::new("corp");
    let gateway = builder(&corp).start();
    gateway.create("demo/db", "value");
    let taken = shown(&gateway, &token(&corp, "ci", &[]), READER);
    let session = Temporary::of(&taken);
    let record = gateway.record_of(&taken);
    assert_eq!((&record["principal"], &record["resource"]), (&json!("user/corp/ci"), &json!(READER)));
    assert_eq!(record["policy"]["layers"][0]["layer"], json!("trust"));
    assert_eq!(record["parameters"]["access_key"], json!(session.key.id));
    assert!((3_500..=3_600).contains(&(session.expires - now_s())));
    let reply = session.read(&gateway, "demo/db");
    assert_eq!(reply.body["SecretString"], json!("value"), "{}", reply.body);
    let record = gateway.record_of(&reply);
    assert_eq!((&record["principal"], &record["assumed_by"]), (&json!("role/local/reader"), &json!("user/corp/ci")));
    assert_eq!((&record["session"], &record["credential"]["expires"]), (&json!("ci-4711"), &json!(session.expires)));
    assert_eq!(session.ask(&gateway, "DeleteSecret", "ssm", &named("demo/db")).code(), "UnauthorizedOperation");
    let who = session.ask(&gateway, "GetCallerIdentity", "sts", &json!({}));
    assert_eq!((&who.body["Arn"], &who.body["Type"]), (&json!(READER), &json!("CAMRole")));
    // It outlives a restart.
    let gateway = gateway.restart();
    assert_eq!(session.read(&gateway, "demo/db").code(), "ok");
    let written = std::fs::read_to_string(gateway.installation().path("serve-1.log")).unwrap();
    assert!(!written.contains(&session.token));
    gateway.finish();
}

#[test]
fn attack_a16_a_web_identity_that_is_not_trusted_begins_no_session_and_learns_of_no_role() {
    let corp = Issuer::new("corp");
    let gateway = builder(&corp).start();
    let refused = shown(&gateway, &token(&corp, "other", &[]), READER);
    let missing = shown(&gateway, &token(&corp, "other", &[]), "qcs::cam::uin/100000000001:roleName/none");
    for reply in [&refused, &missing] {
        assert_eq!(reply.code(), "UnauthorizedOperation");
        assert_eq!(gateway.record_of(reply)["reason"], json!("default_deny"));
    }
    let without = |reply: &Reply, role: &str| {
        reply.body.to_string().replace(reply.request(), "").replace(&format!("roleName/{role}"), "")
    };
    assert_eq!(without(&refused, "reader"), without(&missing, "none"));
    let mut other = corp.claims("ci");
    other["aud"] = json!("another");
    let mut old = corp.claims("ci");
    (old["iat"], old["exp"]) = (json!(now_s() - 7_200), json!(now_s() - 3_600));
    let stranger = Issuer::new("stranger");
    for (token, reason) in [
        (corp.sign(&other), "audience"),
        (corp.sign(&old), "expired"),
        (corp.impostor().token_of("ci", &[], &[], 600), "signature"),
        (stranger.token_of("ci", &[], &[], 600), "issuer"),
        ("no.token".to_owned(), "malformed"),
    ] {
        let reply = shown(&gateway, &token, READER);
        assert_eq!(reply.code(), "InvalidParameter.WebIdentityTokenError", "{reason}");
        assert!(reply.body.get("Credentials").is_none());
        let record = gateway.record_of(&reply);
        assert_eq!((&record["kind"], &record["reason"]), (&json!("unauthenticated"), &json!(reason)));
        assert!(!record.to_string().contains(&token));
    }
    gateway.finish();
}

#[test]
fn attack_a16_a_principal_takes_no_role_as_a_web_identity_without_the_grant_that_it_needs() {
    let corp = Issuer::new("corp");
    let any =
        |effect: &str, who: &str| json!({"effect": effect, "action": "sts:AssumeRole*", "principal": {"qcs": [who]}});
    let policies = Policies::default()
        .role("wide", &[any("allow", "user/corp/alice"), any("allow", "user/corp/ops")], None)
        .role("closed", &[shown_by("corp", "ci"), any("deny", "user/corp/ci")], None)
        .allow("take", &["sts:AssumeRole"], "*")
        .attach("take", &["user/corp/ops"]);
    let gateway = with_door().issuer(&corp, "").policies(policies).start();
    let taken = |sub: &str| {
        let parameters = json!({"RoleArn": "role/local/wide", "RoleSessionName": "deploy"});
        gateway.call(&token(&corp, sub, &[]), "AssumeRole", &parameters).code().to_owned()
    };
    let web = |sub: &str, role: &str| {
        let reply = shown(&gateway, &token(&corp, sub, &[]), &format!("qcs::cam::uin/100000000001:roleName/{role}"));
        (reply.code().to_owned(), gateway.record_of(&reply)["reason"].clone())
    };
    assert_eq!((taken("alice").as_str(), taken("ops").as_str()), ("UnauthorizedOperation", "ok"));
    for sub in ["alice", "ops"] {
        assert_eq!(web(sub, "wide"), ("UnauthorizedOperation".to_owned(), json!("default_deny")), "{sub}");
    }
    assert_eq!(
        web("ci", "closed"),
        ("UnauthorizedOperation".to_owned(), json!("explicit_deny")),
        "a deny counts for both"
    );
    gateway.finish();
}

#[test]
fn attack_l06_skip_is_for_the_web_identity_alone_and_that_for_skip_alone() {
    let corp = Issuer::new("corp");
    let gateway = builder(&corp).start();
    let good = token(&corp, "ci", &[]);
    let parameters =
        json!({"ProviderId": "corp", "WebIdentityToken": good, "RoleArn": READER, "RoleSessionName": "ci"});
    let ask = |action: &str| {
        let mut ask = Ask::new(action, &parameters);
        ask.service = "sts".to_owned();
        ask
    };
    let saying = |body: String| {
        let mut ask = ask("AssumeRoleWithWebIdentity");
        ask.body = body;
        ask
    };
    for action in ["AssumeRole", "GetCallerIdentity", "GetFederationToken"] {
        assert_eq!(ask(action).send_with(&gateway, "SKIP").code(), "AuthFailure.InvalidAuthorization", "{action}");
    }
    let key = Key::of(&gateway, gateway.admin());
    let signed = ask("AssumeRoleWithWebIdentity").send(&gateway, &key);
    let bearer = ask("AssumeRoleWithWebIdentity").send_with(&gateway, &format!("Bearer {good}"));
    let mut tokened = ask("AssumeRoleWithWebIdentity");
    tokened.more.push(("X-TC-Token".to_owned(), "x".to_owned()));
    for reply in [signed, bearer, tokened.send_with(&gateway, "SKIP")] {
        assert_eq!(reply.code(), "AuthFailure.InvalidAuthorization");
    }
    let provider = saying(parameters.to_string().replace("\"corp\"", "\"dev\""));
    assert_eq!(provider.send_with(&gateway, "SKIP").code(), "InvalidParameter.WebIdentityTokenError");
    let twice = format!("{{\"WebIdentityToken\":\"x\",{}", &parameters.to_string()[1..]);
    let twice = saying(twice);
    assert_eq!(twice.send_with(&gateway, "SKIP").code(), "AuthFailure.InvalidAuthorization");
    let large = saying(format!("{{\"a\":\"{}\"}}", "a".repeat(33_000)));
    assert_eq!(large.send_with(&gateway, "SKIP").code(), "RequestSizeLimitExceeded");
    gateway.finish();
}

#[test]
fn attack_f05_a_session_takes_from_the_allowance_of_whoever_began_it() {
    let corp = Issuer::new("corp");
    let gateway = builder(&corp).set("limits.denials_per_second", 1).set("limits.denials_burst", 60).start();
    gateway.create("demo/db", "value");
    let loud = Temporary::of(&shown(&gateway, &token(&corp, "ci", &[]), READER));
    let parameters = json!({"RoleArn": READER, "RoleSessionName": "ops"});
    let other = Temporary::of(&gateway.call(&token(&corp, "ops", &[]), "AssumeRole", &parameters).ok());
    let over = (0..1_000)
        .any(|_| loud.ask(&gateway, "DeleteSecret", "ssm", &named("demo/db")).code() == "RequestLimitExceeded");
    assert!(over, "whoever is denied again and again is over the rate");
    assert_eq!(
        other.read(&gateway, "demo/db").ok().body["SecretString"],
        json!("value"),
        "another of the same role is not"
    );
    gateway.finish();
}

#[test]
fn attack_l05_a_temporary_key_works_with_its_own_token_and_no_other() {
    let corp = Issuer::new("corp");
    let gateway = builder(&corp).start();
    gateway.create("demo/db", "value");
    let take = || Temporary::of(&shown(&gateway, &token(&corp, "ci", &[]), READER));
    let (one, two) = (take(), take());
    assert_eq!(one.read(&gateway, "demo/db").code(), "ok");
    let plain = Ask::new("GetSecretValue", &named("demo/db"));
    assert_eq!(plain.send(&gateway, &one.key).code(), "AuthFailure.SecretIdNotFound", "without its token");
    let with = |token: &str, key: &Key| {
        let mut ask = plain.clone();
        ask.more.push(("X-TC-Token".to_owned(), token.to_owned()));
        ask.send(&gateway, key).code().to_owned()
    };
    assert_eq!(with(&two.token, &one.key), "AuthFailure.TokenFailure", "another's");
    assert_eq!(with(&one.token[1..], &one.key), "AuthFailure.TokenFailure", "cut");
    let standing = Key::of(&gateway, gateway.admin());
    assert_eq!(with(&one.token, &standing), "AuthFailure.TokenFailure", "a standing key");
    let forged = Key { id: one.key.id.clone(), secret: two.key.secret.clone() };
    assert_eq!(with(&one.token, &forged), "AuthFailure.SignatureFailure");
    gateway.finish();
}

#[test]
fn i05_a_session_sheds_no_group_begins_no_other_and_makes_no_key() {
    let corp = Issuer::new("corp");
    let gateway = builder(&corp).start();
    gateway.create("demo/db", "value");
    let take = |groups: &[&str]| Temporary::of(&shown(&gateway, &token(&corp, "ci", groups), READER));
    assert_eq!(take(&[]).read(&gateway, "demo/db").code(), "ok");
    let denied = take(&["contractors"]).read(&gateway, "demo/db");
    assert_eq!(denied.code(), "UnauthorizedOperation");
    assert_eq!(gateway.record_of(&denied)["context"]["groups"], json!(["group/corp/contractors"]));
    let session = take(&[]);
    let role = json!({"RoleArn": READER, "RoleSessionName": "again"});
    let narrow = json!({"Name": "again", "Policy": allow_all()});
    for (action, service, parameters) in
        [("AssumeRole", "sts", &role), ("GetFederationToken", "sts", &narrow), ("CreateAccessKey", "cam", &json!({}))]
    {
        let code = session.ask(&gateway, action, service, parameters).code().to_owned();
        let expected =
            if action == "AssumeRole" { "UnauthorizedOperation" } else { "FailedOperation.TempKeyNotAllowed" };
        assert_eq!(code, expected, "{action}");
    }
    gateway.finish();
}

fn allow_all() -> String {
    json!({"version": "2.0", "statement": [{"effect": "allow", "action": "*", "resource": "*"}]}).to_string()
}

#[test]
fn a_role_is_taken_with_a_grant_and_its_trust_and_a_policy_only_narrows() {
    let corp = Issuer::new("corp");
    let gateway = builder(&corp).start();
    gateway.create("demo/db", "value");
    gateway.create("demo/other", "value");
    let assume = |token: &str, more: Value| {
        let mut parameters = json!({"RoleArn": "role/local/reader", "RoleSessionName": "deploy"});
        parameters.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        gateway.call(token, "AssumeRole", &parameters)
    };
    let ops = token(&corp, "ops", &[]);
    // Trusted and not granted; granted and not trusted; trusted by a group of its token.
    assert_eq!(assume(&token(&corp, "nobody", &["wheel"]), json!({})).code(), "UnauthorizedOperation");
    assert_eq!(assume(&token(&corp, "other", &[]), json!({})).code(), "UnauthorizedOperation");
    assert_eq!(assume(&token(&corp, "other", &["wheel"]), json!({})).code(), "ok");
    let policy = json!({"version": "2.0", "statement": [{"effect": "allow", "action": "ssm:*",
        "resource": "qcs::ssm:::secret/creatorUin/*/demo/db"}]});
    let narrowed = assume(&ops, json!({"Policy": policy.to_string(), "DurationSeconds": 60}));
    let session = Temporary::of(&narrowed);
    let read = session.read(&gateway, "demo/db");
    assert_eq!(read.code(), "ok");
    let record = gateway.record_of(&read);
    assert_eq!(record["policy"]["layers"][1]["layer"], json!("session"));
    assert!(record["session_policy"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(session.read(&gateway, "demo/other").code(), "UnauthorizedOperation", "outside the session's policy");
    let deleted = session.ask(&gateway, "DisableSecret", "ssm", &named("demo/db"));
    assert_eq!(deleted.code(), "UnauthorizedOperation", "outside the role's");
    for (more, code) in [
        (json!({"DurationSeconds": 59}), "InvalidParameter.OverTimeError"),
        (json!({"DurationSeconds": 7_201}), "InvalidParameter.OverTimeError"),
        (json!({"Policy": "%zz"}), "InvalidParameter.StrategyFormatError"),
        (json!({"Policy": "[]"}), "InvalidParameter.StrategyFormatError"),
        (json!({"Policy": allow_all().replace("allow", "Allow")}), "InvalidParameter.StrategyInvalid"),
        (
            json!({"Policy": allow_all().replace("\"*\"", &format!("\"ssm:{}*\"", "*".repeat(7_000)))}),
            "InvalidParameter.PolicyTooLong",
        ),
        (json!({"RoleSessionName": "a b"}), "InvalidParameter.ParamError"),
        (json!({"RoleArn": "qcs::cam::uin/2:roleName/reader"}), "InvalidParameterValue"),
    ] {
        assert_eq!(assume(&ops, more.clone()).code(), code, "{more}");
    }
    let gateway = gateway.restart();
    assert_eq!(session.read(&gateway, "demo/db").code(), "ok", "its policy is read back");
    gateway.finish();
}

#[test]
fn i13_a_session_ends_with_a_revocation_of_its_beginner_its_own_id_or_its_parent() {
    let corp = Issuer::new("corp");
    let gateway = builder(&corp).start();
    gateway.create("demo/db", "value");
    let read = |session: &Temporary| session.read(&gateway, "demo/db").code().to_owned();
    let revoke = |parameters: Value| gateway.insist(gateway.admin(), "RevokeToken", &parameters);
    let web = || Temporary::of(&shown(&gateway, &token(&corp, "ci", &[]), READER));
    let (one, two) = (web(), web());
    revoke(json!({"Issuer": "corp", "Jti": one.key.id}));
    assert_eq!((read(&one).as_str(), read(&two).as_str()), ("AuthFailure.TokenFailure", "ok"));
    let claims = corp.claims("ci");
    let mut with_groups = claims.clone();
    with_groups["groups"] = json!([]);
    let by_token = Temporary::of(&shown(&gateway, &corp.sign(&with_groups), READER));
    assert_eq!(read(&by_token), "ok");
    revoke(json!({"Issuer": "corp", "Jti": claims["jti"]}));
    assert_eq!((read(&by_token).as_str(), read(&two).as_str()), ("AuthFailure.TokenFailure", "ok"));
    // By a time before it began, and not before the token that began it was issued.
    let mut early = corp.claims("ci");
    early["groups"] = json!([]);
    early["iat"] = json!(now_s() - 300);
    let early = Temporary::of(&shown(&gateway, &corp.sign(&early), READER));
    assert_eq!(read(&early), "ok");
    revoke(json!({"Issuer": "corp", "Subject": "ci", "IssuedBefore": now_s() - 200}));
    assert_eq!((read(&early).as_str(), read(&two).as_str()), ("AuthFailure.TokenFailure", "ok"));
    revoke(json!({"Issuer": "corp", "Subject": "ci"}));
    assert_eq!(read(&two), "AuthFailure.TokenFailure");
    // One that an access key began ends with that.
    let key = Key::of(&gateway, &token(&corp, "ops", &[]));
    let mut ask = Ask::new("AssumeRole", &json!({"RoleArn": READER, "RoleSessionName": "by-key"}));
    ask.service = "sts".to_owned();
    let session = Temporary::of(&ask.send(&gateway, &key));
    assert_eq!(read(&session), "ok");
    let off = json!({"Principal": "user/corp/ops", "AccessKeyId": key.id, "Status": "Inactive"});
    gateway.insist(gateway.admin(), "UpdateAccessKey", &off);
    assert_eq!(read(&session), "AuthFailure.TokenFailure");
    gateway.finish();
}

#[test]
fn a_federation_token_is_the_key_that_asked_narrowed_by_its_policy() {
    let gateway = with_door().start();
    gateway.create("demo/db", "value");
    let key = Key::of(&gateway, gateway.admin());
    let policy =
        json!({"version": "2.0", "statement": [{"effect": "allow", "action": "ssm:GetSecretValue", "resource": "*"}]});
    let encoded: String = policy.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect();
    let mut ask = Ask::new("GetFederationToken", &json!({"Name": "visitor", "Policy": encoded}));
    ask.service = "sts".to_owned();
    let session = Temporary::of(&ask.send(&gateway, &key));
    assert!((1_700..=1_800).contains(&(session.expires - now_s())));
    let read = session.read(&gateway, "demo/db");
    assert_eq!(read.code(), "ok");
    let record = gateway.record_of(&read);
    assert_eq!((&record["principal"], &record["assumed_by"]), (&json!("user/dev/admin"), &json!("user/dev/admin")));
    assert_eq!(session.ask(&gateway, "DescribeSecret", "ssm", &named("demo/db")).code(), "UnauthorizedOperation");
    let bearer = gateway.call(gateway.admin(), "GetFederationToken", &json!({"Name": "visitor", "Policy": encoded}));
    assert_eq!(bearer.code(), "FailedOperation.TempKeyNotAllowed");
    gateway.finish();
}
