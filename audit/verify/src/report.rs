//! What a verification found.

use std::fmt;

/// Where a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At the record of this index.
    Index(u64),
    /// In the checkpoint note.
    Note,
    /// In the leaf lines.
    Leaves,
    /// Against the remembered checkpoint of this size.
    Since(u64),
    /// In the file's blocks.
    File,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Index(index) => write!(f, "index {index}"),
            Self::Note => f.write_str("note"),
            Self::Leaves => f.write_str("leaf lines"),
            Self::Since(size) => write!(f, "since {size}"),
            Self::File => f.write_str("file"),
        }
    }
}

/// One thing that is not as it has to be. Its text never quotes the file, but for plain field names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub place: Place,
    /// What, on one line.
    pub reason: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.reason)
    }
}

/// The verdict on a file: valid if there are no findings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Size and root (base64) of the signed checkpoint, if its note verifies.
    pub head: Option<(u64, String)>,
    /// What was found, in the order of the checks.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.findings.is_empty()
    }

    pub(crate) fn add(&mut self, place: Place, reason: impl Into<String>) {
        self.findings.push(Finding { place, reason: reason.into() });
    }

    /// The report as one JSON object.
    #[must_use]
    pub fn json(&self) -> String {
        // Reasons and roots hold neither quotes, backslashes nor control characters.
        let finding = |finding: &Finding| {
            let index =
                if let Place::Index(index) = finding.place { format!("\"index\":{index},") } else { String::new() };
            format!("{{{index}\"place\":\"{}\",\"reason\":\"{}\"}}", finding.place, finding.reason)
        };
        let findings: Vec<String> = self.findings.iter().map(finding).collect();
        let head = self.head.as_ref().map(|(size, root)| format!(",\"records\":{size},\"root\":\"{root}\""));
        let (findings, head) = (findings.join(","), head.unwrap_or_default());
        format!("{{\"findings\":[{findings}]{head},\"valid\":{}}}", self.is_valid())
    }
}
