//! Glob patterns: `*` is any run of characters, also none, and crosses every separator; `?`, where it is allowed, is
//! one Unicode scalar value. Matched over the whole text with two pointers and one point to go back to: no
//! recursion, no regular expression built from a policy's text.

use std::borrow::Cow;

use super::variable::{Piece, VariableError, divide};

/// One step of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Token {
    /// Exactly this character.
    Char(char),
    /// `?`.
    One,
    /// `*`.
    Any,
    /// The caller's creator number, put in literally.
    Uin,
}

/// A parsed pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Pattern {
    tokens: Vec<Token>,
    has_uin: bool,
}

impl Pattern {
    /// Reads a pattern in which `*` is special, and `?` too if `one` says so.
    ///
    /// # Errors
    /// [`VariableError`].
    pub(super) fn parse(text: &str, account: &str, one: bool) -> Result<Self, VariableError> {
        let mut tokens = Vec::new();
        for piece in divide(text)? {
            match piece {
                Piece::Written(text) => tokens.extend(text.chars().map(|c| match c {
                    '*' => Token::Any,
                    '?' if one => Token::One,
                    c => Token::Char(c),
                })),
                Piece::Account => tokens.extend(account.chars().map(Token::Char)),
                Piece::Uin => tokens.push(Token::Uin),
            }
        }
        let has_uin = tokens.contains(&Token::Uin);
        Ok(Self { tokens, has_uin })
    }

    /// Its steps.
    pub(super) fn tokens(&self) -> &[Token] {
        &self.tokens
    }

    /// Whether `${uin}` stands in it.
    pub(super) const fn has_uin(&self) -> bool {
        self.has_uin
    }

    /// Whether the whole of `text` fits, with `uin` as the caller's creator number.
    pub(super) fn matches(&self, text: &str, uin: &str) -> bool {
        glob(&self.with(uin), text)
    }

    /// Its steps with `uin` as the caller's creator number.
    pub(super) fn with(&self, uin: &str) -> Cow<'_, [Token]> {
        if !self.has_uin {
            return Cow::Borrowed(&self.tokens);
        }
        let mut tokens = Vec::with_capacity(self.tokens.len() + uin.len());
        for token in &self.tokens {
            match token {
                Token::Uin => tokens.extend(uin.chars().map(Token::Char)),
                token => tokens.push(*token),
            }
        }
        Cow::Owned(tokens)
    }
}

/// Whether `pattern` fits the whole of `text`. At a mismatch the last star takes one character more; earlier stars
/// never need to, so the cost is bounded by the product of the lengths.
fn glob(pattern: &[Token], text: &str) -> bool {
    let (mut tokens, mut characters) = (pattern.iter(), text.chars());
    let mut star = None;
    loop {
        let unread = characters.clone();
        match (tokens.next(), characters.next()) {
            (None, None) => return true,
            (Some(Token::Any), _) => {
                characters = unread;
                star = Some((tokens.clone(), characters.clone()));
            }
            (Some(Token::One), Some(_)) => {}
            (Some(Token::Char(wanted)), Some(found)) if *wanted == found => {}
            (Some(_), None) => return false,
            (_, Some(_)) => {
                let Some((after, from)) = star.as_mut() else {
                    return false;
                };
                from.next();
                (tokens, characters) = (after.clone(), from.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fits(pattern: &str, text: &str) -> bool {
        Pattern::parse(pattern, "1", true).unwrap().matches(text, "7")
    }

    #[test]
    fn the_star_matches_any_run_and_crosses_separators() {
        for (pattern, text) in
            [("*", ""), ("*", "a/b:c"), ("a*", "a"), ("*b", "aab"), ("a*b*c", "a/b/b/c"), ("", ""), ("a?c", "aéc")]
        {
            assert!(fits(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in
            [("a", "ab"), ("a", ""), ("?", ""), ("a*b", "a"), ("a?c", "ac"), ("A", "a"), ("", "a"), ("a**b", "ac")]
        {
            assert!(!fits(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn attack_d05_signs_of_other_pattern_languages_are_plain_text() {
        assert!(!fits("a/*/readonly", "a/x/y"));
        assert!(fits("a/*/readonly", "a/x/y/readonly"));
        for text in [".", "[a]", "(", "r.", "p.", "#", "\\", "{x}", "a+", "^$", "r_sub"] {
            assert!(fits(text, text), "{text}");
            assert!(!fits(text, "zz"), "{text}");
        }
        assert!(!fits("a.c", "abc"));
    }

    #[test]
    fn attack_d05_many_stars_cost_no_more_than_the_product_of_lengths() {
        let pattern = format!("{}b", "*a".repeat(200));
        let text = "a".repeat(50_000);
        assert!(!fits(&pattern, &text));
    }

    #[test]
    fn attack_c03_a_multi_byte_character_across_the_star_is_no_panic() {
        assert!(fits("secret*", "secretéx"));
        assert!(!fits("secret/*", "secretéx"));
    }

    #[test]
    fn a_variable_is_no_wildcard() {
        assert!(fits("x${uin}*", "x7y"));
        assert!(!fits("x${uin}", "x8"));
        let account = Pattern::parse("${owner_uin}", "*", true).unwrap();
        assert!(account.matches("*", "7"));
        assert!(!account.matches("anything", "7"));
    }

    /// By the definition: a star matches nothing, or one character and then a star.
    fn naive(pattern: &[char], text: &[char]) -> bool {
        match (pattern.first(), text.first()) {
            (None, None) => true,
            (Some('*'), _) => naive(&pattern[1..], text) || (!text.is_empty() && naive(pattern, &text[1..])),
            (Some('?'), Some(_)) => naive(&pattern[1..], &text[1..]),
            (Some(p), Some(t)) if p == t => naive(&pattern[1..], &text[1..]),
            _ => false,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]
        #[test]
        fn the_matcher_agrees_with_the_definition(pattern in "[ab*?é]{0,8}", text in "[abé]{0,10}") {
            let (p, t): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(fits(&pattern, &text), naive(&p, &t));
        }
    }
}
