//! Whether one statement matches whatever another matches. Sound, and not complete: what is said to be covered is; what
//! is not said to be may be, too. Compared are, with nothing taken together:
//!
//! - actions: those of the covered statement that its resources can match, each named by the other;
//! - resources: for each of these actions each resource, within one resource of the other: `*`, a service, every
//!   secret, creator by creator (`*` over a number or `${uin}`), name pattern by name pattern;
//! - conditions: each clause of the other follows from one clause of the covered statement on the same key with the
//!   same operator and qualifier: by fewer values, patterns, ranges within ranges, earlier or later dates, smaller or
//!   greater numbers; for negated operators by more.
//!
//! What depends on the creator or the tags of a secret that does not exist fails in an allow and holds in a deny, so a
//! deny covers as much there, and statements of one effect cover each other as elsewhere.

use ipnet::IpNet;

use super::written::{Written, WrittenClause};
use crate::actions::{Action, Level, Service};
use crate::authz::condition::Wanted;
use crate::authz::decision::StatementEffect;
use crate::authz::operator::Order;
use crate::authz::pattern::{Pattern, Token};
use crate::authz::resource_pattern::{CreatorPattern, Last, ResourcePattern};

/// Whether every request that `small` matches is matched by `large`: a deny and an allow, or two of one effect.
pub(super) fn covers(large: &Written<'_>, small: &Written<'_>) -> bool {
    let reaching = &small.reaching;
    !reaching.is_empty()
        && reaching.iter().all(|(place, action)| large.actions.names(*place) && covers_resources(large, small, action))
        && large.clauses.iter().all(|wanted| small.clauses.iter().any(|given| follows(wanted, given)))
}

fn covers_resources(large: &Written<'_>, small: &Written<'_>, action: &Action) -> bool {
    let mut all = small.resources.iter().filter(|(resource, _)| resource.can_match(action, small.effect));
    all.all(|(resource, _)| {
        let within = |(other, _): &(ResourcePattern, _)| is_within(resource, other, action, small.effect, large.effect);
        large.resources.iter().any(within)
    })
}

/// Whether what a resource matches of the requests for an action, another matches, too.
fn is_within(
    small: &ResourcePattern,
    large: &ResourcePattern,
    action: &Action,
    small_effect: StatementEffect,
    large_effect: StatementEffect,
) -> bool {
    let object_kinds: &[ObjectKind] = match action.level {
        Level::Operation | Level::Role => &[ObjectKind::Nothing],
        Level::Secret | Level::Creation => &[ObjectKind::Secret],
        Level::SecretOrOperation => &[ObjectKind::Nothing, ObjectKind::Secret],
        Level::Key => &[ObjectKind::Key],
    };
    object_kinds.iter().all(|kind| match kind {
        ObjectKind::Nothing => {
            !matches_nothing(small, action, small_effect) || matches_nothing(large, action, large_effect)
        }
        ObjectKind::Secret => {
            secrets_of(small).is_none_or(|small| secrets_of(large).is_some_and(|large| large.has(&small)))
        }
        ObjectKind::Key => keys_of(small).is_none_or(|small| keys_of(large).is_some_and(|large| large.has(&small))),
    })
}

/// What a request can be about.
enum ObjectKind {
    Nothing,
    Secret,
    Key,
}

fn matches_nothing(resource: &ResourcePattern, action: &Action, effect: StatementEffect) -> bool {
    match resource {
        ResourcePattern::All => true,
        ResourcePattern::Segments { service, last } => {
            effect == StatementEffect::Deny
                && *last == Last::Star
                && service.is_none_or(|service| service == action.service)
        }
        ResourcePattern::Foreign(_) => false,
    }
}

/// All of a kind, or some.
enum Part<T> {
    Every,
    Some(T),
}

/// The secrets that a resource matches.
fn secrets_of(resource: &ResourcePattern) -> Option<Part<(CreatorPattern, &Pattern)>> {
    match resource {
        ResourcePattern::All => Some(Part::Every),
        ResourcePattern::Foreign(_) => None,
        ResourcePattern::Segments { service, last } => {
            if service.is_some_and(|service| service != Service::Ssm) {
                return None;
            }
            match last {
                Last::Star | Last::EverySecret => Some(Part::Every),
                Last::Secret { creator, name } => Some(Part::Some((*creator, name))),
                Last::Key(_) => None,
            }
        }
    }
}

impl Part<(CreatorPattern, &Pattern)> {
    fn has(&self, small: &Self) -> bool {
        match (self, small) {
            (Self::Every, _) => true,
            (Self::Some((creator, name)), Self::Every) => {
                *creator == CreatorPattern::Any && super::resources::fits_everything(name)
            }
            (Self::Some((creator, name)), Self::Some((other, pattern))) => {
                (*creator == CreatorPattern::Any || creator == other) && has_pattern(name, pattern)
            }
        }
    }
}

/// The keys that a resource matches.
fn keys_of(resource: &ResourcePattern) -> Option<Part<&Pattern>> {
    match resource {
        ResourcePattern::All => Some(Part::Every),
        ResourcePattern::Foreign(_) => None,
        ResourcePattern::Segments { service, last } => {
            if service.is_some_and(|service| service != Service::Kms) {
                return None;
            }
            match last {
                Last::Star => Some(Part::Every),
                Last::Key(pattern) => Some(Part::Some(pattern)),
                Last::EverySecret | Last::Secret { .. } => None,
            }
        }
    }
}

impl Part<&Pattern> {
    fn has(&self, small: &Self) -> bool {
        match (self, small) {
            (Self::Every, _) => true,
            (Self::Some(pattern), Self::Every) => super::resources::fits_everything(pattern),
            (Self::Some(large), Self::Some(small)) => has_pattern(large, small),
        }
    }
}

/// Whether all that fits `small` fits `large`: the steps of `small` are read as if they were characters, of which a star
/// is taken by a star alone, and `?` by `?` or a star.
pub(in crate::authz) fn has_pattern(large: &Pattern, small: &Pattern) -> bool {
    // Up to its first star `large` is read step by step, which tells most patterns apart.
    let (mut large, mut small) = (large.tokens(), small.tokens());
    while let Some((step, rest)) = large.split_first().filter(|(step, _)| **step != Token::Any) {
        let Some((_, others)) = small.split_first().filter(|(token, _)| takes(step, token)) else { return false };
        (large, small) = (rest, others);
    }
    // What has been read of `small` is among the places reached; one row for each step of `large`.
    let mut reached: Vec<bool> = std::iter::once(true).chain(std::iter::repeat_n(false, small.len())).collect();
    for step in large {
        if !reached.contains(&true) {
            return false;
        }
        reached = match step {
            Token::Any => reached
                .iter()
                .scan(false, |before, here| {
                    *before |= *here;
                    Some(*before)
                })
                .collect(),
            step => {
                let taken = small.iter().zip(&reached).map(|(token, here)| *here && takes(step, token));
                std::iter::once(false).chain(taken).collect()
            }
        };
    }
    reached.last().copied().unwrap_or_default()
}

fn takes(step: &Token, token: &Token) -> bool {
    match step {
        Token::One => matches!(token, Token::Char(_) | Token::One),
        Token::Char(_) | Token::Uin => step == token,
        Token::Any => false,
    }
}

/// Whether `wanted` holds whenever `given` does.
fn follows(wanted: &WrittenClause<'_>, given: &WrittenClause<'_>) -> bool {
    let (large, small) = (wanted.operator, given.operator);
    if wanted.clause == given.clause {
        return true;
    }
    let is_alike = wanted.key == given.key
        && large.qualifier == small.qualifier
        && large.negated == small.negated
        && std::mem::discriminant(&large.comparison) == std::mem::discriminant(&small.comparison)
        // Without the key `given` may hold only where `wanted` does.
        && (large.if_exist || !small.if_exist);
    let (large_wanted, small_wanted) = (&wanted.clause.wanted, &given.clause.wanted);
    is_alike
        && if large.negated { has_values(small_wanted, large_wanted) } else { has_values(large_wanted, small_wanted) }
}

/// Whether a value that fits `small` fits `large`.
fn has_values(large: &Wanted, small: &Wanted) -> bool {
    match (large, small) {
        (Wanted::Texts(large), Wanted::Texts(small)) => small.iter().all(|text| large.contains(text)),
        (Wanted::Patterns(large), Wanted::Patterns(small)) => {
            small.iter().all(|pattern| large.iter().any(|other| has_pattern(other, pattern)))
        }
        (Wanted::Instants(order, large), Wanted::Instants(other, small)) => {
            order == other && reaches(*order, large, small)
        }
        (Wanted::Decimals(order, large), Wanted::Decimals(other, small)) => {
            order == other && reaches(*order, large, small)
        }
        (Wanted::Bools(large), Wanted::Bools(small)) => small.iter().all(|value| large.contains(value)),
        (Wanted::Ranges(large), Wanted::Ranges(small)) => {
            small.iter().all(|range| large.iter().any(|other: &IpNet| other.contains(range)))
        }
        _ => false,
    }
}

/// The same of ordered values, one of which a value must stand in this order to.
fn reaches<T: Ord>(order: Order, large: &[T], small: &[T]) -> bool {
    match order {
        Order::Equal => small.iter().all(|value| large.contains(value)),
        Order::Less | Order::LessOrEqual => large.iter().max() >= small.iter().max(),
        Order::Greater | Order::GreaterOrEqual => large.iter().min() <= small.iter().min(),
    }
}
