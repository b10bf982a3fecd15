//! What the tests of this module share: the published policy set and small builders.

use super::facts::Facts;
use super::{
    Caller, Context, CredentialForm, Decision, Finding, IssuerRule, PolicyFile, PolicySet, Question, SessionPolicy,
    Settings, Target, Verdict,
};
use crate::actions::{Action, ConditionKey, by_name};
use crate::principal::Principal;
use crate::resource::{CreatorNumber, Place, SecretName};

/// A file of the policy folder.
pub(super) fn file(path: &str, text: &str) -> PolicyFile {
    PolicyFile { path: path.to_owned(), bytes: text.as_bytes().to_vec() }
}

/// Account 1, region ap-guangzhou; issuer `corp` requires groups, `dev` does not; `cos` is foreign.
pub(super) fn settings() -> Settings {
    let issuer = |name: &str, groups_required| IssuerRule { name: name.to_owned(), groups_required };
    Settings {
        place: Place { region: "ap-guangzhou".to_owned(), account: "1".to_owned() },
        issuers: vec![issuer("dev", false), issuer("corp", true)],
        foreign_services: vec!["cos".to_owned()],
        document_characters_max: 6_144,
        catalogue: crate::actions::CATALOGUE,
    }
}

/// The settings of the published policy revision.
pub(super) fn golden_settings() -> Settings {
    Settings {
        place: Place { region: "local".to_owned(), account: "100000000001".to_owned() },
        foreign_services: Vec::new(),
        catalogue: 1,
        ..settings()
    }
}

/// The files of the published policy revision.
pub(super) fn golden_files() -> Vec<PolicyFile> {
    [
        (
            "attachments.json",
            r#"{"version":1,"groups":{"payments":["user/dev/svc-billing","group/corp/payments-team"]},"attachments":[{"policy":"payments-read","to":["group/local/payments","role/local/reader"]},{"policy":"payments-write","to":["group/corp/payments-ops"]}],"boundaries":[{"policy":"no-prod","to":["group/corp/contractors"]}]}"#,
        ),
        (
            "documents/no-prod.json",
            r#"{"version":"2.0","statement":[{"effect":"allow","action":"*","resource":"*"},{"effect":"deny","action":"ssm:*","resource":"*","condition":{"for_any_value:string_equal":{"qcs:resource_tag":"env&prod"}}}]}"#,
        ),
        (
            "documents/payments-read.json",
            r#"{"version":"2.0","statement":[{"effect":"allow","action":"ssm:DescribeSecret","resource":"qcs::ssm:::secret/creatorUin/*/prod/pay/*"},{"effect":"allow","action":"ssm:GetSecretValue","resource":"qcs::ssm:::secret/creatorUin/*/prod/pay/*","condition":{"ip_equal":{"qcs:ip":"10.0.0.0/8"}}}]}"#,
        ),
        (
            "documents/payments-write.json",
            r#"{"version":"2.0","statement":[{"effect":"allow","action":["ssm:CreateSecret","ssm:PutSecretValue"],"resource":"qcs::ssm:::secret/creatorUin/*/prod/pay/*"}]}"#,
        ),
        (
            "roles/reader.json",
            r#"{"version":"2.0","statement":[{"effect":"allow","action":"name/sts:AssumeRole","principal":{"qcs":["user/dev/svc-deploy"]}}]}"#,
        ),
    ]
    .into_iter()
    .map(|(path, text)| file(path, text))
    .collect()
}

/// A set of one document `p`, attached to everyone, with these statements.
pub(super) fn one_document(statements: &str) -> PolicySet {
    loaded(&[("documents/p.json", &document(statements)), ("attachments.json", &attached(&[("p", "everyone")], &[]))])
}

/// A document with these statements.
pub(super) fn document(statements: &str) -> String {
    format!(r#"{{"version":"2.0","statement":[{statements}]}}"#)
}

/// A statement on every resource.
pub(super) fn statement(effect: &str, action: &str) -> String {
    format!(r#"{{"effect":"{effect}","action":"{action}","resource":"*"}}"#)
}

/// An `attachments.json` without groups: policy and subject of each attachment and boundary.
pub(super) fn attached(attachments: &[(&str, &str)], boundaries: &[(&str, &str)]) -> String {
    let list = |all: &[(&str, &str)]| {
        let one = |(policy, to): &(&str, &str)| format!(r#"{{"policy":"{policy}","to":["{to}"]}}"#);
        all.iter().map(one).collect::<Vec<_>>().join(",")
    };
    format!(r#"{{"version":1,"attachments":[{}],"boundaries":[{}]}}"#, list(attachments), list(boundaries))
}

/// An `attachments.json` with groups.
pub(super) fn grouped(groups: &str, attachments: &[(&str, &str)], boundaries: &[(&str, &str)]) -> String {
    attached(attachments, boundaries).replacen("\"version\":1", &format!("\"version\":1,\"groups\":{{{groups}}}"), 1)
}

/// Loads a set that must be right.
pub(super) fn loaded(files: &[(&str, &str)]) -> PolicySet {
    load(files).unwrap_or_else(|findings| panic!("{}", lines(&findings)))
}

/// Loads a set.
pub(super) fn load(files: &[(&str, &str)]) -> Result<PolicySet, Vec<Finding>> {
    let files: Vec<PolicyFile> = files.iter().map(|(path, text)| file(path, text)).collect();
    PolicySet::load(&files, &settings())
}

fn lines(findings: &[Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// A question with everything that it borrows.
#[derive(Clone)]
pub(super) struct Ask {
    principal: Principal,
    groups: Vec<Principal>,
    roles: Vec<Principal>,
    restricted: Vec<Principal>,
    creator: u64,
    form: CredentialForm<'static>,
    action: &'static Action,
    target: AskTarget,
    pub(super) context: Context,
}

#[derive(Clone)]
enum AskTarget {
    Operation,
    Secret(Option<u64>, SecretName),
    Key(String),
}

fn principals(names: &[&str]) -> Vec<Principal> {
    names.iter().map(|name| Principal::parse(name).unwrap()).collect()
}

/// `principal`, creator number 7, asks for the value of its own secret `prod/db`.
pub(super) fn ask(principal: &str) -> Ask {
    let values = [
        (ConditionKey::CurrentTime, "2026-06-01T00:00:00Z"),
        (ConditionKey::Ip, "10.1.2.3"),
        (ConditionKey::Uin, "7"),
        (ConditionKey::OwnerUin, "1"),
        (ConditionKey::Door, "native"),
        (ConditionKey::SecureTransport, "true"),
        (ConditionKey::CreateUin, "7"),
    ];
    let values = values.into_iter().map(|(key, value)| (key, vec![value.to_owned()])).collect();
    Ask {
        principal: Principal::parse(principal).unwrap(),
        groups: Vec::new(),
        roles: Vec::new(),
        restricted: Vec::new(),
        creator: 7,
        form: CredentialForm::Token,
        action: by_name("GetSecretValue").unwrap(),
        target: AskTarget::Secret(Some(7), SecretName::parse("prod/db").unwrap()),
        context: Context { values },
    }
}

impl Ask {
    pub(super) fn groups(mut self, names: &[&str]) -> Self {
        self.groups = principals(names);
        self
    }

    pub(super) fn roles(mut self, names: &[&str]) -> Self {
        self.roles = principals(names);
        self
    }

    pub(super) fn restricted(mut self, names: &[&str]) -> Self {
        self.restricted = principals(names);
        self
    }

    pub(super) fn access_key(mut self) -> Self {
        self.form = CredentialForm::AccessKey;
        self
    }

    pub(super) fn session(mut self, assumed_issuer: Option<&'static str>) -> Self {
        self.form = CredentialForm::Session { assumed_issuer };
        self
    }

    pub(super) fn creator(mut self, number: u64) -> Self {
        self.creator = number;
        self.with(ConditionKey::Uin, &[&number.to_string()])
    }

    pub(super) fn action(mut self, name: &str) -> Self {
        self.action = by_name(name).unwrap();
        self
    }

    pub(super) fn operation(mut self, name: &str) -> Self {
        self.target = AskTarget::Operation;
        self.action(name)
    }

    pub(super) fn secret(mut self, creator: u64, name: &str) -> Self {
        self.target = AskTarget::Secret(Some(creator), SecretName::parse(name).unwrap());
        self.with(ConditionKey::CreateUin, &[&creator.to_string()])
    }

    /// A secret that does not exist.
    pub(super) fn missing(mut self, name: &str) -> Self {
        self.target = AskTarget::Secret(None, SecretName::parse(name).unwrap());
        self.with(ConditionKey::CreateUin, &[])
    }

    pub(super) fn key(mut self, id: &str) -> Self {
        self.target = AskTarget::Key(id.to_owned());
        self.action("Decrypt")
    }

    /// Sets a condition key; no values make it absent.
    pub(super) fn with(mut self, key: ConditionKey, values: &[&str]) -> Self {
        self.context.values.remove(&key);
        if !values.is_empty() {
            self.context.values.insert(key, values.iter().map(|value| (*value).to_owned()).collect());
        }
        self
    }

    /// Hands the question to `use_it`.
    pub(super) fn question<T>(&self, session: Option<&SessionPolicy>, use_it: impl FnOnce(&Question<'_>) -> T) -> T {
        let target = match &self.target {
            AskTarget::Operation => Target::Operation,
            AskTarget::Secret(creator, name) => Target::Secret { creator: creator.and_then(CreatorNumber::new), name },
            AskTarget::Key(id) => Target::Key { id },
        };
        use_it(&Question {
            caller: Caller {
                principal: &self.principal,
                groups: &self.groups,
                roles: &self.roles,
                restricted: &self.restricted,
                creator: CreatorNumber::new(self.creator).unwrap(),
                form: self.form,
            },
            action: self.action,
            target,
            context: &self.context,
            session_policy: session,
        })
    }

    pub(super) fn decide(&self, set: &PolicySet) -> Decision {
        self.question(None, |question| set.decide(question))
    }

    pub(super) fn decide_with(&self, set: &PolicySet, session: &SessionPolicy) -> Decision {
        self.question(Some(session), |question| set.decide(question))
    }

    pub(super) fn is_allowed(&self, set: &PolicySet) -> bool {
        let outcome = self.decide(set).outcome;
        assert!(!matches!(outcome, Verdict::Error(_)), "{outcome:?}");
        outcome == Verdict::Allow
    }

    pub(super) fn facts(&self) -> Facts {
        self.question(None, Facts::of).unwrap()
    }
}
