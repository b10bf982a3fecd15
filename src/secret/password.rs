//! Random passwords, each character equally likely among those that are asked for.
//!
//! SECURITY: choices are drawn by rejection, so that none is likelier than another. If each kind must be there, one character
//! of each is drawn first, the rest from all of them, and then all change places.

use keyward_audit::{Random, RandomError};
use zeroize::Zeroizing;

use super::limits::Limits;
use super::plaintext::Plaintext;

/// Longest password, in characters.
pub const PASSWORD_CHARACTERS_MAX: usize = 4_096;
/// Characters of a password if nobody says otherwise: over 200 bits.
pub const PASSWORD_CHARACTERS: usize = 32;

const LOWERCASE: &str = "abcdefghijklmnopqrstuvwxyz";
const UPPERCASE: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const NUMBERS: &str = "0123456789";
const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";
const SPACE: &str = " ";

/// What a password is to be made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordRules {
    /// How many characters.
    pub length: usize,
    /// Characters that it must not hold.
    pub exclude: String,
    /// No `a` to `z`.
    pub exclude_lowercase: bool,
    /// No `A` to `Z`.
    pub exclude_uppercase: bool,
    /// No `0` to `9`.
    pub exclude_numbers: bool,
    /// No printable ASCII sign.
    pub exclude_punctuation: bool,
    /// Also the space.
    pub include_space: bool,
    /// At least one character of each kind that is left.
    pub require_each: bool,
}

impl Default for PasswordRules {
    fn default() -> Self {
        Self {
            length: PASSWORD_CHARACTERS,
            exclude: String::new(),
            exclude_lowercase: false,
            exclude_uppercase: false,
            exclude_numbers: false,
            exclude_punctuation: false,
            include_space: false,
            require_each: true,
        }
    }
}

/// Why no password fits the rules, or none could be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Outside the lengths.
    #[error("a password is 1 to 4096 characters long")]
    Length,
    /// Nothing is left to choose from.
    #[error("every character is excluded")]
    NoCharacters,
    /// Shorter than the number of kinds that must all be there.
    #[error("it is too short to hold a character of each kind")]
    TooShort,
    /// The system gives no random bytes.
    #[error("no random bytes could be had from the system")]
    Random,
}

impl PasswordRules {
    /// The kinds of characters that are left, none of them empty.
    fn kinds(&self) -> Vec<Vec<u8>> {
        let all = [
            (!self.exclude_lowercase, LOWERCASE),
            (!self.exclude_uppercase, UPPERCASE),
            (!self.exclude_numbers, NUMBERS),
            (!self.exclude_punctuation, PUNCTUATION),
            (self.include_space, SPACE),
        ];
        let left = |kind: &str| {
            kind.chars().filter(|c| !self.exclude.contains(*c)).filter_map(|c| u8::try_from(c).ok()).collect::<Vec<_>>()
        };
        let kinds = all.into_iter().filter(|(is_in, _)| *is_in).map(|(_, kind)| left(kind));
        kinds.filter(|kind| !kind.is_empty()).collect()
    }

    /// Whether any password fits.
    ///
    /// # Errors
    /// [`PasswordError`] for the first rule that none can hold.
    pub fn check(&self) -> Result<(), PasswordError> {
        let kinds = self.kinds();
        if !(1..=PASSWORD_CHARACTERS_MAX).contains(&self.length) {
            return Err(PasswordError::Length);
        }
        if kinds.is_empty() {
            return Err(PasswordError::NoCharacters);
        }
        if self.require_each && self.length < kinds.len() {
            return Err(PasswordError::TooShort);
        }
        Ok(())
    }

    /// A password by these rules.
    ///
    /// # Errors
    /// [`PasswordError`] if none fits, or the system gives no random bytes.
    pub fn generate(&self, random: &dyn Random) -> Result<Plaintext, PasswordError> {
        self.check()?;
        let kinds = self.kinds();
        let alphabet = kinds.concat();
        let first = if self.require_each { kinds.as_slice() } else { &[] };
        let sources = first.iter().chain(std::iter::repeat(&alphabet)).take(self.length);
        let mut password = Zeroizing::new(Vec::with_capacity(self.length));
        for source in sources {
            let place = below(source.len(), random)?;
            password.extend(source.get(place));
        }
        for last in (1..password.len()).rev() {
            password.swap(last, below(last + 1, random)?);
        }
        taken_over(password)
    }
}

fn taken_over(mut password: Zeroizing<Vec<u8>>) -> Result<Plaintext, PasswordError> {
    // All characters are ASCII.
    let text = String::from_utf8(std::mem::take(&mut *password)).map_err(|_| PasswordError::NoCharacters)?;
    Plaintext::text(text, &Limits::default()).map_err(|_| PasswordError::Length)
}

/// A number below `limit`, each equally likely; 0 if there is none.
fn below(limit: usize, random: &dyn Random) -> Result<usize, PasswordError> {
    let limit = u32::try_from(limit).unwrap_or(u32::MAX).max(1);
    // The largest multiple of the limit below 2^32; what lies above it would favour the first ones.
    let fair = u32::MAX - u32::MAX % limit;
    loop {
        let mut bytes = Zeroizing::new([0; 4]);
        random.fill(bytes.as_mut_slice()).map_err(|RandomError| PasswordError::Random)?;
        let drawn = u32::from_be_bytes(*bytes);
        if drawn < fair {
            return Ok((drawn % limit) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::clock::SystemRandom;
    use crate::keys::fixture::NoRandom;

    fn made(rules: &PasswordRules) -> Result<String, PasswordError> {
        let password = rules.generate(&SystemRandom)?;
        Ok(String::from_utf8(password.expose().to_vec()).unwrap())
    }

    fn rules() -> impl Strategy<Value = PasswordRules> {
        let flags = (any::<[bool; 4]>(), any::<bool>(), any::<bool>());
        (0..60_usize, "[ -~é]{0,40}", flags).prop_map(|(length, exclude, (excluded, include_space, require_each))| {
            let [exclude_lowercase, exclude_uppercase, exclude_numbers, exclude_punctuation] = excluded;
            PasswordRules {
                length,
                exclude,
                exclude_lowercase,
                exclude_uppercase,
                exclude_numbers,
                exclude_punctuation,
                include_space,
                require_each,
            }
        })
    }

    proptest! {
        #[test]
        fn a_password_holds_what_is_asked_and_nothing_else(rules in rules()) {
            // A second reading of the rules, by predicates on characters.
            type Fits = fn(char) -> bool;
            let kinds: [(bool, Fits); 5] = [
                (!rules.exclude_lowercase, |c| c.is_ascii_lowercase()),
                (!rules.exclude_uppercase, |c| c.is_ascii_uppercase()),
                (!rules.exclude_numbers, |c| c.is_ascii_digit()),
                (!rules.exclude_punctuation, |c| c.is_ascii_punctuation()),
                (rules.include_space, |c| c == ' '),
            ];
            let may = |c: char| !rules.exclude.contains(c) && kinds.iter().any(|(is_in, fits)| *is_in && fits(c));
            let asked: Vec<_> = kinds
                .iter()
                .filter(|(is_in, fits)| *is_in && (' '..='~').any(|c| fits(c) && !rules.exclude.contains(c)))
                .collect();
            match made(&rules) {
                Ok(password) => {
                    prop_assert_eq!(password.len(), rules.length);
                    prop_assert!(password.chars().all(may), "{:?}", password);
                    if rules.require_each {
                        prop_assert!(asked.iter().all(|(_, fits)| password.chars().any(fits)), "{:?}", password);
                    }
                }
                Err(PasswordError::Length) => prop_assert_eq!(rules.length, 0),
                Err(PasswordError::NoCharacters) => prop_assert!(asked.is_empty()),
                Err(PasswordError::TooShort) => prop_assert!(rules.require_each && rules.length < asked.len()),
                Err(PasswordError::Random) => prop_assert!(false, "random bytes are there"),
            }
        }
    }

    #[test]
    fn the_default_is_32_characters_of_four_kinds() {
        let password = made(&PasswordRules::default()).unwrap();
        assert_eq!(password.len(), 32);
        assert_ne!(password, made(&PasswordRules::default()).unwrap());
        let too_long = PasswordRules { length: 4_097, ..PasswordRules::default() };
        assert_eq!(made(&too_long).err(), Some(PasswordError::Length));
        assert_eq!(PasswordRules::default().generate(&NoRandom).err(), Some(PasswordError::Random));
    }

    /// Chi-squared over 94 characters: 93 degrees of freedom, above 190 less than once in a hundred million runs.
    #[test]
    fn no_character_is_likelier_than_another() {
        let rules = PasswordRules { length: 4_096, require_each: false, ..PasswordRules::default() };
        let mut counts: BTreeMap<char, f64> = (' '..='~').filter(|c| *c != ' ').map(|c| (c, 0.0)).collect();
        for _ in 0..20 {
            made(&rules).unwrap().chars().for_each(|c| *counts.get_mut(&c).unwrap() += 1.0);
        }
        let expected = 20.0 * 4_096.0 / 94.0;
        let chi: f64 = counts.values().map(|count| (count - expected) * (count - expected) / expected).sum();
        assert!(chi < 190.0, "{chi}");
    }
}
