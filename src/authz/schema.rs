//! JSON Schema (2020-12) of the files that authors write, for editors that complete and check while typing. It is made from
//! the catalogue, so it names every action, key and operator that there is, and nothing else.
//!
//! What a schema refuses is refused when it is loaded. What it accepts may still be: names that are not defined, patterns
//! that can never match. Tests hold it to that.

mod condition;

use serde_json::{Value, json};

use super::lint::Rule;
use crate::actions::{ACTIONS, Action, ConditionKey, Service};

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaKind {
    /// `documents/*.json`
    Document,
    /// `attachments.json`
    Attachments,
    /// `roles/*.json`
    Role,
    /// `tests/*.json`
    Tests,
    /// `waivers.json`
    Waivers,
}

impl SchemaKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [Self::Document, Self::Attachments, Self::Role, Self::Tests, Self::Waivers];

    /// Its name, as files and commands have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Document => "document",
            Self::Attachments => "attachments",
            Self::Role => "role",
            Self::Tests => "tests",
            Self::Waivers => "waivers",
        }
    }

    /// Which files of the policy folder are of it.
    #[must_use]
    pub const fn files(self) -> &'static str {
        match self {
            Self::Document => "documents/*.json",
            Self::Attachments => "attachments.json",
            Self::Role => "roles/*.json",
            Self::Tests => "tests/*.json",
            Self::Waivers => "waivers.json",
        }
    }

    /// The schema.
    #[must_use]
    pub fn schema(self) -> Value {
        let schema = match self {
            Self::Document => document(),
            Self::Attachments => attachments(),
            Self::Role => role(),
            Self::Tests => tests(),
            Self::Waivers => waivers(),
        };
        with(
            schema,
            json!({
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "title": format!("keyward: {}", self.files()),
                "$defs": definitions(self),
            }),
        )
    }
}

/// A schema with more keywords.
fn with(mut schema: Value, more: Value) -> Value {
    if let (Some(keywords), Value::Object(more)) = (schema.as_object_mut(), more) {
        keywords.extend(more);
    }
    schema
}

/// What schemas refer to.
fn definitions(kind: SchemaKind) -> Value {
    match kind {
        SchemaKind::Document => json!({
            "statement": statement(), "action": action(), "resource": resource(),
            "condition": condition::own(false), "foreign_condition": condition::foreign(),
        }),
        SchemaKind::Tests => {
            let more = json!({"document": document(), "principal": principal(), "test": test()});
            with(definitions(SchemaKind::Document), more)
        }
        SchemaKind::Role => {
            json!({"principal": principal(), "statement": trust_statement(), "condition": condition::own(true)})
        }
        SchemaKind::Attachments => json!({
            "member": text(MEMBER, "user/<issuer>/<sub>, group/<issuer>/<name>, role/<issuer>/<name>"),
            "target": text(TARGET, "a principal, service/<name>, issuer/<name> or everyone"),
            "attachment": object(&["policy", "to"], json!({
                "policy": {"type": "string", "description": "a document's name without .json"},
                "to": {"type": "array", "items": {"$ref": "#/$defs/target"}},
            })),
        }),
        SchemaKind::Waivers => json!({}),
    }
}

const MEMBER: &str = "^(user|group|role)/[a-z0-9-]+/.+$";
const TARGET: &str = "^(everyone|issuer/[a-z0-9-]+|service/.+|(user|group|role)/[a-z0-9-]+/.+)$";
const PRINCIPAL: &str = "^(service/.+|(user|group|role)/[a-z0-9-]+/.+)$";

/// An object with these members and no others.
fn object(required: &[&str], properties: Value) -> Value {
    json!({"type": "object", "additionalProperties": false, "required": required, "properties": properties})
}

fn text(pattern: &str, description: &str) -> Value {
    json!({"type": "string", "pattern": pattern, "description": description})
}

/// One, or a list of at least one.
fn one_or_many(one: &Value) -> Value {
    json!({"anyOf": [one, {"type": "array", "minItems": 1, "items": one}]})
}

fn version() -> Value {
    json!({"enum": ["2.0", "3.0"], "description": "both mean the same"})
}

fn effect() -> Value {
    json!({"enum": ["allow", "deny"], "description": "a deny wins over every allow"})
}

fn document() -> Value {
    let statements = json!({"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/statement"}});
    object(&["version", "statement"], json!({"version": version(), "statement": statements}))
}

/// A statement; of one that is for foreign services alone conditions are checked for form only.
fn statement() -> Value {
    let action = json!({"$ref": "#/$defs/action"});
    let statement = object(
        &["effect", "action", "resource"],
        json!({
            "effect": effect(),
            "action": one_or_many(&action),
            "resource": one_or_many(&json!({"$ref": "#/$defs/resource"})),
            "condition": true,
        }),
    );
    let services = Service::ALL.map(Service::name).join("|");
    let is_own = json!({"pattern": format!("^(name/)?(\\*|{services})(:.*)?$")});
    let is_foreign = one_or_many(&json!({"type": "string", "not": is_own}));
    let more = json!({
        "if": {"required": ["action"], "properties": {"action": is_foreign}},
        "then": {"properties": {"condition": {"$ref": "#/$defs/foreign_condition"}}},
        "else": {"properties": {"condition": {"$ref": "#/$defs/condition"}}},
    });
    with(statement, more)
}

/// Names that editors offer, and the form of patterns.
fn action() -> Value {
    let all = Service::ALL.iter().map(|service| format!("{}:*", service.name()));
    let names: Vec<String> =
        ["*".to_owned()].into_iter().chain(all).chain(ACTIONS.iter().map(Action::full_name)).collect();
    json!({"description": "service:Operation; `*` stands for any run of characters",
        "anyOf": [{"enum": names}, {"type": "string", "pattern": "^(name/)?(\\*|(\\*|[a-z0-9-]+):[A-Za-z0-9*]+)$"}]})
}

fn resource() -> Value {
    let usual = [
        "*",
        "qcs::ssm:::secret/*",
        "qcs::ssm:::secret/creatorUin/*/",
        "qcs::ssm:::secret/creatorUin/${uin}/*",
        "qcs::kms:::key/*",
    ];
    json!({"description": "`*`, or qcs:<project>:<service>:<region>:<account>:<resource>; of secrets secret/creatorUin/<creator>/<name>",
        "examples": usual, "type": "string", "pattern": "^(\\*|qcs:[^:]*:[^:]*:[^:]*:[^:]*:.*)$"})
}

fn attachments() -> Value {
    let list = json!({"type": "array", "items": {"$ref": "#/$defs/attachment"}});
    let members = json!({"type": "array", "items": {"$ref": "#/$defs/member"}});
    object(
        &["version"],
        json!({
            "version": {"const": 1},
            "groups": {"type": "object", "additionalProperties": members, "description": "each is group/local/<name>"},
            "attachments": list,
            "boundaries": list,
        }),
    )
}

fn principal() -> Value {
    text(PRINCIPAL, "user/<issuer>/<sub>, group/<issuer>/<name>, role/<issuer>/<name>, service/<name>")
}

fn role() -> Value {
    let statements = json!({"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/statement"}});
    let session =
        json!({"type": "integer", "minimum": 60, "maximum": 43200, "description": "longest session, in seconds"});
    object(&["version", "statement"], json!({"version": version(), "statement": statements, "max_session_s": session}))
}

fn trust_statement() -> Value {
    let of_roles = text("^(name/)?sts:[A-Za-z0-9*]+$", "name/sts:AssumeRole or name/sts:AssumeRoleWithWebIdentity");
    let provider = text("^oidc-provider/[a-z0-9-]+$", "oidc-provider/<issuer>");
    let principals = object(
        &[],
        json!({"qcs": one_or_many(&json!({"$ref": "#/$defs/principal"})), "federated": one_or_many(&provider)}),
    );
    let principals = with(principals, json!({"minProperties": 1}));
    object(
        &["effect", "action", "principal"],
        json!({
            "effect": effect(),
            "action": one_or_many(&of_roles),
            "principal": principals,
            "condition": {"$ref": "#/$defs/condition"},
        }),
    )
}

fn tests() -> Value {
    let list = json!({"type": "array", "items": {"$ref": "#/$defs/test"}});
    object(&["version", "tests"], json!({"version": {"const": 1}, "tests": list}))
}

fn test() -> Value {
    let names: Vec<String> = ACTIONS.iter().map(Action::full_name).collect();
    let principals = json!({"type": "array", "items": {"$ref": "#/$defs/principal"}});
    let resource = "^(secret/creatorUin/([0-9]+|\\*|\\$\\{uin\\})/.+|key/.+|role/local/.+)$";
    let stated =
        |key: &ConditionKey| !matches!(key, ConditionKey::Uin | ConditionKey::OwnerUin | ConditionKey::CreateUin);
    let values = json!({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]});
    let keys = ConditionKey::ALL.iter().filter(|key| stated(key));
    let keys: Value = keys.map(|key| (key.name().to_owned(), values.clone())).collect();
    let by = object(
        &["layer"],
        json!({
            "layer": {"enum": ["identity", "boundary", "session", "trust"]},
            "document": {"type": "string"},
            "statement": {"type": "integer", "minimum": 0},
        }),
    );
    object(
        &["name", "principal", "action", "expect"],
        json!({
            "name": {"type": "string", "minLength": 1, "description": "a sentence"},
            "principal": {"$ref": "#/$defs/principal"},
            "groups": principals,
            "roles": principals,
            "credential": {"enum": ["token", "access_key", "session"]},
            "assumed_by": {"$ref": "#/$defs/principal"},
            "uin": text("^[0-9]+$", "the caller's creator number"),
            "action": {"enum": names},
            "resource": text(resource, "left out at operation level; creator `*`: the secret does not exist"),
            "context": object(&[], keys),
            "session_policy": {"$ref": "#/$defs/document"},
            "expect": {"enum": ["allow", "deny"]},
            "by": {"type": "array", "items": by, "description": "the deciding statements, all of them and in order"},
        }),
    )
}

fn waivers() -> Value {
    let codes: Vec<&str> = Rule::ALL.iter().filter(|rule| rule.can_be_waived()).map(|rule| rule.code()).collect();
    let sentence = |description: &str| json!({"type": "string", "minLength": 1, "description": description});
    let waiver = object(
        &["code", "file", "who", "why"],
        json!({
            "code": {"enum": codes},
            "file": sentence("relative to the policy folder"),
            "statement": {"type": "integer", "minimum": 0, "description": "its 0-based place; anywhere in the file if absent"},
            "text": sentence("the offending text; any if absent"),
            "who": sentence("who answers for it"),
            "why": sentence("why it stands"),
        }),
    );
    object(&["version", "waivers"], json!({"version": {"const": 1}, "waivers": {"type": "array", "items": waiver}}))
}

#[cfg(test)]
mod schema_tests;
#[cfg(test)]
mod validator;
