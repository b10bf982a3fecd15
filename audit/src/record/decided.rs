//! What a decision rested on: [`Context`], everything a policy could have read, and [`Policy`], what decided.
//!
//! INVARIANT I4: these two, with principal, action, resource and the credential's form, decide the request again.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::value::write_map;
use super::words::{Decision, Effect, LayerName, Unknown};

/// Everything that a policy could have read besides principal, action and resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// Every condition key present, with its values; absent keys stay absent. Keys are ASCII.
    #[serde(serialize_with = "write_map")]
    pub conditions: BTreeMap<String, BTreeSet<String>>,
    /// All of the caller's groups, qualified.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub groups: BTreeSet<String>,
    /// All of the caller's roles, qualified.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub roles: BTreeSet<String>,
    /// What was unknown, because the secret does not exist.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unknown: BTreeSet<Unknown>,
}

/// What decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// The deciding statements: identity, boundary, session, trust; then by document bytes, then by statement.
    pub layers: Vec<Layer>,
    /// The policy revision.
    pub revision: String,
    /// Version of the evaluator.
    pub semantics: u32,
    /// What a candidate set would have decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Shadow>,
}

/// One deciding statement, or the lack of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// The policy document's name; none in the session layer and on a default deny.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// What it came to.
    pub effect: Effect,
    /// Which layer.
    pub layer: LayerName,
    /// The statement's place in its document, from 0; none on a default deny.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<u32>,
}

/// What a candidate set would have decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shadow {
    /// Its answer.
    pub decision: Decision,
    /// Its revision.
    pub revision: String,
}
