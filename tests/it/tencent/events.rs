//! CloudAudit in its own form, over HTTP: every event is held against the exported record that it is of.

use super::{headers, send, unwrapped, with_door};
use crate::gateway::TestGateway;
use crate::installation::Policies;
use crate::wire::Reply;
use serde_json::{Value, json};

/// The version of cloudaudit.
const CLOUDAUDIT: &str = "2019-03-19";

/// A call of cloudaudit with a bearer token.
fn ask(gateway: &TestGateway, token: &str, action: &str, parameters: &Value) -> Reply {
    let authorization = format!("Bearer {token}");
    let mut sent = headers(action, &authorization);
    sent.retain(|(name, _)| *name != "X-TC-Version");
    sent.push(("X-TC-Version", CLOUDAUDIT));
    unwrapped(send(gateway, "POST /", &sent, parameters.to_string().as_bytes()))
}

fn admin(gateway: &TestGateway, action: &str, parameters: &Value) -> Reply {
    ask(gateway, gateway.admin(), action, parameters)
}

/// A trail with something for every condition.
fn trail() -> TestGateway {
    let gateway = with_door().record_every_refusal().start();
    let (app, stranger) = (gateway.token("app", &["ops"], &[], 600), gateway.token("stranger", &[], &[], 600));
    for name in ["demo/one", "demo/two", "prod/one"] {
        let tagged =
            json!({"SecretName": name, "SecretString": "s3cret-marker", "Tags": [{"TagKey": "env", "TagValue": "a"}]});
        gateway.call(gateway.admin(), "CreateSecret", &tagged).ok();
        for token in [&app, &stranger, "no.such.token"] {
            gateway.call(token, "GetSecretValue", &json!({"SecretName": name}));
            super::ask(&gateway, token, "DescribeSecret", &json!({"SecretName": name}));
        }
    }
    gateway.call(gateway.admin(), "CreateKey", &json!({"KeyId": "one"})).ok();
    gateway.call(gateway.admin(), "DescribeKey", &json!({"KeyId": "one"})).ok();
    gateway.call(gateway.admin(), "GetSecretValue", &json!({"SecretName": "demo/none"}));
    gateway.call(gateway.admin(), "DisableSecret", &json!({"SecretName": "demo/two"})).ok();
    gateway.call(gateway.admin(), "DeleteSecret", &json!({"SecretName": "demo/two"})).ok();
    gateway.call(gateway.admin(), "RevokeToken", &json!({"Issuer": "dev", "CredentialHash": "ab".repeat(32)})).ok();
    gateway
}

/// All pages of a question, newest first, with the number of pages.
fn pages(gateway: &TestGateway, action: &str, question: &Value, results: usize) -> (Vec<Value>, usize) {
    let (mut question, mut all) = (question.clone(), Vec::new());
    question["MaxResults"] = json!(results);
    for page in 1.. {
        let answer = admin(gateway, action, &question).ok().body;
        let events = answer["Events"].as_array().unwrap();
        assert!(events.len() <= results);
        all.extend(events.clone());
        assert!(answer["TotalCount"].as_u64().unwrap() >= events.len() as u64);
        let token = &answer["NextToken"];
        assert_eq!((token.is_string(), token.is_u64()), (action == "LookUpEvents", action == "DescribeEvents"));
        if answer["ListOver"] == true {
            assert!(*token == json!("") || *token == json!(0), "{token}");
            return (all, page);
        }
        question["NextToken"] = token.clone();
    }
    panic!("pages without an end")
}

/// A question about everything until now.
fn everything() -> Value {
    json!({"StartTime": 0, "EndTime": crate::token::now_s() + 60})
}

fn asking(attributes: &[(&str, &str)]) -> Value {
    let attribute = |(key, value): &(&str, &str)| json!({"AttributeKey": key, "AttributeValue": value});
    let mut question = everything();
    question["LookupAttributes"] = attributes.iter().map(attribute).collect();
    question
}

fn event(row: &Value) -> Value {
    serde_json::from_str(row["CloudAuditEvent"].as_str().unwrap()).unwrap()
}

/// The record's index, which stands in the event's id.
fn index(row: &Value) -> u64 {
    let id: String = row["EventId"].as_str().unwrap().split('-').skip(3).collect();
    u64::from_str_radix(&id[1..], 16).unwrap()
}

/// What a record says, told a second time in the words of an event.
fn told(record: &Value) -> Value {
    let text = |field: &str| record[field].as_str().unwrap_or_default().to_owned();
    let (service, name) = record["action"].as_str().unwrap().split_once(':').unwrap();
    let seconds = i64::try_from(record["time"].as_u64().unwrap() / 1_000_000).unwrap();
    let time = chrono::DateTime::from_timestamp(seconds, 0).unwrap().format("%Y-%m-%d %H:%M:%S").to_string();
    let refused = match (record["decision"].as_str(), record["kind"].as_str()) {
        (Some("deny"), Some("unauthenticated")) => 401,
        (Some("deny"), _) => 403,
        _ => 0,
    };
    let reason = text("reason");
    let (cause, code) = if refused == 0 { (String::new(), reason) } else { (reason, String::new()) };
    json!([
        text("request"),
        service,
        name,
        time,
        text("principal"),
        text("source_ip"),
        text("user_agent"),
        refused,
        cause,
        code,
        text("resource").replacen("qcs::", "qcs:id/0:", 1),
    ])
}

fn tells(row: &Value) -> Value {
    let event = event(row);
    json!([
        event["requestID"],
        event["resourceType"],
        event["eventName"],
        event["eventTime"],
        event["userIdentity"]["userName"],
        event["sourceIPAddress"],
        event["userAgent"],
        event["errorCode"],
        event["errorMessage"],
        event["apiErrorCode"],
        event["resources"],
    ])
}

#[test]
fn both_calls_page_through_every_record_and_say_what_each_says() {
    let gateway = trail();
    let (looked_up, few) = pages(&gateway, "LookUpEvents", &everything(), 7);
    let (described, fewer) = pages(&gateway, "DescribeEvents", &everything(), 50);
    let records = gateway.records();
    assert!(few > 4 && fewer > 0, "{few} and {fewer} pages");
    for (rows, pages) in [(&looked_up, few), (&described, fewer)] {
        // As of the first page: what the pages themselves left behind lies above it.
        let top = usize::try_from(index(&rows[0])).unwrap();
        let indices: Vec<u64> = rows.iter().map(index).collect();
        assert_eq!(indices, (0..=top as u64).rev().collect::<Vec<_>>(), "{pages} pages");
        for row in rows {
            assert_eq!(tells(row), told(&records[usize::try_from(index(row)).unwrap()]), "{row}");
            assert_eq!(row["EventName"], event(row)["eventName"]);
        }
    }
    gateway.finish();
}

/// What a condition keeps.
type Keeps<'a> = Box<dyn Fn(&Value) -> bool + 'a>;

/// Those of which a field is that.
fn is(field: &'static str, value: &'static str) -> Keeps<'static> {
    Box::new(move |event| event[field] == value)
}

#[test]
fn conditions_keep_what_a_naive_filter_over_all_events_keeps() {
    let gateway = trail();
    let (all, _) = pages(&gateway, "DescribeEvents", &everything(), 50);
    let top = index(&all[0]);
    let uin =
        event(all.iter().find(|row| row["Username"] == "user/dev/app").unwrap())["userIdentity"]["principalId"].clone();
    let uin = uin.as_str().unwrap().to_owned();
    let resource =
        event(all.iter().find(|row| row["Resources"]["ResourceName"] == "prod/one").unwrap())["resources"].clone();
    let resource = resource.as_str().unwrap().to_owned();
    let request = all[5]["RequestID"].as_str().unwrap().to_owned();
    let native = resource.replacen("qcs:id/0:", "qcs::", 1);
    let cases: Vec<(Vec<(&str, &str)>, Keeps<'_>)> = vec![
        (vec![("RequestId", &request)], Box::new(|e| e["requestID"] == request.as_str())),
        (vec![("EventName", "GetSecretValue")], is("eventName", "GetSecretValue")),
        (
            vec![("EventName", "GetSecretValue"), ("EventName", "CreateKey"), ("EventName", "System")],
            Box::new(|e| ["GetSecretValue", "CreateKey", "System"].contains(&e["eventName"].as_str().unwrap())),
        ),
        (vec![("ActionType", "Read")], is("actionType", "Read")),
        (vec![("ReadOnly", "false")], is("actionType", "Write")),
        (vec![("PrincipalId", &uin)], Box::new(|e| e["userIdentity"]["principalId"] == uin.as_str())),
        (vec![("Username", "user/dev/stranger")], Box::new(|e| e["userIdentity"]["userName"] == "user/dev/stranger")),
        (vec![("Username", "")], Box::new(|e| e["userIdentity"]["userName"] == "")),
        (vec![("ResourceType", "kms")], is("resourceType", "kms")),
        (vec![("ResourceId", &resource)], Box::new(|e| e["resources"] == resource.as_str())),
        (vec![("ResourceId", &native)], Box::new(|e| e["resources"] == resource.as_str())),
        (vec![("ResourceName", "demo/one")], is("resourceName", "demo/one")),
        (vec![("ResourceName", "one")], is("resourceName", "one")),
        (vec![("ResourceName", "")], is("resourceName", "")),
        (vec![("AccessKeyId", "AKIDnobody")], Box::new(|_| false)),
        (vec![("SensitiveAction", "1")], Box::new(|e| e["sensitiveAction"] == 1)),
        (
            vec![("ApiErrorCode", "0"), ("CamErrorCode", "0")],
            Box::new(|e| e["errorCode"] == 0 && e["apiErrorCode"] == ""),
        ),
        (
            vec![("ApiErrorCode", "ResourceNotFound.SecretNotExist")],
            is("apiErrorCode", "ResourceNotFound.SecretNotExist"),
        ),
        (vec![("CamErrorCode", "403")], Box::new(|e| e["errorCode"] == 403)),
        (vec![("SourceIPAddress", "127.0.0.1")], is("sourceIPAddress", "127.0.0.1")),
        (vec![("Tags", r#"[{"key":"env","value":"*"}]"#)], Box::new(|e| e["tags"] != json!([]))),
        (vec![("Tags", r#"[{"key":"env","value":"b"}]"#)], Box::new(|_| false)),
        (
            vec![("Username", "user/dev/app"), ("EventName", "DescribeSecret"), ("ResourceName", "demo/two")],
            Box::new(|e| {
                e["userIdentity"]["userName"] == "user/dev/app"
                    && e["eventName"] == "DescribeSecret"
                    && e["resourceName"] == "demo/two"
            }),
        ),
    ];
    for (attributes, keeps) in &cases {
        let expected: Vec<u64> = all.iter().filter(|row| keeps(&event(row))).map(index).collect();
        for (action, results) in [("LookUpEvents", 50), ("DescribeEvents", 3)] {
            let (found, _) = pages(&gateway, action, &asking(attributes), results);
            let found: Vec<u64> = found.iter().map(index).filter(|index| *index <= top).collect();
            assert_eq!(found, expected, "{action} {attributes:?}");
        }
    }
    let kept = |keeps: &Keeps<'_>| all.iter().filter(|row| keeps(&event(row))).count();
    let empty = cases.iter().filter(|(_, keeps)| kept(keeps) == 0).count();
    assert_eq!(empty, 2, "a condition that keeps nothing shows nothing");
    // Seconds, both ends included.
    let (first, last) = (event(&all[all.len() - 1]), event(&all[0]));
    let second = |event: &Value| {
        let time = chrono::NaiveDateTime::parse_from_str(event["eventTime"].as_str().unwrap(), "%Y-%m-%d %H:%M:%S");
        time.unwrap().and_utc().timestamp()
    };
    // Without those of the searches themselves, which may be of the same second.
    let of = |start: i64, end: i64| {
        let (found, _) = pages(&gateway, "LookUpEvents", &json!({"StartTime": start, "EndTime": end}), 50);
        found.iter().map(index).filter(|index| *index <= top).count()
    };
    let within = |start: i64, end: i64| all.iter().filter(|row| (start..=end).contains(&second(&event(row)))).count();
    assert_eq!(of(second(&first), second(&first)), within(second(&first), second(&first)));
    assert_eq!(of(second(&first), second(&last)), all.len());
    assert_eq!(of(0, second(&first) - 1), 0);
    gateway.finish();
}

#[test]
fn searches_for_events_are_decided_and_recorded_each_by_its_own_permission() {
    let policies = Policies::default()
        .allow("looks-up", &["cloudaudit:LookUpEvents"], "*")
        .attach("looks-up", &["user/dev/auditor"]);
    let gateway = with_door().policies(policies).start();
    let auditor = gateway.token("auditor", &[], &[], 600);
    let question = asking(&[("EventName", "GetSecretValue"), ("Username", "user/dev/app")]);
    let answered = ask(&gateway, &auditor, "LookUpEvents", &question).ok();
    for action in ["DescribeEvents", "SearchRecords"] {
        let code = if action == "SearchRecords" { "InvalidAction" } else { "UnauthorizedOperation" };
        assert_eq!(ask(&gateway, &auditor, action, &question).code(), code);
    }
    assert_eq!(gateway.call(&auditor, "SearchRecords", &json!({})).status, 403);
    let record = gateway.record_of(&answered);
    assert_eq!((&record["action"], &record["outcome"]), (&json!("cloudaudit:LookUpEvents"), &json!("ok")));
    let attributes =
        json!([{"key": "EventName", "value": "GetSecretValue"}, {"key": "Username", "value": "user/dev/app"}]);
    assert_eq!(record["parameters"]["attributes"], attributes);
    assert_eq!((&record["parameters"]["start_time"], &record["parameters"]["limit"]), (&json!(0), &json!(50)));
    // The search itself is an event, and a token of one question is none of another, of another call or made up.
    let own = ask(&gateway, &auditor, "LookUpEvents", &asking(&[("EventName", "LookUpEvents")])).ok();
    assert_eq!(own.body["Events"][0]["RequestID"], answered.request());
    let mut more = everything();
    more["MaxResults"] = json!(1);
    let token = admin(&gateway, "LookUpEvents", &more).ok().body["NextToken"].clone();
    let mut other = asking(&[("EventName", "CreateSecret")]);
    other["NextToken"] = token.clone();
    assert_eq!(admin(&gateway, "LookUpEvents", &other).code(), "InvalidParameterValue");
    more["NextToken"] = json!(format!("{}x", token.as_str().unwrap()));
    assert_eq!(admin(&gateway, "LookUpEvents", &more).code(), "InvalidParameterValue");
    more["NextToken"] = token;
    assert_eq!(admin(&gateway, "DescribeEvents", &more).code(), "InvalidParameter");
    gateway.finish();
}

#[test]
fn questions_that_cannot_be_answered_get_the_codes_of_cloudaudit() {
    let gateway = with_door().start();
    let with = |name: &str, value: Value| {
        let mut question = everything();
        question[name] = value;
        question
    };
    let attribute = |key: &str| json!([{"AttributeKey": key, "AttributeValue": "x"}]);
    let many = json!(vec![json!({"AttributeKey": "EventName", "AttributeValue": "x"}); 11]);
    let cases = [
        (json!({"EndTime": 1}), "InvalidParameter.Time"),
        (with("StartTime", json!("now")), "InvalidParameter.Time"),
        (json!({"StartTime": 2, "EndTime": 1}), "InvalidParameterValue.Time"),
        (with("MaxResults", json!(0)), "InvalidParameterValue.MaxResult"),
        (with("MaxResults", json!(51)), "InvalidParameterValue.MaxResult"),
        (with("LookupAttributes", attribute("Colour")), "InvalidParameterValue.attributeKey"),
        (with("LookupAttributes", attribute("ActionType")), "InvalidParameterValue"),
        (with("LookupAttributes", many), "LimitExceeded.OverAmount"),
        (with("LookupAttributes", json!([{"AttributeValue": "x"}])), "MissingParameter"),
        (with("Limit", json!(1)), "UnknownParameter"),
    ];
    for action in ["LookUpEvents", "DescribeEvents"] {
        for (question, code) in &cases {
            let refused = admin(&gateway, action, question);
            assert_eq!(refused.code(), *code, "{action} {question}");
            assert_eq!(gateway.record_of(&refused)["reason"], *code);
        }
    }
    assert_eq!(admin(&gateway, "LookUpEvents", &with("Mode", json!("quick"))).code(), "ok");
    assert_eq!(admin(&gateway, "LookUpEvents", &with("Mode", json!("slow"))).code(), "InvalidParameterValue");
    assert_eq!(admin(&gateway, "DescribeEvents", &with("IsReturnLocation", json!(1))).code(), "ok");
    // Far back, and over more than a month.
    assert_eq!(admin(&gateway, "LookUpEvents", &json!({"StartTime": 0, "EndTime": 4_000_000_000_u64})).code(), "ok");
    gateway.finish();
}

#[test]
fn no_event_holds_a_value_a_token_or_a_hash_of_one() {
    let gateway = trail();
    let without_jti = {
        let mut claims = gateway.issuer().claims("app");
        claims.as_object_mut().unwrap().remove("jti");
        gateway.issuer().sign(&claims)
    };
    let read = gateway.call(&without_jti, "GetSecretValue", &json!({"SecretName": "demo/one"}));
    let hash = gateway.record_of(&read)["credential"]["hash"].as_str().unwrap().to_owned();
    let (rows, _) = pages(&gateway, "LookUpEvents", &everything(), 50);
    let all = json!(rows).to_string();
    let signature = without_jti.rsplit('.').next().unwrap();
    for secret in ["s3cret-marker", &hash, signature, &"ab".repeat(32), "credential_hash"] {
        assert!(!all.contains(secret), "{secret}");
    }
    assert!(rows.iter().any(|row| row["RequestID"] == read.request()));
    gateway.finish();
}
