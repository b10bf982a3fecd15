//! What a token says, once its signature is known to be good: types and limits of each claim, times, names.
//!
//! INVARIANT I5: a claim of the wrong type is never skipped. SECURITY: names are compared and kept as bytes; nothing
//! is folded, trimmed or normalised.

use serde::Serialize;

use super::issuer::{GroupsRule, Issuer};
use super::refusal::Cause;
use super::token::is_id;
use crate::json::{Json, Object};
use crate::principal::{Kind, Principal};

/// Most groups and roles together, as the token lists them.
pub const IDENTITY_COUNT_MAX: usize = 200;
/// Most bytes of groups and roles together, qualified, as canonical JSON: their share of the record.
pub const IDENTITY_BYTES_MAX: usize = 2_560;
/// Largest integer of a record (RFC 8785).
const INTEGER_MAX: u64 = (1 << 53) - 1;

/// When a token may be used. Seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) issued_s: u64,
    pub(super) not_before_s: Option<u64>,
    pub(super) expires_s: u64,
}

impl Window {
    /// Whether it may be used now. `exp` is the first second in which it may not (RFC 7519 4.1.4).
    ///
    /// A token from the future is refused too: it would outlive its limit, and no revocation of its subject
    /// "issued before now" would reach it.
    pub(super) fn check(self, now_s: u64, leeway_s: u64) -> Result<(), Cause> {
        let begins_s = self.not_before_s.unwrap_or(0).max(self.issued_s);
        if self.expires_s.saturating_add(leeway_s) <= now_s {
            Err(Cause::Expired)
        } else if begins_s > now_s.saturating_add(leeway_s) {
            Err(Cause::NotYetValid)
        } else {
            Ok(())
        }
    }
}

/// What a token says.
pub(super) struct Claims {
    pub(super) principal: Principal,
    /// Sorted by bytes, each once.
    pub(super) groups: Vec<Principal>,
    /// Sorted by bytes, each once.
    pub(super) roles: Vec<Principal>,
    /// The audiences that are the gateway's, in the token's order.
    pub(super) audience: Vec<String>,
    pub(super) window: Window,
    pub(super) jti: Option<String>,
}

/// The `iss` of claims that are not verified yet: text, to find the issuer by.
pub(super) fn unverified_iss(claims: &Object) -> Result<&str, Cause> {
    match claims.get("iss") {
        Some(Json::Text(iss)) => Ok(iss),
        // A list may name a trusted issuer among others: that is not its token.
        None | Some(Json::List(_)) => Err(Cause::Issuer),
        Some(_) => Err(Cause::ClaimFormat),
    }
}

/// Checks the claims of a token that is signed by `issuer`.
pub(super) fn check(issuer: &Issuer, claims: &Object, now_s: u64) -> Result<Claims, Cause> {
    let window = window(claims)?;
    let jti = jti(claims)?;
    let principal = principal(issuer, Kind::User, text(claims, &issuer.claims.subject)?)?;
    let audience = audience(issuer, claims)?;
    check_lifetime(issuer, window)?;
    window.check(now_s, issuer.leeway_s)?;
    check_complete(issuer, claims)?;
    let groups = principals(issuer, Kind::Group, claims, &issuer.claims.groups)?;
    let roles = principals(issuer, Kind::Role, claims, &issuer.claims.roles)?;
    check_size(&groups, &roles)?;
    Ok(Claims { principal, groups: sorted(groups), roles: sorted(roles), audience, window, jti })
}

fn window(claims: &Object) -> Result<Window, Cause> {
    let issued_s = time(claims, "iat")?.ok_or(Cause::ClaimFormat)?;
    let expires_s = time(claims, "exp")?.ok_or(Cause::ClaimFormat)?;
    Ok(Window { issued_s, not_before_s: time(claims, "nbf")?, expires_s })
}

fn time(claims: &Object, name: &str) -> Result<Option<u64>, Cause> {
    match claims.get(name) {
        None => Ok(None),
        Some(Json::Integer(time)) if *time <= INTEGER_MAX => Ok(Some(*time)),
        Some(_) => Err(Cause::ClaimFormat),
    }
}

fn jti(claims: &Object) -> Result<Option<String>, Cause> {
    match claims.get("jti") {
        None => Ok(None),
        Some(Json::Text(jti)) if is_id(jti) => Ok(Some(jti.clone())),
        Some(_) => Err(Cause::ClaimFormat),
    }
}

fn text<'a>(claims: &'a Object, name: &str) -> Result<&'a str, Cause> {
    claims.get(name).and_then(Json::as_text).ok_or(Cause::ClaimFormat)
}

/// Those audiences of the token that the issuer is configured with: at least one. One text and a list of that one text decide
/// alike.
fn audience(issuer: &Issuer, claims: &Object) -> Result<Vec<String>, Cause> {
    let audience = match claims.get("aud") {
        None => return Err(Cause::Audience),
        Some(Json::Text(one)) => vec![one.as_str()],
        Some(other) => other.as_texts().ok_or(Cause::ClaimFormat)?,
    };
    let is_ours = |name: &&str| issuer.audience.iter().any(|ours| ours == name);
    let ours: Vec<String> = audience.into_iter().filter(is_ours).map(str::to_owned).collect();
    if ours.is_empty() { Err(Cause::Audience) } else { Ok(ours) }
}

fn check_lifetime(issuer: &Issuer, window: Window) -> Result<(), Cause> {
    match window.expires_s.checked_sub(window.issued_s) {
        Some(life_s) if life_s <= issuer.max_lifetime_s => Ok(()),
        _ => Err(Cause::Lifetime),
    }
}

/// SECURITY: a deny or a boundary may hang on a group. Issuers cut long lists and leave a marker instead: in
/// `_claim_names` (OpenID Connect Core 5.6.2), or as `hasgroups`.
fn check_complete(issuer: &Issuer, claims: &Object) -> Result<(), Cause> {
    let names = &issuer.claims;
    let elsewhere = match claims.get("_claim_names") {
        None => false,
        Some(Json::Object(sources)) => [&names.groups, &names.roles].into_iter().any(|name| sources.contains_key(name)),
        Some(_) => return Err(Cause::ClaimFormat),
    };
    let marked = !matches!(claims.get("hasgroups"), None | Some(Json::Bool(false)));
    let missing = issuer.groups == GroupsRule::Required && !claims.contains_key(&names.groups);
    if elsewhere || marked || missing { Err(Cause::GroupsIncomplete) } else { Ok(()) }
}

fn principals(issuer: &Issuer, kind: Kind, claims: &Object, name: &str) -> Result<Vec<Principal>, Cause> {
    let Some(list) = claims.get(name) else {
        return Ok(Vec::new());
    };
    let names = list.as_texts().ok_or(Cause::ClaimFormat)?;
    names.into_iter().map(|name| principal(issuer, kind, name)).collect()
}

fn principal(issuer: &Issuer, kind: Kind, name: &str) -> Result<Principal, Cause> {
    Principal::qualified(kind, &issuer.name, name).map_err(|_| Cause::ClaimFormat)
}

fn sorted(mut principals: Vec<Principal>) -> Vec<Principal> {
    principals.sort();
    principals.dedup();
    principals
}

/// Groups and roles as a record holds them: canonical JSON, empty lists left out.
#[derive(Serialize)]
struct Share<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    groups: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    roles: Vec<&'a str>,
}

fn check_size(groups: &[Principal], roles: &[Principal]) -> Result<(), Cause> {
    if groups.len() + roles.len() > IDENTITY_COUNT_MAX {
        return Err(Cause::IdentityTooLarge);
    }
    let share = Share {
        groups: groups.iter().map(Principal::as_str).collect(),
        roles: roles.iter().map(Principal::as_str).collect(),
    };
    match serde_json::to_vec(&share) {
        Ok(bytes) if bytes.len() <= IDENTITY_BYTES_MAX => Ok(()),
        _ => Err(Cause::IdentityTooLarge),
    }
}
