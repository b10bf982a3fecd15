//! What of a request a policy set can look at: two requests that are alike in that are decided alike.

use std::collections::BTreeSet;

use super::set::PolicySet;
use crate::actions::{ACTIONS, Action, ConditionKey, Level};

impl PolicySet {
    /// The condition keys that any statement which names `action` reads; of an action on roles every key, since trust policies have
    /// conditions too. Variables (`${uin}`) are not among them.
    #[must_use]
    pub fn keys_read(&self, action: &Action) -> BTreeSet<ConditionKey> {
        if action.level == Level::Role {
            return ConditionKey::ALL.into_iter().collect();
        }
        let Some(place) = ACTIONS.iter().position(|row| row.operation == action.operation) else {
            return BTreeSet::new();
        };
        let documents = (0..).map_while(|number| self.document(number));
        let statements = documents.flat_map(|document| &document.statements);
        let naming = statements.filter(|statement| statement.actions.names(place));
        naming.flat_map(|statement| &statement.clauses).map(|clause| clause.key).collect()
    }
}
