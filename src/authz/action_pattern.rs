//! Actions of a statement: `service:Operation` patterns, resolved against the catalogue when the set is loaded.
//!
//! A pattern that matches no action is refused with the nearest right spelling, so that neither an allow nor a deny
//! is switched off by a typo (C9).

use super::finding::{Code, Findings};
use super::json::{Node, Position};
use super::pattern::Pattern;
use crate::actions::{ACTIONS, Action, Service};

/// The actions of a statement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ActionSet {
    /// One flag for each row of the catalogue.
    named: Vec<bool>,
    /// Foreign services that it names.
    pub(super) foreign: Vec<String>,
}

impl ActionSet {
    /// Whether it names the action at this place of the catalogue.
    pub(super) fn names(&self, place: usize) -> bool {
        self.named.get(place).copied().unwrap_or_default()
    }

    /// The rows of the catalogue that it names.
    pub(super) fn rows(&self) -> impl Iterator<Item = (usize, &'static Action)> {
        ACTIONS.iter().enumerate().filter(|(place, _)| self.names(*place))
    }

    /// Whether it names nothing that keyward has: the statement is for foreign services and without effect.
    pub(super) fn is_foreign(&self) -> bool {
        !self.foreign.is_empty() && !self.named.contains(&true)
    }

    /// Reads the element `action`.
    pub(super) fn parse(
        node: Option<&Node>,
        at: Position,
        is_foreign: &dyn Fn(&str) -> bool,
        findings: &mut Findings,
    ) -> Self {
        let mut set = Self { named: vec![false; ACTIONS.len()], foreign: Vec::new() };
        let patterns = node.map(Node::one_or_many).unwrap_or_default();
        if patterns.is_empty() {
            let at = node.map_or(at, |node| node.at);
            findings.add(
                at,
                Code::ActionMiss,
                "action",
                "a statement names at least one action, such as `ssm:GetSecretValue`",
            );
        }
        for pattern in patterns {
            match pattern.as_str() {
                Some(text) => {
                    if let Err((code, message)) = set.add(text, is_foreign) {
                        findings.add(pattern.at, code, text, message);
                    }
                }
                None => findings.add(pattern.at, Code::ActionError, &pattern.text(), "an action is a string"),
            }
        }
        set
    }

    fn add(&mut self, text: &str, is_foreign: &dyn Fn(&str) -> bool) -> Result<(), (Code, String)> {
        let bare = text.strip_prefix("name/").unwrap_or(text);
        let (service, operation) = divide(bare)?;
        if is_foreign(service) {
            if !self.foreign.iter().any(|name| name == service) {
                self.foreign.push(service.to_owned());
            }
            return Ok(());
        }
        if service != "*" && !Service::ALL.iter().any(|known| known.name() == service) {
            let known = Service::ALL.map(Service::name).join("`, `");
            let message = format!("the services are `{known}`; others are listed in the configuration as foreign");
            return Err((Code::ActionServiceNotExist, message));
        }
        let pattern = Pattern::parse(operation, "", false).map_err(|error| (Code::ActionError, error.to_string()))?;
        let mut found = false;
        for (flag, action) in self.named.iter_mut().zip(ACTIONS) {
            let fits = (service == "*" || action.service.name() == service) && pattern.matches(action.name, "");
            *flag |= fits;
            found |= fits;
        }
        if found { Ok(()) } else { Err((Code::ActionNotExist, nearest(bare))) }
    }
}

/// Divides `service:Operation`, or `*`, and checks the form of both parts.
fn divide(text: &str) -> Result<(&str, &str), (Code, String)> {
    let bad = |message: &str| Err((Code::ActionError, message.to_owned()));
    if text == "*" {
        return Ok(("*", "*"));
    }
    if text.starts_with("permid/") {
        return bad("feature sets (`permid/`) do not exist here; name the actions");
    }
    if text.contains('?') {
        return bad("`?` is a character of no action; use `*`");
    }
    let Some((service, operation)) = text.split_once(':') else {
        return bad("an action is `service:Operation`, such as `ssm:GetSecretValue`, or `*`");
    };
    let service_fits = service == "*"
        || !service.is_empty() && service.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !service_fits {
        return bad("the service is a name in lower case or `*` alone");
    }
    if operation.is_empty() || !operation.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'*') {
        return bad("the operation is letters, digits and `*`");
    }
    Ok((service, operation))
}

/// What to write instead of a text that names no action.
pub(super) fn nearest(text: &str) -> String {
    let best = ACTIONS.iter().map(Action::full_name).min_by_key(|name| distance(text, name));
    format!("matches no action; the nearest is `{}`", best.unwrap_or_default())
}

/// Levenshtein distance, letter case counting half.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).map(|cost| cost * 2).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i * 2;
        let mut left = (i + 1) * 2;
        let mut next = vec![left];
        for (y, up) in b.bytes().zip(row.iter().skip(1)) {
            let swap = if x == y { 0 } else { 1 + usize::from(!x.eq_ignore_ascii_case(&y)) };
            left = (diagonal + swap).min(left + 2).min(up + 2);
            diagonal = *up;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::json;
    use super::*;

    fn parse(text: &str) -> Result<ActionSet, Vec<(Code, String)>> {
        let node = json::read(text.as_bytes()).unwrap();
        let mut findings = Findings::of("x");
        let set = ActionSet::parse(Some(&node), node.at, &|service| service == "cos", &mut findings);
        if findings.is_empty() {
            return Ok(set);
        }
        Err(findings.into_list().into_iter().map(|f| (f.code, f.message)).collect())
    }

    fn names(text: &str) -> Vec<&'static str> {
        parse(text).unwrap().rows().map(|(_, action)| action.name).collect()
    }

    fn code(text: &str) -> Code {
        parse(text).unwrap_err()[0].0
    }

    #[test]
    fn c08_c43_prefix_and_star_mean_what_they_say() {
        assert_eq!(names("\"*\"").len(), ACTIONS.len());
        for all in ["\"*:*\"", "\"name/*\"", "[\"*\"]", "[\"*\",\"ssm:GetSecretValue\"]"] {
            assert_eq!(names(all).len(), ACTIONS.len(), "{all}");
        }
        assert_eq!(names("\"name/ssm:GetSecretValue\""), ["GetSecretValue"]);
        assert_eq!(names("\"ssm:Get*Value\""), ["GetSecretValue", "GetSSHKeyPairValue"]);
        assert_eq!(names("\"*:GetSecretValue\""), ["GetSecretValue"]);
        assert!(names("\"kms:*\"").iter().all(|name| !names("\"ssm:*\"").contains(name)));
    }

    #[test]
    fn c01_c09_c12_what_names_no_action_is_refused() {
        for text in [
            "\"ssm:Get?ecretValue\"",
            "\"permid/1\"",
            "\"name/permid/1\"",
            "\"ssm\"",
            "\"\"",
            "\"ssm:\"",
            "\":Get\"",
            "\"SSM:GetSecretValue\"",
            "\"s*:Get\"",
            "\" ssm:GetSecretValue\"",
            "\"ssm:Get SecretValue\"",
            "\"name/name/ssm:GetSecretValue\"",
            "\"Name/*\"",
            "\"ssm:Get:Secret\"",
            "7",
        ] {
            assert_eq!(code(text), Code::ActionError, "{text}");
        }
        assert_eq!(code("[]"), Code::ActionMiss);
        assert_eq!(code("\"cvm:RunInstances\""), Code::ActionServiceNotExist);
        assert_eq!(code("\"ssm:getSecretValue\""), Code::ActionNotExist);
        assert_eq!(code("\"ssm:Getx*\""), Code::ActionNotExist);
        assert_eq!(code("\"kms:GetSecretValue\""), Code::ActionNotExist);
    }

    #[test]
    fn a_typo_is_answered_with_the_nearest_right_spelling() {
        for (typo, right) in [
            ("ssm:GetSecretValu", "ssm:GetSecretValue"),
            ("ssm:getsecretvalue", "ssm:GetSecretValue"),
            ("cam:RevokeTokens", "cam:RevokeToken"),
        ] {
            let message = &parse(&format!("\"{typo}\"")).unwrap_err()[0].1;
            assert!(message.contains(right), "{message}");
        }
    }

    #[test]
    fn a_foreign_service_is_accepted_and_names_nothing() {
        assert!(parse("\"cos:Get*\"").unwrap().is_foreign());
        let mixed = parse("[\"cos:GetObject\",\"ssm:GetSecretValue\"]").unwrap();
        assert!(!mixed.is_foreign());
        assert_eq!(mixed.rows().count(), 1);
        assert_eq!(code("\"cos:Get?\""), Code::ActionError);
    }
}
