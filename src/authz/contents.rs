//! What a policy set consists of, file by file, for those who look at it.

use super::set::PolicySet;

/// One file of a set.
#[derive(Debug, PartialEq, Eq)]
pub struct Contents<'a> {
    /// Its path in the folder.
    pub path: &'a str,
    /// Its bytes.
    pub bytes: &'a [u8],
    /// What a document says; nothing of other files.
    pub document: Option<Attachment>,
}

/// How a document stands in its set.
#[derive(Debug, PartialEq, Eq)]
pub struct Attachment {
    /// How many statements it has.
    pub statements: usize,
    /// To whom it is attached, sorted.
    pub attached: Vec<String>,
    /// Whom it bounds, sorted.
    pub bounds: Vec<String>,
}

impl PolicySet {
    /// The files of the set, sorted by path bytes, without the first `offset` and at most `limit`.
    #[must_use]
    pub fn contents(&self, offset: usize, limit: usize) -> Vec<Contents<'_>> {
        let files = self.files().iter().skip(offset).take(limit);
        let of = |path: &str| {
            let name = path.strip_prefix("documents/").and_then(|file| file.strip_suffix(".json"))?;
            let place = self.documents().binary_search_by(|document| (*document.name).cmp(name)).ok()?;
            let (document, place) = (self.documents().get(place)?, u32::try_from(place).ok()?);
            Some(Attachment {
                statements: document.statements.len(),
                attached: self.subjects().attached_to(place),
                bounds: self.subjects().bounded_by(place),
            })
        };
        files.map(|file| Contents { path: &file.path, bytes: &file.bytes, document: of(&file.path) }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{golden_files, golden_settings};
    use super::*;

    #[test]
    fn each_file_is_there_and_each_document_with_those_whom_it_concerns() {
        let set = PolicySet::load(&golden_files(), &golden_settings()).unwrap();
        let all = set.contents(0, usize::MAX);
        let paths: Vec<&str> = all.iter().map(|one| one.path).collect();
        assert_eq!(paths, set.files().iter().map(|file| file.path.as_str()).collect::<Vec<_>>());
        for one in &all {
            assert_eq!(one.document.is_some(), one.path.starts_with("documents/"), "{}", one.path);
        }
        let whom = |one: &Contents<'_>| one.document.as_ref().is_some_and(|document| !document.attached.is_empty());
        assert!(all.iter().any(whom), "{all:?}");
        assert_eq!(set.contents(1, 1), all.get(1..2).unwrap());
        assert_eq!(set.contents(all.len(), 1), []);
    }
}
