//! A request as somebody writes it down, to ask policy about it without making it: explained on a policy set that need not be
//! live.

use super::compared::Existing;
use crate::actions::{self, Action, ConditionKey, Level};
use crate::authz::{Decision, Example, Explanation, Fault, Form, PolicySet, Remedy, Witness, WitnessTarget};
use crate::principal::{Kind, LOCAL, Principal};
use crate::resource::{CreatorNumber, Place, SecretName};
use keyward_audit::store::StoreError;

/// What a written request is completed from: an installation's files, or a gateway that runs.
pub trait Installed {
    /// Region and account.
    fn place(&self) -> &Place;

    /// The creator number of a principal, if it is known here.
    fn creator_number(&self, principal: &Principal) -> Option<u64>;

    /// What tokens of the issuer of that name say, if it is configured.
    fn token_claims(&self, issuer: &str) -> Option<TokenClaims>;

    /// The secret of that name, as far as policies read it, if there is one.
    ///
    /// # Errors
    /// [`StoreError`] if that cannot be known.
    fn secret(&self, name: &SecretName) -> Result<Option<Existing>, StoreError>;
}

/// What every token of an issuer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenClaims {
    /// Its `iss`.
    pub issuer: String,
    /// The audiences that are the gateway's; a token has one of them at least.
    pub audience: Vec<String>,
}

impl TokenClaims {
    /// The condition keys that say so, of a token with one audience.
    fn values(self) -> [(ConditionKey, Vec<String>); 2] {
        let audience = self.audience.into_iter().take(1).collect();
        [(ConditionKey::OidcIssuer, vec![self.issuer]), (ConditionKey::OidcAudience, audience)]
    }
}

/// What is written down; all as texts.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    /// Who asks.
    pub principal: &'a str,
    /// Groups and roles of the token; of a role's session those of whoever took it.
    pub claims: &'a [String],
    /// What for.
    pub action: &'a str,
    /// On what: a secret's name, or a resource's six segments. Nothing for what needs none.
    pub resource: Option<&'a str>,
    /// Circumstances: condition keys, each with one value more.
    pub context: &'a [(String, String)],
}

/// Why a written request cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum WrittenError {
    /// A part is not understood.
    #[error("{0}")]
    Wrong(String),
    /// Whether there is such a secret cannot be known.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn wrong<T>(message: impl Into<String>) -> Result<T, WrittenError> {
    Err(WrittenError::Wrong(message.into()))
}

/// The action of that name, with or without its service.
///
/// # Errors
/// [`WrittenError`] if there is none.
pub fn action(text: &str) -> Result<&'static Action, WrittenError> {
    let name = text.split_once(':').map_or(text, |(_, name)| name);
    let found = actions::by_name(name).filter(|action| text == name || action.full_name() == text);
    found.map_or_else(|| wrong(format!("`{text}` is no action of the catalogue")), Ok)
}

/// A principal.
///
/// # Errors
/// [`WrittenError`] if it is none.
pub fn principal(text: &str) -> Result<Principal, WrittenError> {
    Principal::parse(text).or_else(|error| wrong(format!("`{text}`: {error}")))
}

/// Reads a request; what is not written of a secret that there is comes from the store.
///
/// # Errors
/// [`WrittenError`] if a part is not understood, or whether a secret exists cannot be known.
pub fn request(written: &Written<'_>, around: &dyn Installed) -> Result<Witness, WrittenError> {
    let who = principal(written.principal)?;
    let claims = written.claims.iter().map(|text| principal(text)).collect::<Result<Vec<_>, _>>()?;
    let action = action(written.action)?;
    let given = |key: ConditionKey| written.context.iter().find(|(name, _)| name == key.name()).map(|(_, value)| value);
    let number = match given(ConditionKey::Uin) {
        Some(text) => text.parse().ok(),
        None => Some(around.creator_number(&who).unwrap_or_default()),
    };
    let Some(creator) = number.and_then(CreatorNumber::new) else { return wrong("`qcs:uin` is a number below 2^52") };
    let (target, tags) = target(written, action, creator, around)?;
    let mut request = Witness::ordinary(caller(who, claims), creator, action, target, &around.place().account);
    if !tags.is_empty() {
        request.context.values.insert(ConditionKey::ResourceTag, tags);
    }
    let claims = request.caller.principal.issuer().and_then(|issuer| around.token_claims(issuer));
    let claims = claims.into_iter().flat_map(TokenClaims::values);
    request.context.values.extend(claims.filter(|(key, _)| action.has_key(*key)));
    let mut replaced = std::collections::BTreeSet::new();
    for (name, value) in written.context {
        let Some(key) = ConditionKey::parse(name) else { return wrong(format!("`{name}` is no condition key")) };
        if !action.has_key(key) {
            return wrong(format!("a request for `{}` does not have `{name}`", action.full_name()));
        }
        if replaced.insert(key) {
            request.context.values.remove(&key);
        }
        // An empty value: the request lacks the key.
        if !value.is_empty() {
            request.context.values.entry(key).or_default().push(value.clone());
        }
    }
    Ok(request)
}

fn caller(principal: Principal, claims: Vec<Principal>) -> Example {
    let of = |kind: Kind| claims.iter().filter(|one| one.kind() == kind).cloned().collect::<Vec<_>>();
    let (groups, roles) = (of(Kind::Group), of(Kind::Role));
    if principal.kind() == Kind::Role && principal.issuer() == Some(LOCAL) {
        let service = claims.iter().any(|one| one.kind() == Kind::Service);
        let issuer = claims.iter().find_map(Principal::issuer).unwrap_or_default().to_owned();
        let form = Form::Session((!service).then_some(issuer));
        return Example { principal, groups: Vec::new(), roles: Vec::new(), restricted: claims, form };
    }
    Example { principal, groups, roles, restricted: Vec::new(), form: Form::Token }
}

type TargetAndTags = (WitnessTarget, Vec<String>);

fn target(
    written: &Written<'_>,
    action: &Action,
    own: CreatorNumber,
    around: &dyn Installed,
) -> Result<TargetAndTags, WrittenError> {
    let none = || Ok((WitnessTarget::Operation, Vec::new()));
    let text = match (action.level, written.resource) {
        (Level::Operation | Level::SecretOrOperation, None | Some("*")) => return none(),
        (Level::Operation, Some(_)) => return wrong(format!("`{}` is on no resource", action.full_name())),
        (_, None) => return wrong(format!("`{}` needs a resource", action.full_name())),
        (_, Some(text)) => text,
    };
    let place = around.place();
    match action.level {
        Level::Key => {
            let id = place.parse_key(text).or_else(|| text.strip_prefix("key/")).unwrap_or(text);
            Ok((WitnessTarget::Key(id.to_owned()), Vec::new()))
        }
        Level::Role => {
            let name = if text.starts_with("role/") { text.to_owned() } else { format!("role/{LOCAL}/{text}") };
            let role = place.parse_role(text).map_or_else(|| principal(&name), Ok)?;
            Ok((WitnessTarget::Role(role), Vec::new()))
        }
        Level::Creation => Ok((WitnessTarget::Secret(Some(own), secret(text, place)?.1), Vec::new())),
        _ => {
            let (creator, name) = secret(text, place)?;
            let found = around.secret(&name)?;
            let creator = creator.or_else(|| found.as_ref().map(|secret| secret.creator));
            // Tags are those of the secret that was meant.
            let found = found.filter(|secret| Some(secret.creator) == creator);
            let tags = found.map(|secret| secret.tags).unwrap_or_default();
            Ok((WitnessTarget::Secret(creator, name), tags))
        }
    }
}

/// A secret's name.
///
/// # Errors
/// [`WrittenError`] if it is none.
pub fn secret_name(text: &str) -> Result<SecretName, WrittenError> {
    SecretName::parse(text).or_else(|error| wrong(format!("`{text}`: {error}")))
}

/// The name of a secret that an action is asked about.
///
/// # Errors
/// [`WrittenError`] if it is none, or the action is never about a secret.
pub fn secret_of(action: &Action, text: &str) -> Result<SecretName, WrittenError> {
    if !action.level.may_name_secret() {
        return wrong(format!("`{}` is on no secret: leave the name out", action.full_name()));
    }
    secret_name(text)
}

/// Somebody of whom it can be asked what they may do.
///
/// # Errors
/// [`WrittenError`] if it is none: a group of the folder is no caller and no part of a credential.
pub fn somebody(text: &str) -> Result<Principal, WrittenError> {
    let found = principal(text)?;
    if found.kind() == Kind::Group && found.issuer() == Some(LOCAL) {
        return wrong(format!("`{text}` is a group of the policy folder: ask about one of its members"));
    }
    Ok(found)
}

/// A secret's name, or its six segments with or without a creator.
fn secret(text: &str, place: &Place) -> Result<(Option<CreatorNumber>, SecretName), WrittenError> {
    if let Some((creator, name)) = place.parse_secret(text) {
        return Ok((Some(creator), name));
    }
    let last = text.split_once("secret/creatorUin/").map(|(_, last)| last);
    let (creator, name) = last.and_then(|last| last.split_once('/')).unwrap_or(("*", text));
    let creator = match creator {
        "*" => None,
        number => match number.parse().ok().and_then(CreatorNumber::new) {
            Some(number) => Some(number),
            None => return wrong(format!("`{number}` is no creator number")),
        },
    };
    Ok((creator, secret_name(name)?))
}

/// What policy says of a request, and why.
#[derive(Debug)]
pub struct Told {
    /// The decision.
    pub decision: Decision,
    /// Every attached statement and how it came out.
    pub statements: Vec<Explanation>,
    /// What would have to be otherwise for it to be allowed; nothing if it is.
    pub remedies: Vec<Remedy>,
}

/// Asks policy about a request.
///
/// # Errors
/// [`Fault`] if it cannot be decided.
pub fn told(set: &PolicySet, request: &Witness) -> Result<Told, Fault> {
    let question = request.question();
    let statements = set.explain(&question)?;
    let remedies = set.remedies(&question, &statements)?;
    Ok(Told { decision: set.decide(&question), statements, remedies })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authz::{IssuerRule, PolicyFile, Settings, Verdict};

    /// An installation of one issuer and no secret.
    struct Bare(Place);

    impl Installed for Bare {
        fn place(&self) -> &Place {
            &self.0
        }

        fn creator_number(&self, _: &Principal) -> Option<u64> {
            None
        }

        fn token_claims(&self, issuer: &str) -> Option<TokenClaims> {
            let claims = TokenClaims { issuer: "https://idp.test".to_owned(), audience: vec!["gate".to_owned()] };
            (issuer == "corp").then_some(claims)
        }

        fn secret(&self, _: &SecretName) -> Result<Option<Existing>, StoreError> {
            Ok(None)
        }
    }

    const TRUST: &str = r#"{"version":"2.0","statement":[{"effect":"allow","action":"sts:AssumeRoleWithWebIdentity",
        "principal":{"federated":["oidc-provider/corp"]},
        "condition":{"string_equal":{"oidc:iss":"https://idp.test","oidc:aud":"gate","oidc:sub":"a"}}}]}"#;

    #[test]
    fn a_web_identity_is_asked_about_as_its_issuer_is_configured() {
        let settings = Settings {
            place: Place { region: "local".to_owned(), account: "1".to_owned() },
            issuers: vec![IssuerRule { name: "corp".to_owned(), groups_required: true }],
            foreign_services: Vec::new(),
            document_characters_max: 6_144,
            catalogue: actions::CATALOGUE,
        };
        let role = PolicyFile { path: "roles/r.json".to_owned(), bytes: TRUST.as_bytes().to_vec() };
        let set = PolicySet::load(&[role], &settings).unwrap();
        let around = Bare(settings.place);
        let decided = |principal: &str, context: &[(String, String)]| {
            let action = "sts:AssumeRoleWithWebIdentity";
            let written = Written { principal, claims: &[], action, resource: Some("r"), context };
            told(&set, &request(&written, &around).unwrap()).unwrap().decision.outcome
        };
        assert_eq!(decided("user/corp/a", &[]), Verdict::Allow);
        let given = |key: &str, value: &str| [(key.to_owned(), value.to_owned())];
        for context in [given("oidc:iss", "https://other.test"), given("oidc:aud", "other"), given("oidc:aud", "")] {
            assert_ne!(decided("user/corp/a", &context), Verdict::Allow, "{context:?}");
        }
        assert_ne!(decided("user/corp/b", &[]), Verdict::Allow);
    }

    #[test]
    fn a_secret_is_asked_about_only_for_actions_that_may_name_one() {
        for (name, is_on_secrets) in [
            ("GetSecretValue", true),
            ("CreateSecret", true),
            ("SearchRecords", true),
            ("ListSecrets", false),
            ("Decrypt", false),
            ("AssumeRole", false),
        ] {
            let found = secret_of(action(name).unwrap(), "prod/db");
            assert_eq!(found.is_ok(), is_on_secrets, "{name}");
            if let Err(error) = found {
                assert!(error.to_string().ends_with("is on no secret: leave the name out"), "{error}");
            }
        }
    }

    #[test]
    fn it_is_asked_what_a_caller_may_do_and_never_a_group_of_the_folder() {
        for (text, is_one) in [
            ("user/dev/a", true),
            ("group/dev/engineers", true),
            ("role/corp/x", true),
            ("role/local/deploy", true),
            ("service/ssm", true),
            ("group/local/team", false),
        ] {
            assert_eq!(somebody(text).is_ok(), is_one, "{text}");
        }
    }
}
