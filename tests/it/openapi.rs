//! The description at `/openapi.json` against the gateway that serves it: examples are of their schemas, and played in one
//! story they come to what they say.

use crate::gateway::TestGateway;
use crate::installation::{Policies, shown_by, taken_by};
use serde_json::{Value, json};

/// The order in which the examples make one story; each action's refusal is asked for right behind its example.
const STORY: [&str; 52] = [
    "GetRegions",
    "GetServiceStatus",
    "DescribeSupportedProducts",
    "CreateSecret",
    "PutSecretValue",
    "GetSecretValue",
    "DescribeSecret",
    "ListSecrets",
    "ListSecretVersionIds",
    "SetCurrentVersion",
    "UpdateSecret",
    "UpdateDescription",
    "TagResource",
    "UntagResource",
    "BatchGetSecretValue",
    "GetRandomPassword",
    "DeleteSecretVersion",
    "EnableSecret",
    "DisableSecret",
    "DeleteSecret",
    "RestoreSecret",
    "CreateSSHKeyPairSecret",
    "GetSSHKeyPairValue",
    "CreateKey",
    "DescribeKey",
    "ListKeys",
    "RotateKey",
    "RewrapKeys",
    "RetireKeyGeneration",
    "EnableKey",
    "DisableKey",
    "ScheduleKeyDeletion",
    "CancelKeyDeletion",
    "SearchRecords",
    "LookUpEvents",
    "DescribeEvents",
    "GetCheckpoint",
    "GetInclusionProof",
    "RotateRootKey",
    "CreateAccessKey",
    "ListAccessKeys",
    "UpdateAccessKey",
    "DeleteAccessKey",
    "AssumeRole",
    "AssumeRoleWithWebIdentity",
    "GetCallerIdentity",
    "RevokeToken",
    "ListPolicies",
    "GetPolicy",
    "ListPolicyRevisions",
    "SimulatePolicy",
    "ExplainDecision",
];
/// Asked for by an access key alone, which only the other door takes: its example is held against its schema.
const SIGNED: &str = "GetFederationToken";
/// Played apart: their answers are files. Each with how that begins.
const STREAMS: [(&str, &[u8]); 5] = [
    ("ExportRecords", b"{"),
    ("CreateBackup", b"file "),
    ("ReplayPolicies", b"{\"Of\":"),
    ("ListShadowDecisions", b"{\"Of\":"),
    ("SuggestPolicies", b"{\"Of\":"),
];
/// Fields that come out anew each time; of the others the answer's values are the example's.
const NEW_EACH_TIME: [&str; 43] = [
    "AccessKeyId",
    "Arn",
    "AuditIndex",
    "AuditLeaf",
    "Checkpoint",
    "Complete",
    "Context",
    "CreateTime",
    "CreateUin",
    "CreateUinString",
    "DeleteTime",
    "DeletionDate",
    "Document",
    "Events",
    "Expiration",
    "ExpiredTime",
    "Hashes",
    "IssuedBefore",
    "Leaf",
    "NextCursor",
    "Of",
    "PreviousRootKey",
    "Principal",
    "PrincipalId",
    "PrivateKey",
    "Proof",
    "PublicKey",
    "RandomPassword",
    "Records",
    "RequestId",
    "ResourceID",
    "ResourceName",
    "Revision",
    "Revisions",
    "Root",
    "RootKey",
    "SSHKeyID",
    "SecretAccessKey",
    "Size",
    "TmpSecretId",
    "TmpSecretKey",
    "Token",
    "UserId",
];

/// What does not fit a schema, with the path to it. Knows the words that the description uses, and no others.
fn misfits(schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    let schema = schema.as_object().unwrap_or_else(|| panic!("{at}: no schema"));
    for (word, rule) in schema {
        let fits = match (word.as_str(), value) {
            ("description" | "default" | "contentEncoding" | "format" | "properties" | "required", _) => true,
            ("additionalProperties", Value::Object(fields)) => {
                let known = schema["properties"].as_object().unwrap();
                assert_eq!(rule, false, "{at}");
                fields.keys().all(|field| known.contains_key(field))
            }
            ("type", _) => match rule.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "boolean" => value.is_boolean(),
                "integer" => value.is_i64() || value.is_u64(),
                other => panic!("{at}: type `{other}`"),
            },
            ("enum", _) => rule.as_array().unwrap().contains(value),
            ("const", _) => rule == value,
            ("minimum", Value::Number(number)) => number.as_u64() >= rule.as_u64(),
            ("maximum", Value::Number(number)) => number.as_u64() <= rule.as_u64(),
            ("minLength", Value::String(text)) => text.chars().count() as u64 >= rule.as_u64().unwrap(),
            ("maxLength", Value::String(text)) => text.chars().count() as u64 <= rule.as_u64().unwrap(),
            ("pattern", Value::String(text)) => is_matched(rule.as_str().unwrap(), text),
            ("minItems", Value::Array(items)) => items.len() as u64 >= rule.as_u64().unwrap(),
            ("maxItems", Value::Array(items)) => items.len() as u64 <= rule.as_u64().unwrap(),
            ("items", Value::Array(items)) => {
                let places = items.iter().enumerate();
                found.extend(places.flat_map(|(place, item)| misfits(rule, item, &format!("{at}/{place}"))));
                true
            }
            // A rule for another kind of value than this one: `type` says so.
            (
                "additionalProperties"
                | "minimum"
                | "maximum"
                | "minLength"
                | "maxLength"
                | "pattern"
                | "minItems"
                | "maxItems"
                | "items",
                _,
            ) => true,
            (other, _) => panic!("{at}: the schema says `{other}`"),
        };
        if !fits {
            found.push(format!("{at}: `{value}` is not as `{word}: {rule}` says"));
        }
    }
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    for field in required.filter_map(Value::as_str).filter(|field| value.get(field).is_none()) {
        found.push(format!("{at}: `{field}` is missing"));
    }
    for (field, rule) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        if let Some(value) = value.get(field) {
            found.extend(misfits(rule, value, &format!("{at}/{field}")));
        }
    }
    found
}

/// Whether a text is of a pattern: a row of characters and `[classes]`, each with `*`, `{n}` or `{n,m}` perhaps, from `^` to `$`.
fn is_matched(pattern: &str, text: &str) -> bool {
    let inner = pattern.strip_prefix('^').and_then(|rest| rest.strip_suffix('$')).expect("a whole pattern");
    matches_rest(inner, text)
}

fn matches_rest(pattern: &str, text: &str) -> bool {
    let Some(first) = pattern.chars().next() else { return text.is_empty() };
    let (class, rest) = match pattern.strip_prefix('[') {
        Some(inner) => inner.split_once(']').expect("an end of the class"),
        None => pattern.split_at(first.len_utf8()),
    };
    let (least, most, rest) = repeats(rest);
    let fitting = text.chars().take(most).take_while(|c| is_in(class, *c)).count();
    let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect::<Vec<_>>();
    (least..=fitting).rev().any(|count| matches_rest(rest, &text[ends[count]..]))
}

fn repeats(rest: &str) -> (usize, usize, &str) {
    if let Some(rest) = rest.strip_prefix('*') {
        return (0, usize::MAX, rest);
    }
    let Some((counts, rest)) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) else {
        return (1, 1, rest);
    };
    let (least, most) = counts.split_once(',').unwrap_or((counts, counts));
    (least.parse().unwrap(), most.parse().unwrap(), rest)
}

fn is_in(class: &str, character: char) -> bool {
    let signs: Vec<char> = class.chars().collect();
    let mut at = 0;
    while at < signs.len() {
        let is_range = signs.get(at + 1) == Some(&'-') && at + 2 < signs.len();
        let last = if is_range { signs[at + 2] } else { signs[at] };
        if (signs[at]..=last).contains(&character) {
            return true;
        }
        at += if is_range { 3 } else { 1 };
    }
    false
}

/// The operations of the description by name.
fn operations(gateway: &TestGateway) -> serde_json::Map<String, Value> {
    let document = gateway.get("/openapi.json").ok().body;
    let paths = document["paths"].as_object().unwrap().clone().into_iter();
    paths.map(|(path, item)| (path.strip_prefix("/v1/").unwrap().to_owned(), item["post"].clone())).collect()
}

fn request(operation: &Value) -> &Value {
    &operation["requestBody"]["content"]["application/json"]
}

fn answer(operation: &Value) -> &Value {
    &operation["responses"]["200"]["content"]["application/json"]
}

/// The refusal that an operation has of its own: status, request, and the error.
fn refusal(operation: &Value) -> (u16, Value, Value) {
    let responses = operation["responses"].as_object().unwrap();
    let own = responses.iter().find_map(|(status, response)| {
        let request = response["description"].as_str()?.split_once(" for the request ")?.1;
        let request = serde_json::from_str(request).unwrap();
        let example = response["content"]["application/json"]["example"]["Error"].clone();
        Some((status.parse().unwrap(), request, example))
    });
    own.expect("a refusal of its own")
}

/// Where an answer is not as its example: other fields, other kinds, or another value where it is the same each time.
fn differences(name: &str, example: &Value, answered: &Value) -> Vec<String> {
    if NEW_EACH_TIME.contains(&name) {
        let same = std::mem::discriminant(example) == std::mem::discriminant(answered);
        return if same { Vec::new() } else { vec![format!("{name}: {example} and {answered}")] };
    }
    match (example, answered) {
        (Value::Object(left), Value::Object(right)) => {
            let fields: std::collections::BTreeSet<&String> = left.keys().chain(right.keys()).collect();
            let null = Value::Null;
            let pair =
                |field: &String| (left.get(field).unwrap_or(&null).clone(), right.get(field).unwrap_or(&null).clone());
            fields
                .into_iter()
                .flat_map(|field| {
                    let (l, r) = pair(field);
                    differences(field, &l, &r)
                })
                .collect()
        }
        (Value::Array(left), Value::Array(right)) if left.len() == right.len() => {
            left.iter().zip(right).flat_map(|(left, right)| differences(name, left, right)).collect()
        }
        _ if example == answered || name == "ExpiresAt" => Vec::new(),
        _ => vec![format!("{name}: {example} and {answered}")],
    }
}

#[test]
fn the_examples_are_of_their_schemas_and_come_to_what_they_say() {
    let next = toml::Table::from_iter([("path".to_owned(), "keys/root-2.key".into())]);
    let policies = Policies::default().role("reader", &[taken_by("user/dev/admin"), shown_by("dev", "admin")], None);
    let gateway = TestGateway::builder().set("keys.next", next).policies(policies).start();
    let operations = operations(&gateway);
    let mut told: Vec<&str> = STORY.to_vec();
    told.extend(STREAMS.map(|(name, _)| name));
    told.push(SIGNED);
    told.sort_unstable();
    assert_eq!(
        operations.keys().map(String::as_str).collect::<Vec<_>>(),
        told,
        "an action without a place in the story"
    );
    let mut access_key = Value::Null;
    for name in STORY {
        let operation = &operations[name];
        let (mut asked, said) = (request(operation).clone(), answer(operation));
        assert_eq!(misfits(&asked["schema"], &asked["example"], name), [""; 0]);
        assert_eq!(misfits(&said["schema"], &said["example"], name), [""; 0]);
        if asked["example"].get("AccessKeyId").is_some() {
            asked["example"]["AccessKeyId"] = access_key.clone();
        }
        let reply = gateway.call(gateway.admin(), name, &asked["example"]);
        assert_eq!(reply.status, 200, "{name}: {}", reply.body);
        if let Some(made) = reply.body.pointer("/AccessKey/AccessKeyId") {
            access_key = made.clone();
        }
        assert_eq!(misfits(&said["schema"], &reply.body, name), [""; 0]);
        assert_eq!(differences(name, &said["example"], &reply.body), [""; 0], "{name}");
        refuses(&gateway, name, operation);
    }
    let signed = &operations[SIGNED];
    for (said, what) in [(request(signed), "asked"), (answer(signed), "answered")] {
        assert_eq!(misfits(&said["schema"], &said["example"], what), [""; 0]);
    }
    refuses(&gateway, SIGNED, signed);
    for (name, beginning) in STREAMS {
        let operation = &operations[name];
        assert_eq!(misfits(&request(operation)["schema"], &request(operation)["example"], name), [""; 0]);
        let reply = gateway.call(gateway.admin(), name, &request(operation)["example"]).ok();
        assert!(operation["responses"]["200"]["content"]["application/octet-stream"]["example"].is_string());
        assert!(reply.bytes.starts_with(beginning), "{name}");
        refuses(&gateway, name, operation);
    }
    gateway.finish();
}

fn refuses(gateway: &TestGateway, name: &str, operation: &Value) {
    let (status, asked, error) = refusal(operation);
    let reply = gateway.call(gateway.admin(), name, &asked);
    assert_eq!((reply.status, &reply.body["Error"]), (status, &error), "{name}: {asked}");
    let schema = json!({
        "type": "object", "additionalProperties": false, "required": ["Error", "RequestId"],
        "properties": {"Error": {"type": "object"}, "RequestId": {"type": "string"}},
    });
    assert_eq!(misfits(&schema, &reply.body, name), [""; 0]);
}

#[test]
fn a_value_that_does_not_fit_its_schema_is_found() {
    let schema = json!({
        "type": "object", "additionalProperties": false, "required": ["Name"],
        "properties": {
            "Name": {"type": "string", "pattern": "^[A-Za-z0-9][a-z_.-]*$", "maxLength": 5},
            "Ids": {"type": "array", "maxItems": 1, "items": {"type": "string", "pattern": "^skey-[a-z0-9]{8}$"}},
            "Number": {"type": "integer", "maximum": 7},
        },
    });
    let good = json!({"Name": "A_b-.", "Ids": ["skey-m94afnyj"], "Number": 7});
    assert_eq!(misfits(&schema, &good, ""), [""; 0]);
    for bad in [
        json!({}),
        json!({"Name": "_a"}),
        json!({"Name": "a/b"}),
        json!({"Name": "abcdef"}),
        json!({"Name": "a", "More": 1}),
        json!({"Name": "a", "Ids": ["skey-m94afny"]}),
        json!({"Name": "a", "Ids": ["skey-m94afnyj", "skey-m94afnyj"]}),
        json!({"Name": "a", "Number": 8}),
        json!({"Name": "a", "Number": "7"}),
    ] {
        assert!(!misfits(&schema, &bad, "").is_empty(), "{bad}");
    }
}
