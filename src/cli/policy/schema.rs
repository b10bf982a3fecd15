//! `keyward policy schema`: JSON Schema of the files of a policy folder, for editors.

use crate::authz::SchemaKind;
use crate::cli::{Context, Failure, output};
use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde_json::json;
use std::fs;
use std::path::{Path, PathBuf};

#[derive(Args)]
pub(in crate::cli) struct Schema {
    /// Of which files
    #[arg(value_enum, value_name = "TYPE", required_unless_present = "dir", conflicts_with = "dir")]
    of: Option<Of>,
    /// Write all of them into this directory
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// A kind of file.
#[derive(Clone, Copy, ValueEnum)]
enum Of {
    /// documents/*.json
    Document,
    /// attachments.json
    Attachments,
    /// roles/*.json
    Role,
    /// tests/*.json
    Tests,
    /// waivers.json
    Waivers,
}

impl From<Of> for SchemaKind {
    fn from(of: Of) -> Self {
        match of {
            Of::Document => Self::Document,
            Of::Attachments => Self::Attachments,
            Of::Role => Self::Role,
            Of::Tests => Self::Tests,
            Of::Waivers => Self::Waivers,
        }
    }
}

impl Schema {
    pub(super) fn run(&self, context: &Context) -> Result<(), Failure> {
        if let Some(dir) = &self.dir {
            return Ok(write_all(context, dir)?);
        }
        if let Some(of) = self.of {
            let schema = SchemaKind::from(of).schema();
            let text =
                if context.output.is_json() { schema.to_string() } else { serde_json::to_string_pretty(&schema)? };
            output::line(&text);
        }
        Ok(())
    }
}

fn write_all(context: &Context, dir: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("cannot make `{}`", dir.display()))?;
    for kind in SchemaKind::ALL {
        let path = dir.join(format!("{}.schema.json", kind.name()));
        let text = serde_json::to_string_pretty(&kind.schema())?;
        fs::write(&path, format!("{text}\n")).with_context(|| format!("cannot write `{}`", path.display()))?;
        let row = json!({"schema": path, "files": kind.files()});
        context.output.done(&row, &format!("{}  for {}", path.display(), kind.files()));
    }
    Ok(())
}
