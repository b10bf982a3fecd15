//! A record at a glance: what a replay compares of it, read without taking the rest apart or copying its texts. What it says the same as
//! the whole record (`Record::read`) does, which is read only where an input is new.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use keyward_audit::record::Decision;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::Answer;
use super::input::Input;
use crate::actions::{self, Action, ConditionKey};

/// A text of a record, borrowed unless something in it is escaped.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Text<'_> {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What of a record a replay compares.
#[derive(Deserialize)]
pub(super) struct Glance<'a> {
    #[serde(borrow)]
    pub(super) action: Text<'a>,
    #[serde(borrow, default)]
    assumed_by: Option<Text<'a>>,
    #[serde(borrow, default)]
    context: Option<GlanceContext<'a>>,
    #[serde(default)]
    credential: Option<Form>,
    #[serde(default)]
    decision: Option<Decision>,
    #[serde(borrow, default)]
    parameters: GlanceParameters<'a>,
    #[serde(borrow, default)]
    pub(super) policy: Option<GlancePolicy<'a>>,
    #[serde(borrow, default)]
    pub(super) principal: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) resource: Option<Text<'a>>,
    #[serde(borrow, default)]
    session_policy: Option<Text<'a>>,
    /// Microseconds since 1970.
    pub(super) time: u64,
}

#[derive(Deserialize)]
struct GlanceContext<'a> {
    #[serde(borrow)]
    conditions: Conditions<'a>,
    #[serde(borrow, default)]
    groups: Vec<Text<'a>>,
    #[serde(borrow, default)]
    roles: Vec<Text<'a>>,
}

/// Condition keys with their values, in the order of the record, which is that of the names' bytes.
struct Conditions<'a>(Vec<(Text<'a>, Vec<Text<'a>>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Conditions<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Conditions<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("condition keys with lists of values")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::with_capacity(ConditionKey::ALL.len());
                while let Some(entry) = map.next_entry()? {
                    all.push(entry);
                }
                Ok(Conditions(all))
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}

/// Which form of credential it was, by what is said of it.
#[derive(Deserialize)]
struct Form {
    #[serde(default)]
    access_key: Option<IgnoredAny>,
    #[serde(default)]
    expires: Option<IgnoredAny>,
}

impl Form {
    fn name(&self) -> &'static str {
        match (&self.access_key, &self.expires) {
            (Some(_), Some(_)) => "session",
            (Some(_), None) => "key",
            (None, _) => "token",
        }
    }
}

#[derive(Deserialize, Default)]
struct GlanceParameters<'a> {
    #[serde(borrow, default)]
    kms: Option<GlanceKeyUse<'a>>,
}

/// The use of a key, as far as it is compared.
#[derive(Deserialize)]
pub(super) struct GlanceKeyUse<'a> {
    #[serde(borrow)]
    pub(super) key: Text<'a>,
    #[serde(borrow)]
    uin: Text<'a>,
    #[serde(default)]
    reason: Option<IgnoredAny>,
}

impl GlanceKeyUse<'_> {
    pub(super) fn was_allowed(&self) -> bool {
        self.reason.is_none()
    }
}

#[derive(Deserialize)]
pub(super) struct GlancePolicy<'a> {
    #[serde(borrow)]
    pub(super) revision: Text<'a>,
}

impl Glance<'_> {
    /// What policy answered; none if it was not asked, or could not answer.
    pub(super) fn answer(&self) -> Option<Answer> {
        self.policy.as_ref()?;
        match self.decision? {
            Decision::Allow => Some(Answer::Allow),
            Decision::Deny => Some(Answer::Deny),
            Decision::Error => None,
        }
    }

    pub(super) fn action(&self) -> Option<&'static Action> {
        actions::by_name(self.action.as_str().split_once(':')?.1)
    }

    /// The use of a key that it holds, if it holds one.
    pub(super) fn key_use(&self) -> Option<&GlanceKeyUse<'_>> {
        self.parameters.kms.as_ref()
    }

    /// All that a decision can rest on: of conditions only what is read, and the caller's number, which variables are.
    pub(super) fn input(&self, reads: &BTreeSet<ConditionKey>) -> Input {
        let form = self.credential.as_ref().map_or("token", Form::name);
        let texts = [&self.principal, &self.assumed_by, &self.resource, &self.session_policy];
        let mut input = Input::default();
        let texts = texts.map(|text| text.as_ref().map_or("", Text::as_str));
        input.list([form, self.action.as_str()].into_iter().chain(texts));
        if let Some(context) = &self.context {
            input.list(context.groups.iter().map(Text::as_str));
            input.list(context.roles.iter().map(Text::as_str));
            // A session policy reads what it likes.
            let all = self.session_policy.is_some();
            let is_read = |key: ConditionKey| all || key == ConditionKey::Uin || reads.contains(&key);
            for (name, values) in &context.conditions.0 {
                if ConditionKey::parse(name.as_str()).is_none_or(is_read) {
                    input.list([name.as_str()].into_iter().chain(values.iter().map(Text::as_str)));
                }
            }
        }
        input
    }

    /// The same of the use of its key by `usage`, for a set that reads the time or does not.
    pub(super) fn key_input(&self, used: &GlanceKeyUse<'_>, usage: &Action, reads_time: bool) -> Input {
        let name = ConditionKey::CurrentTime.name();
        let conditions = self.context.iter().flat_map(|context| &context.conditions.0);
        let now =
            conditions.filter(|(key, _)| reads_time && key.as_str() == name).flat_map(|(_, values)| values).next();
        let mut input = Input::default();
        let texts = [usage.name, used.key.as_str(), used.uin.as_str(), now.map_or("", Text::as_str)];
        input.list(texts.into_iter());
        input
    }
}

#[cfg(test)]
mod tests {
    use super::super::against::{action_of, answer_of};
    use super::*;
    use crate::access::key_use::Used;
    use keyward_audit::record::{Credential, Record, Value};
    use std::path::Path;

    fn samples() -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("audit/testdata/samples");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let all: Vec<Vec<u8>> = files
            .filter(|path| path.extension().is_some_and(|end| end == "json"))
            .map(|path| std::fs::read(path).unwrap().trim_ascii_end().to_vec())
            .collect();
        assert!(all.len() >= 15);
        all
    }

    #[test]
    fn i04_a_glance_says_what_the_whole_record_says() {
        let mut answered = 0;
        for bytes in samples() {
            let (record, glance) =
                (Record::read(&bytes).unwrap(), serde_json::from_slice::<Glance<'_>>(&bytes).unwrap());
            let draft = record.draft();
            let text = |text: &Option<Text<'_>>| text.as_ref().map(|text| text.as_str().to_owned());
            assert_eq!(
                (text(&glance.principal), text(&glance.resource)),
                (draft.principal.clone(), draft.resource.clone())
            );
            assert_eq!(text(&glance.session_policy), draft.session_policy);
            assert_eq!(text(&glance.assumed_by), draft.assumed_by);
            assert_eq!((glance.time, glance.action.as_str()), (record.time_us(), draft.action.as_str()));
            assert_eq!((glance.answer(), glance.action()), (answer_of(&record), action_of(&record)));
            let form = glance.credential.as_ref().map(Form::name);
            assert_eq!(
                form,
                draft.credential.as_ref().map(|credential| match credential {
                    Credential::Token { .. } => "token",
                    Credential::AccessKey { .. } => "key",
                    Credential::Session { .. } => "session",
                })
            );
            let context = draft.context.iter().flat_map(|context| &context.conditions);
            let conditions = glance.context.iter().flat_map(|context| &context.conditions.0);
            assert!(
                conditions
                    .map(|(key, values)| (key.as_str(), values.iter().map(Text::as_str).collect::<Vec<_>>()))
                    .eq(context.map(|(key, values)| (key.as_str(), values.iter().map(String::as_str).collect())))
            );
            let used = Used::of(draft).ok().flatten();
            assert_eq!(glance.key_use().map(|used| used.key.as_str()), used.as_ref().map(|used| used.key));
            let kms = draft.parameters.get("kms").and_then(Value::as_object);
            let was_allowed = kms.map(|said| !said.contains_key("reason"));
            assert_eq!(glance.key_use().map(GlanceKeyUse::was_allowed), was_allowed);
            answered += usize::from(glance.answer().is_some());
        }
        assert!(answered > 5);
    }

    #[test]
    fn i04_inputs_are_the_same_only_where_all_that_is_read_is() {
        let record = |more: &str, conditions: &str| {
            format!(
                r#"{{"action":"ssm:GetSecretValue","context":{{"conditions":{{{conditions}}},"groups":["a\u0007b"]}},"credential":{{"expires":2,"issued":1,"jti":"x"}},"decision":"allow"{more},"time":1}}"#
            )
        };
        let digest = |text: &str, reads: &BTreeSet<ConditionKey>| {
            serde_json::from_str::<Glance<'_>>(text).unwrap().input(reads).digest()
        };
        let plain = record("", r#""qcs:ip":["1.2.3.4"],"qcs:uin":["7"]"#);
        let (none, ip) = (BTreeSet::new(), BTreeSet::from([ConditionKey::Ip]));
        for (other, alike, alike_with_ip) in [
            (record("", r#""qcs:ip":["1.2.3.4"],"qcs:uin":["7"]"#), true, true),
            (record("", r#""qcs:ip":["1.2.3.5"],"qcs:uin":["7"]"#), true, false),
            (record("", r#""qcs:uin":["7"]"#), true, false),
            (record("", r#""qcs:ip":["1.2.3.4"],"qcs:uin":["8"]"#), false, false),
            (record("", r#""qcs:ip":["1.2.3.4"],"qcs:uin":["7"],"qcs:x":["1"]"#), false, false),
            (record(r#","principal":"user/a/b""#, r#""qcs:ip":["1.2.3.4"],"qcs:uin":["7"]"#), false, false),
            (record(r#","session_policy":"sha256:0""#, r#""qcs:ip":["1.2.3.5"],"qcs:uin":["7"]"#), false, false),
            (plain.replace(r"a\u0007b", "ab"), false, false),
        ] {
            assert_eq!(digest(&plain, &none) == digest(&other, &none), alike, "{other}");
            assert_eq!(digest(&plain, &ip) == digest(&other, &ip), alike_with_ip, "{other}");
        }
    }
}
