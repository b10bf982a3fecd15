//! Who a grant or limit reaches, by the letter of sections 4.1 and 7: sets grown until nothing is added.

use serde_json::Value;
use std::collections::BTreeSet;

/// The names by which attachments can mean a caller.
pub(super) struct Names {
    /// What counts in full: allows, denies, boundaries.
    pub(super) full: BTreeSet<String>,
    /// What counts for denies and boundaries, `full` included.
    pub(super) all: BTreeSet<String>,
}

/// Names from what counts in full and what restricts only, each closed over the policy folder's groups.
pub(super) fn names(full: BTreeSet<String>, restricting: BTreeSet<String>, groups: &Value) -> Names {
    let all = full.union(&restricting).cloned().collect();
    Names { full: closed(full, groups), all: closed(all, groups) }
}

/// Adds each local group that has a member in the set, until none is new.
fn closed(mut set: BTreeSet<String>, groups: &Value) -> BTreeSet<String> {
    let Some(groups) = groups.as_object() else { return set };
    loop {
        let before = set.len();
        for (group, members) in groups {
            if reached(members, &set) {
                set.insert(format!("group/local/{group}"));
            }
        }
        if set.len() == before {
            return set;
        }
    }
}

/// Whether a list of members or targets names anyone of the set.
pub(super) fn reached(list: &Value, set: &BTreeSet<String>) -> bool {
    let list = list.as_array().expect("a list of principals");
    list.iter().any(|member| set.contains(member.as_str().expect("a principal")))
}

/// The policies of a section of `attachments.json` that reach someone of the set.
pub(super) fn policies(section: &Value, set: &BTreeSet<String>) -> BTreeSet<String> {
    let Some(section) = section.as_array() else {
        return BTreeSet::new();
    };
    let reaching = section.iter().filter(|entry| reached(&entry["to"], set));
    reaching.map(|entry| entry["policy"].as_str().expect("a policy name").to_owned()).collect()
}
