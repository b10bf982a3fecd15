//! Resources of a statement: `*`, or six segments parsed into their parts when the set is loaded.
//!
//! INVARIANT I6: a name pattern is held against the bytes of the secret name and nothing else; the creator is a
//! number of its own, so that `*` there never reaches into the name.

use super::Settings;
use super::decision::StatementEffect;
use super::facts::{Facts, Object};
use super::finding::Code;
use super::pattern::{Pattern, Token};
use super::variable::VariableError;
use crate::actions::{Action, Level, Service};
use crate::resource::{CREATOR_LIMIT, SECRET_NAME_BYTES_MAX, is_secret_name_byte};

/// A parsed resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum ResourcePattern {
    /// `*` alone: everything, operation level included.
    All,
    /// Six segments; no service means every service.
    Segments { service: Option<Service>, last: Last },
    /// Of a foreign service, by name: it never matches.
    Foreign(String),
}

/// The last segment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Last {
    /// `*`.
    Star,
    /// `secret/*` or `secret/creatorUin/*`.
    EverySecret,
    /// `secret/creatorUin/<creator>/<name pattern>`.
    Secret { creator: CreatorPattern, name: Pattern },
    /// `key/<pattern>`.
    Key(Pattern),
}

/// The creator in a secret's resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum CreatorPattern {
    Any,
    Number(u64),
    /// `${uin}`: the caller's own.
    Own,
}

/// Why a resource is refused.
pub(super) type Refusal = (Code, String);

impl ResourcePattern {
    /// Reads a resource.
    ///
    /// # Errors
    /// The code and what to write instead.
    pub(super) fn parse(text: &str, settings: &Settings) -> Result<Self, Refusal> {
        if text == "*" {
            return Ok(Self::All);
        }
        let segments: Vec<&str> = text.splitn(6, ':').collect();
        let &[qcs, project, service, region, account, last] = segments.as_slice() else {
            return Err(not_six());
        };
        if qcs != "qcs" {
            return Err(not_six());
        }
        if settings.is_foreign(service) {
            return Ok(Self::Foreign(service.to_owned()));
        }
        check_project(project)?;
        let service = parse_service(service)?;
        check_region(region, &settings.place.region)?;
        check_account(account, &settings.place.account)?;
        Ok(Self::Segments { service, last: parse_last(last, service, &settings.place.account)? })
    }

    /// Whether the request's resource fits. What depends on the creator of a secret that does not exist fits a deny
    /// and does not fit an allow.
    pub(super) fn matches(&self, facts: &Facts, effect: StatementEffect) -> bool {
        let Self::Segments { service, last } = self else {
            return *self == Self::All;
        };
        let of = |name: &str| service.is_none_or(|service| service.name() == name);
        match &facts.object {
            Object::Nothing => effect == StatementEffect::Deny && *last == Last::Star && of(facts.service),
            Object::Secret { creator, name } => of("ssm") && last.matches_secret(*creator, name, facts, effect),
            Object::Key { id } => of("kms") && last.matches_key(id, facts),
        }
    }

    /// Whether some request for `action` could have a resource that fits.
    pub(super) fn can_match(&self, action: &Action, effect: StatementEffect) -> bool {
        let Self::Segments { service, last } = self else {
            return *self == Self::All;
        };
        let of = |wanted: Service| service.is_none_or(|service| service == wanted);
        let operation = effect == StatementEffect::Deny && *last == Last::Star && of(action.service);
        let secret = of(Service::Ssm) && !matches!(last, Last::Key(_));
        match action.level {
            Level::Operation | Level::Role => operation,
            Level::Secret | Level::Creation => secret,
            Level::SecretOrOperation => operation || secret,
            Level::Key => of(Service::Kms) && matches!(last, Last::Star | Last::Key(_)),
        }
    }
}

impl Last {
    fn matches_secret(&self, creator: Option<u64>, name: &str, facts: &Facts, effect: StatementEffect) -> bool {
        match self {
            Self::Star | Self::EverySecret => true,
            Self::Key(_) => false,
            Self::Secret { creator: wanted, name: pattern } => {
                let creator_fits = match (wanted, creator) {
                    (CreatorPattern::Any, _) => true,
                    (_, None) => effect == StatementEffect::Deny,
                    (CreatorPattern::Number(number), Some(creator)) => *number == creator,
                    (CreatorPattern::Own, Some(creator)) => creator == facts.uin,
                };
                creator_fits && pattern.matches(name, &facts.uin_text)
            }
        }
    }

    fn matches_key(&self, id: &str, facts: &Facts) -> bool {
        match self {
            Self::Star => true,
            Self::Key(pattern) => pattern.matches(id, &facts.uin_text),
            Self::EverySecret | Self::Secret { .. } => false,
        }
    }
}

fn not_six() -> Refusal {
    (Code::ResourceQcsError, "a resource is `*` or `qcs::<service>:<region>:<account>:<resource>`".to_owned())
}

fn check_project(project: &str) -> Result<(), Refusal> {
    match project {
        "" | "id/0" => Ok(()),
        _ => Err((Code::ResourceProjectError, "the project segment is empty".to_owned())),
    }
}

fn parse_service(service: &str) -> Result<Option<Service>, Refusal> {
    if service.is_empty() || service == "*" {
        return Ok(None);
    }
    let known = Service::ALL.into_iter().find(|known| known.name() == service);
    known.map(Some).ok_or_else(|| {
        let names = Service::ALL.map(Service::name).join("`, `");
        (Code::ResourceServiceNotExist, format!("the service segment is `{names}`, or empty for all"))
    })
}

fn check_region(region: &str, own: &str) -> Result<(), Refusal> {
    if region.is_empty() || region == "*" || region == own {
        return Ok(());
    }
    Err((Code::ResourceRegionError, format!("the region segment is `{own}`, this gateway's, or empty")))
}

fn check_account(account: &str, own: &str) -> Result<(), Refusal> {
    if account.is_empty() || account == "*" || account.strip_prefix("uin/") == Some(own) {
        return Ok(());
    }
    let message = if account.contains("${") {
        format!(
            "a variable here means the account: leave the segment empty or write `uin/{own}`; `${{uin}}` may stand as the creator"
        )
    } else {
        format!("the account segment is `uin/{own}`, this gateway's, or empty")
    };
    Err((Code::ResourceUinError, message))
}

fn content(message: impl Into<String>) -> Refusal {
    (Code::ResourceContentError, message.into())
}

fn parse_last(text: &str, service: Option<Service>, account: &str) -> Result<Last, Refusal> {
    if text == "*" {
        return Ok(Last::Star);
    }
    let has = |wanted: Service| service.is_none_or(|service| service == wanted);
    match text.split_once('/') {
        Some(("secret", rest)) if has(Service::Ssm) => parse_secret(rest, account),
        Some(("key", rest)) if has(Service::Kms) => parse_key(rest, account),
        _ => Err(content(match service {
            Some(Service::Ssm) => SECRET_FORMS,
            Some(Service::Kms) => "the last segment is `*` or `key/<pattern>`",
            Some(Service::Cam | Service::Cloudaudit | Service::Sts) => {
                "the last segment is `*`: this service has no resources"
            }
            None => "the last segment is `*`, `secret/...` or `key/...`",
        })),
    }
}

const SECRET_FORMS: &str = "the last segment is `*`, `secret/*`, `secret/creatorUin/*` or \
     `secret/creatorUin/<creator>/<name pattern>` with a number, `*` or `${uin}` as creator";

fn parse_secret(rest: &str, account: &str) -> Result<Last, Refusal> {
    if rest == "*" || rest == "creatorUin/*" {
        return Ok(Last::EverySecret);
    }
    let parts = rest.strip_prefix("creatorUin/").and_then(|rest| rest.split_once('/'));
    let (creator, name) = parts.ok_or_else(|| content(SECRET_FORMS))?;
    let creator = parse_creator(creator).ok_or_else(|| content(SECRET_FORMS))?;
    let name = Pattern::parse(name, account, false).map_err(refuse_variable)?;
    if name.tokens().iter().any(|token| !is_name_token(*token)) {
        return Err(content(
            "a name pattern is characters of secret names (`A-Z a-z 0-9 / _ + = . @ -`), `*` and variables",
        ));
    }
    if !can_be_a_name(name.tokens()) {
        return Err(content("no secret can have such a name, so this never matches"));
    }
    Ok(Last::Secret { creator, name })
}

fn refuse_variable(error: VariableError) -> Refusal {
    content(error.to_string())
}

/// A creator: decimal without leading zero, below 2^52, or `*`, or `${uin}`.
fn parse_creator(text: &str) -> Option<CreatorPattern> {
    match text {
        "*" => return Some(CreatorPattern::Any),
        "${uin}" => return Some(CreatorPattern::Own),
        _ => {}
    }
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    let number = text.parse().ok().filter(|number| plain && *number < CREATOR_LIMIT);
    number.map(CreatorPattern::Number)
}

fn parse_key(rest: &str, account: &str) -> Result<Last, Refusal> {
    let printable = |token: &Token| !matches!(token, Token::Char(c) if !c.is_ascii_graphic());
    let pattern = Pattern::parse(rest, account, false).map_err(refuse_variable)?;
    if pattern.tokens().is_empty() || rest.contains('?') || !pattern.tokens().iter().all(printable) {
        return Err(content("a key's resource is `key/<key id>`, with `*` and variables"));
    }
    Ok(Last::Key(pattern))
}

fn is_name_token(token: Token) -> bool {
    match token {
        Token::Char(c) => u8::try_from(c).is_ok_and(is_secret_name_byte),
        Token::Any | Token::Uin => true,
        Token::One => false,
    }
}

/// How far a name has been read, as far as the rules of names tell apart: it may end as `Text` alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Read {
    Nothing,
    Slash,
    Dot,
    TwoDots,
    Text,
}

impl Read {
    const ALL: [Self; 5] = [Self::Nothing, Self::Slash, Self::Dot, Self::TwoDots, Self::Text];

    pub(super) fn next(self, c: char) -> Option<Self> {
        match (self, c) {
            (Self::Nothing, c) => c.is_ascii_alphanumeric().then_some(Self::Text),
            (Self::Text, '/') => Some(Self::Slash),
            (_, '/') => None,
            (Self::Slash, '.') => Some(Self::Dot),
            (Self::Dot, '.') => Some(Self::TwoDots),
            _ => Some(Self::Text),
        }
    }
}

/// Fewest characters that lead to each state of [`Read`].
type Fewest = [Option<usize>; 5];

/// Whether some valid secret name fits: the pattern is walked beside the rules of names, keeping for each state the
/// shortest name that reaches it.
fn can_be_a_name(tokens: &[Token]) -> bool {
    let mut fewest: Fewest = [Some(0), None, None, None, None];
    for token in tokens {
        fewest = match token {
            Token::Char(c) => step(&fewest, *c),
            Token::Uin | Token::One => step(&fewest, '0'),
            Token::Any => any(fewest),
        };
    }
    let [.., text] = fewest;
    text.is_some_and(|length| length <= SECRET_NAME_BYTES_MAX)
}

fn step(fewest: &Fewest, c: char) -> Fewest {
    let mut after = [None; 5];
    for (state, length) in Read::ALL.into_iter().zip(fewest) {
        if let (Some(next), Some(length)) = (state.next(c), length) {
            keep(&mut after, next, length + 1);
        }
    }
    after
}

/// A star: nothing, or any characters; every state is reached within as many as there are states.
fn any(fewest: Fewest) -> Fewest {
    let mut all = fewest;
    for _ in Read::ALL {
        for c in ['a', '/', '.'] {
            for (state, length) in Read::ALL.into_iter().zip(step(&all, c)) {
                if let Some(length) = length {
                    keep(&mut all, state, length);
                }
            }
        }
    }
    all
}

fn keep(fewest: &mut Fewest, state: Read, length: usize) {
    for (known, slot) in Read::ALL.into_iter().zip(fewest) {
        if known == state {
            *slot = Some(slot.map_or(length, |shorter| shorter.min(length)));
        }
    }
}

#[cfg(test)]
#[path = "resource_pattern_tests.rs"]
mod tests;
