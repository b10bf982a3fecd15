//! The policy revision: one digest over everything that a decision depends on but the question.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::finding::Finding;
use super::{IssuerRule, PolicyFile, PolicySet, Settings};
use crate::actions::CATALOGUE;
use crate::resource::Place;

/// The frame `config`; the fields stand in the order of their names' bytes, which makes the JSON canonical.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    account: String,
    catalogue: u64,
    foreign_services: Vec<String>,
    issuers: Vec<String>,
    region: String,
}

/// The bytes of the frame `config`.
pub(super) fn config_frame(settings: &Settings) -> Vec<u8> {
    let mut foreign_services = settings.foreign_services.clone();
    foreign_services.sort();
    foreign_services.dedup();
    let mut issuers: Vec<String> = settings.issuers.iter().map(|issuer| issuer.name.clone()).collect();
    issuers.sort();
    let config = Config {
        account: settings.place.account.clone(),
        catalogue: settings.catalogue,
        foreign_services,
        issuers,
        region: settings.place.region.clone(),
    };
    // Strings and integers alone: writing them as JSON cannot fail.
    serde_json::to_vec(&config).unwrap_or_default()
}

impl Settings {
    /// The settings that a stored revision was decided under, from its frame `config`. Load checks that guard new sets
    /// only (sizes, groups that a token may leave out) are off: what was decided is not changed by them. Whoever serves such a
    /// revision to tokens of today asks for the second again ([`PolicySet::sheddable_under`]).
    ///
    /// The catalogue only grows: what an older one decided, this one decides the same.
    ///
    /// `None` if the bytes are no such frame, or are of a later version of the catalogue.
    #[must_use]
    pub fn of_revision(frame: &[u8]) -> Option<Self> {
        let config: Config =
            serde_json::from_slice(frame).ok().filter(|config: &Config| (1..=CATALOGUE).contains(&config.catalogue))?;
        Some(Self {
            place: Place { region: config.region, account: config.account },
            issuers: config.issuers.into_iter().map(|name| IssuerRule { name, groups_required: true }).collect(),
            foreign_services: config.foreign_services,
            document_characters_max: usize::MAX,
            catalogue: config.catalogue,
        })
    }
}

impl PolicySet {
    /// The first deny or boundary that a token of the issuers of `now` could shed by leaving its groups out (D12). All else of `now`
    /// counts for nothing: a set that was live once stays what it was. An issuer that is gone speaks for nobody.
    #[must_use]
    pub fn sheddable_under(&self, now: &Settings) -> Option<Finding> {
        let mut settings = Settings::of_revision(self.config_frame())?;
        for rule in &mut settings.issuers {
            rule.groups_required = now.issuers.iter().all(|issuer| issuer.name != rule.name || issuer.groups_required);
        }
        Self::load(self.files(), &settings).err()?.into_iter().next()
    }
}

/// `sha256:` and the hex digest over the frames, sorted by path bytes, each
/// `be64(length) || path || be64(length) || bytes`.
pub(super) fn revision(files: &[PolicyFile], config: &[u8]) -> String {
    let mut frames: Vec<(&str, &[u8])> = files.iter().map(|file| (file.path.as_str(), file.bytes.as_slice())).collect();
    frames.push(("config", config));
    frames.sort_by(|(a, _), (b, _)| a.as_bytes().cmp(b.as_bytes()));
    let mut hash = Sha256::new();
    for (path, bytes) in frames {
        for part in [path.as_bytes(), bytes] {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
    }
    format!("sha256:{}", hex::encode(hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{golden_files, golden_settings};
    use super::*;

    #[test]
    fn the_published_vector() {
        let config = config_frame(&golden_settings());
        assert_eq!(config, br#"{"account":"100000000001","catalogue":1,"foreign_services":[],"issuers":["corp","dev"],"region":"local"}"#);
        let expected = "sha256:f69fb5b4f95a9052c6a5bbae0524f025122d765928d83fb4f2982096e27fde1d";
        assert_eq!(revision(&golden_files(), &config), expected);
        let mut reversed = golden_files();
        reversed.reverse();
        assert_eq!(revision(&reversed, &config), expected, "the order in which files are found does not count");
    }

    #[test]
    fn the_published_candidate_and_predecessor() {
        let config = config_frame(&golden_settings());
        let edit = |from: &str, to: &str| -> Vec<PolicyFile> {
            let replaced = |file: PolicyFile| {
                let text = String::from_utf8(file.bytes).unwrap().replace(from, to);
                PolicyFile { path: file.path, bytes: text.into_bytes() }
            };
            golden_files().into_iter().map(replaced).collect()
        };
        let candidate = edit(",\"role/local/reader\"", "");
        assert_eq!(
            revision(&candidate, &config),
            "sha256:26781bfe156bbd7674f8351c717ba781146ebdbcbdda86681d63cbf9a67e030c"
        );
        let mut before = edit(",\"boundaries\":[{\"policy\":\"no-prod\",\"to\":[\"group/corp/contractors\"]}]", "");
        before.retain(|file| file.path != "documents/no-prod.json");
        assert_eq!(
            revision(&before, &config),
            "sha256:783e4dcd02f32debc01bd6d7d3019a1ddd5e760087ce60c32fd6878087795a81"
        );
    }

    #[test]
    fn framing_keeps_path_and_bytes_apart() {
        let file = |path: &str, bytes: &str| PolicyFile { path: path.to_owned(), bytes: bytes.as_bytes().to_vec() };
        let config = config_frame(&golden_settings());
        assert_ne!(revision(&[file("ab", "c")], &config), revision(&[file("a", "bc")], &config));
        assert_ne!(revision(&[file("a", "b"), file("c", "d")], &config), revision(&[file("a", "bcd")], &config));
    }

    #[test]
    fn attack_d12_a_stored_set_says_which_limit_tokens_of_other_issuers_could_shed() {
        use super::super::Code;
        use super::super::testing::{document, file, grouped, statement};
        let rule = |name: &str, groups_required| IssuerRule { name: name.to_owned(), groups_required };
        let settings = |issuers: &[IssuerRule]| Settings { issuers: issuers.to_vec(), ..golden_settings() };
        let files = [
            file("documents/deny.json", &document(&statement("deny", "kms:*"))),
            file("attachments.json", &grouped("", &[("deny", "group/corp/x"), ("deny", "user/dev/a")], &[])),
        ];
        let set = PolicySet::load(&files, &settings(&[rule("corp", true), rule("dev", false)])).unwrap();
        let under = |issuers: &[IssuerRule]| set.sheddable_under(&settings(issuers)).map(|finding| finding.code);
        assert_eq!(under(&[rule("corp", true), rule("dev", false)]), None);
        assert_eq!(under(&[rule("corp", false), rule("dev", false)]), Some(Code::PrincipalGroupOptional));
        // Issuers that came or went hide nothing.
        assert_eq!(under(&[rule("corp", false), rule("other", true)]), Some(Code::PrincipalGroupOptional));
        assert_eq!(under(&[rule("other", false)]), None);
    }

    #[test]
    fn settings_come_back_from_the_frame() {
        let frame = config_frame(&golden_settings());
        assert_eq!(config_frame(&Settings::of_revision(&frame).unwrap()), frame);
        let of = |catalogue: u64| {
            let frame = String::from_utf8(frame.clone()).unwrap().replace(":1,", &format!(":{catalogue},"));
            Settings::of_revision(frame.as_bytes()).map(|settings| settings.catalogue)
        };
        assert_eq!((of(1), of(CATALOGUE)), (Some(1), Some(CATALOGUE)));
        assert_eq!((of(0), of(CATALOGUE + 1)), (None, None));
        assert!(Settings::of_revision(b"{}").is_none());
    }
}
