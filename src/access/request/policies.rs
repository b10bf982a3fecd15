//! What callers ask of policies.

use crate::actions::{ConditionKey, Operation};
use crate::authz::{FOLDER_ENTRIES_MAX, PolicyFile};
use crate::error::ApiError;
use crate::parameters::{Fields, invalid_value, missing};
use crate::principal::{Kind, LOCAL, Principal};

/// Elements of a page that are answered when no limit is given, and at most.
const LIMIT: (u64, u64) = (50, 200);
/// Longest path of a file that may be asked for, in bytes; none in a policy folder is longer.
const PATH_BYTES_MAX: usize = 256;
/// Longest text of a request that nobody made, in bytes: the six segments of the longest name fit.
const TEXT_BYTES_MAX: usize = 1_024;
/// Groups, roles and values of conditions that such a request may have of each.
const TEXTS_MAX: usize = 1_000;

/// Of policy sets.
#[derive(Debug)]
pub(in crate::access) enum PolicyRequest {
    /// ListPolicies: rows to pass over and to answer at most.
    List { revision: Option<String>, offset: u64, limit: u64 },
    /// GetPolicy
    Get { path: String, revision: Option<String> },
    /// ListPolicyRevisions
    Revisions { limit: u64, cursor: Option<String> },
    /// SimulatePolicy
    Simulate(Box<Simulated>),
    /// ExplainDecision: of which record.
    Explain { index: u64 },
}

/// SimulatePolicy: a request that nobody made, and who would decide it.
#[derive(Debug)]
pub(in crate::access) struct Simulated {
    /// By what.
    pub(in crate::access) by: Set,
    /// Who would ask.
    pub(in crate::access) principal: String,
    /// Groups and roles of the token.
    pub(in crate::access) claims: Vec<String>,
    /// What for.
    pub(in crate::access) action: String,
    /// On what.
    pub(in crate::access) resource: Option<String>,
    /// Condition keys, each with one value more; with an empty one, the request lacks the key.
    pub(in crate::access) context: Vec<(String, String)>,
}

/// Which policy set is asked.
#[derive(Debug)]
pub(in crate::access) enum Set {
    /// The live one, or one that was live.
    Revision(Option<String>),
    /// One that came with the request.
    Sent(Vec<PolicyFile>),
}

impl PolicyRequest {
    /// Reads the parameters; none for an action that is not of policies.
    pub(super) fn read(operation: Operation, fields: &mut Fields) -> Result<Option<Self>, ApiError> {
        Ok(Some(match operation {
            Operation::ListPolicies => {
                let offset = fields.number("Offset")?.unwrap_or(0);
                Self::List { revision: revision(fields)?, offset, limit: limit(fields)? }
            }
            Operation::GetPolicy => Self::Get { path: path(fields)?, revision: revision(fields)? },
            Operation::ListPolicyRevisions => {
                Self::Revisions { limit: limit(fields)?, cursor: fields.nonempty_text("Cursor")? }
            }
            Operation::SimulatePolicy => Self::Simulate(Box::new(Simulated::read(fields)?)),
            Operation::ExplainDecision => {
                Self::Explain { index: fields.number("Index")?.ok_or_else(|| missing("Index"))? }
            }
            _ => return Ok(None),
        }))
    }
}

impl Simulated {
    fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let files = files(fields)?;
        let by = match (revision(fields)?, files.is_empty()) {
            (revision, true) => Set::Revision(revision),
            (None, false) => Set::Sent(files),
            (Some(_), false) => return Err(invalid_value("Files", "give them or `Revision`, not both")),
        };
        let principal = bounded("Principal", fields.required_text("Principal")?)?;
        let action = bounded("Action", fields.required_text("Action")?)?;
        let resource = fields.nonempty_text("Resource")?.map(|text| bounded("Resource", text)).transpose()?;
        let mut claims = bounded_all("Groups", fields.texts("Groups")?)?;
        claims.extend(bounded_all("Roles", fields.texts("Roles")?)?);
        let mut context = Vec::new();
        for condition in fields.objects("Context")? {
            context.extend(values(condition)?);
        }
        if context.len() > TEXTS_MAX {
            return Err(invalid_value("Context", format!("there are at most {TEXTS_MAX} values")));
        }
        Ok(Self { by, principal, claims, action, resource, context })
    }
}

/// A condition key with its values; without any, one empty value.
fn values(mut fields: Fields) -> Result<Vec<(String, String)>, ApiError> {
    let key = bounded("Key", fields.required_text("Key")?)?;
    let values = bounded_all("Values", fields.texts("Values")?)?;
    fields.finish()?;
    if ConditionKey::parse(&key).is_none() {
        return Err(invalid_value("Key", "it is no condition key"));
    }
    let values = if values.is_empty() { vec![String::new()] } else { values };
    Ok(values.into_iter().map(|value| (key.clone(), value)).collect())
}

fn bounded(name: &str, text: String) -> Result<String, ApiError> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(invalid_value(name, format!("it is over {TEXT_BYTES_MAX} bytes")));
    }
    Ok(text)
}

fn bounded_all(name: &str, texts: Vec<String>) -> Result<Vec<String>, ApiError> {
    if texts.len() > TEXTS_MAX {
        return Err(invalid_value(name, format!("there are at most {TEXTS_MAX}")));
    }
    texts.into_iter().map(|text| bounded(name, text)).collect()
}

/// A whole digest: what is abbreviated is looked up by those who have the store.
fn revision(fields: &mut Fields) -> Result<Option<String>, ApiError> {
    let Some(text) = fields.nonempty_text("Revision")? else { return Ok(None) };
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let digits = text.strip_prefix("sha256:").unwrap_or_default();
    if digits.len() == 64 && digits.bytes().all(is_hex) {
        return Ok(Some(text));
    }
    Err(invalid_value("Revision", "it is `sha256:` and 64 hex digits, in small letters"))
}

fn path(fields: &mut Fields) -> Result<String, ApiError> {
    let path = fields.required_text("Path")?;
    if path.len() > PATH_BYTES_MAX {
        return Err(invalid_value("Path", format!("it is over {PATH_BYTES_MAX} bytes")));
    }
    Ok(path)
}

fn limit(fields: &mut Fields) -> Result<u64, ApiError> {
    let limit = fields.number("Limit")?.unwrap_or(LIMIT.0);
    if !(1..=LIMIT.1).contains(&limit) {
        return Err(invalid_value("Limit", format!("it is 1 to {}", LIMIT.1)));
    }
    Ok(limit)
}

/// ReplayPolicies
#[derive(Debug)]
pub(in crate::access) struct ReplayPolicies {
    /// The folder: its files by their paths in it.
    pub(in crate::access) files: Vec<PolicyFile>,
    /// From when on, in seconds since 1970.
    pub(in crate::access) since_s: u64,
}

impl ReplayPolicies {
    /// Reads the parameters.
    pub(super) fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        Ok(Self { files: files(fields)?, since_s: fields.number("StartTime")?.unwrap_or(0) })
    }
}

/// ListShadowDecisions
#[derive(Debug)]
pub(in crate::access) struct ListShadowDecisions {
    /// Of which set; of the one that is in the shadow now if absent.
    pub(in crate::access) revision: Option<String>,
    /// From when on, in seconds since 1970.
    pub(in crate::access) since_s: u64,
}

/// SuggestPolicies
#[derive(Debug)]
pub(in crate::access) struct SuggestPolicies {
    /// Whose policies; everybody's if nobody is named.
    pub(in crate::access) who: Option<Principal>,
    /// From when on, in seconds since 1970.
    pub(in crate::access) since_s: u64,
}

impl ListShadowDecisions {
    /// Reads the parameters.
    pub(super) fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let revision = revision(fields)?;
        Ok(Self { revision, since_s: fields.number("StartTime")?.unwrap_or(0) })
    }
}

impl SuggestPolicies {
    /// Reads the parameters.
    pub(super) fn read(fields: &mut Fields) -> Result<Self, ApiError> {
        let who = fields.nonempty_text("Principal")?.map(|text| acting(&text)).transpose()?;
        Ok(Self { who, since_s: fields.number("StartTime")?.unwrap_or(0) })
    }
}

/// Somebody who does something by a policy: no group, which acts through its members, nor the gateway itself.
fn acting(text: &str) -> Result<Principal, ApiError> {
    let who = Principal::parse(text).map_err(|error| invalid_value("Principal", error.to_string()))?;
    let is_local = who.issuer() == Some(LOCAL);
    let acts = match who.kind() {
        Kind::User => !is_local,
        Kind::Role => is_local && who != Principal::engine_role(),
        Kind::Group | Kind::Service => false,
    };
    let message = "it is a user, `user/<issuer>/<sub>`, or a role of the policy folder, `role/local/<name>`";
    if acts { Ok(who) } else { Err(invalid_value("Principal", message)) }
}

/// A folder that is sent along.
fn files(fields: &mut Fields) -> Result<Vec<PolicyFile>, ApiError> {
    let files = fields.objects("Files")?.into_iter().map(file).collect::<Result<Vec<_>, _>>()?;
    if files.len() > FOLDER_ENTRIES_MAX {
        return Err(invalid_value("Files", format!("there are at most {FOLDER_ENTRIES_MAX}")));
    }
    Ok(files)
}

fn file(mut fields: Fields) -> Result<PolicyFile, ApiError> {
    let path = fields.required_text("Path")?;
    let text = fields.text("Text")?.ok_or_else(|| missing("Text"))?;
    fields.finish()?;
    Ok(PolicyFile { path, bytes: text.into_bytes() })
}
