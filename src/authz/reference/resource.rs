//! Resources by the letter of the language's sections 3 and 8.

use super::values::{Variables, name_fits, replaced};

/// What a request is about.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    /// Nothing in particular: operation level, of an action of this service.
    Operation { service: String },
    /// A secret; the creator is `None` when it does not exist.
    Secret { creator: Option<String>, name: String },
    /// A key-encryption key.
    Key { id: String },
}

/// Where the gateway is.
pub(super) struct Where {
    pub(super) region: String,
    pub(super) account: String,
}

/// Whether a resource pattern of an allow or a deny matches.
pub(super) fn resource_matches(pattern: &str, deny: bool, asked: &Asked, here: &Where, variables: &Variables) -> bool {
    if pattern == "*" {
        return true;
    }
    let segments: Vec<&str> = pattern.splitn(6, ':').collect();
    let [qcs, project, service, region, account, last] = segments[..] else { panic!("six segments: `{pattern}`") };
    assert!(qcs == "qcs" && (project.is_empty() || project == "id/0"), "a resource: `{pattern}`");
    let own = match asked {
        Asked::Operation { service } => service,
        Asked::Secret { .. } => "ssm",
        Asked::Key { .. } => "kms",
    };
    open_or(service, own)
        && open_or(region, &here.region)
        && open_or(account, &format!("uin/{}", here.account))
        && last_matches(last, deny, asked, variables)
}

/// Whether a segment is open (empty or `*`) or exactly this.
fn open_or(segment: &str, exactly: &str) -> bool {
    segment.is_empty() || segment == "*" || segment == exactly
}

fn last_matches(last: &str, deny: bool, asked: &Asked, variables: &Variables) -> bool {
    match asked {
        Asked::Operation { .. } => deny && last == "*",
        Asked::Key { id } => {
            last == "*" || last.strip_prefix("key/").is_some_and(|pattern| name_fits(pattern, id, variables))
        }
        Asked::Secret { creator, name } => secret_matches(last, deny, creator.as_deref(), name, variables),
    }
}

fn secret_matches(last: &str, deny: bool, creator: Option<&str>, name: &str, variables: &Variables) -> bool {
    if ["*", "secret/*", "secret/creatorUin/*"].contains(&last) {
        return true;
    }
    let Some(rest) = last.strip_prefix("secret/creatorUin/") else {
        return false;
    };
    let (wanted, pattern) = rest.split_once('/').expect("a creator and a name");
    let creator_fits = match creator {
        _ if wanted == "*" => true,
        Some(creator) => replaced(wanted, variables) == creator,
        None => deny,
    };
    creator_fits && name_fits(pattern, name, variables)
}
