//! What callers ask of policies.

use crate::authz::{FOLDER_ENTRIES_MAX, PolicyFile};
use crate::error::ApiError;
use crate::parameters::{Fields, invalid_value, missing};

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
        let files = fields.objects("Files")?.into_iter().map(file).collect::<Result<Vec<_>, _>>()?;
        if files.len() > FOLDER_ENTRIES_MAX {
            return Err(invalid_value("Files", format!("there are at most {FOLDER_ENTRIES_MAX}")));
        }
        Ok(Self { files, since_s: fields.number("StartTime")?.unwrap_or(0) })
    }
}

fn file(mut fields: Fields) -> Result<PolicyFile, ApiError> {
    let path = fields.required_text("Path")?;
    let text = fields.text("Text")?.ok_or_else(|| missing("Text"))?;
    fields.finish()?;
    Ok(PolicyFile { path, bytes: text.into_bytes() })
}
