//! Statements of trust policies that name whom none of their actions can meet (W8).

use super::warning::{Rule, Warnings};
use super::written::Written;
use crate::actions::Operation;

/// A web identity is shown to AssumeRoleWithWebIdentity alone, and an allow under `qcs` counts for AssumeRole alone.
pub(super) fn check(statement: &Written<'_>, warnings: &mut Warnings) {
    let names = |operation: Operation| statement.actions.rows().any(|(_, action)| action.operation == operation);
    let (plain, web) = (names(Operation::AssumeRole), names(Operation::AssumeRoleWithWebIdentity));
    for member in statement.principal_kinds {
        let message = match member.key.as_str() {
            "federated" if !web => {
                "no action of this statement is asked for with a web identity, so this matches nobody: name \
                 `sts:AssumeRoleWithWebIdentity`"
            }
            "qcs" if !plain && !statement.denies() => {
                "who shows a web identity is allowed by `federated` alone, so this matches nobody: name `sts:AssumeRole`"
            }
            _ => continue,
        };
        warnings.add(Rule::WithoutEffect, statement.spot_of(member.at, &member.key), message);
    }
}
