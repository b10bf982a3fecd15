//! Variables: `${uin}`, `${owner_uin}`, `${app_id}`, in names and in condition values.
//!
//! They are taken out before patterns are parsed and put in literally when a request is decided: no value of a
//! variable becomes a wildcard.

/// A piece of a text with variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// As written.
    Written(&'a str),
    /// The caller's creator number.
    Uin,
    /// The account; known when the set is loaded.
    Account,
}

/// Why a text with `${` is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum VariableError {
    #[error("`${{` is never closed")]
    Unclosed,
    #[error("the variables are `${{uin}}`, `${{owner_uin}}` and `${{app_id}}`")]
    Unknown,
}

/// Divides a text at its variables.
///
/// # Errors
/// [`VariableError`] if a `${` is not closed or names no variable. A `$` before anything else is a character.
pub(super) fn divide(text: &str) -> Result<Vec<Piece<'_>>, VariableError> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, next) = after.split_once('}').ok_or(VariableError::Unclosed)?;
        if !before.is_empty() {
            pieces.push(Piece::Written(before));
        }
        pieces.push(match name {
            "uin" => Piece::Uin,
            "owner_uin" | "app_id" => Piece::Account,
            _ => return Err(VariableError::Unknown),
        });
        rest = next;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Written(rest));
    }
    Ok(pieces)
}

/// A text in which only `${uin}` is still open.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Text(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Part {
    Literal(String),
    Uin,
}

impl Text {
    /// Reads a text with variables.
    ///
    /// # Errors
    /// [`VariableError`].
    pub(super) fn parse(text: &str, account: &str) -> Result<Self, VariableError> {
        let part = |piece| match piece {
            Piece::Written(text) => Part::Literal(text.to_owned()),
            Piece::Account => Part::Literal(account.to_owned()),
            Piece::Uin => Part::Uin,
        };
        Ok(Self(divide(text)?.into_iter().map(part).collect()))
    }

    /// The text with `uin` put in.
    pub(super) fn with(&self, uin: &str) -> String {
        let part = |part: &Part| match part {
            Part::Literal(text) => text.clone(),
            Part::Uin => uin.to_owned(),
        };
        self.0.iter().map(part).collect()
    }

    /// Whether `${uin}` stands in it.
    pub(super) fn has_uin(&self) -> bool {
        self.0.contains(&Part::Uin)
    }

    /// Whether `value` is this text, by bytes or with ASCII letters folded.
    pub(super) fn equals(&self, value: &str, uin: &str, ignore_case: bool) -> bool {
        let mut rest = value.as_bytes();
        for part in &self.0 {
            let wanted = match part {
                Part::Literal(text) => text.as_bytes(),
                Part::Uin => uin.as_bytes(),
            };
            let Some((head, tail)) = rest.split_at_checked(wanted.len()) else {
                return false;
            };
            let same = if ignore_case { head.eq_ignore_ascii_case(wanted) } else { head == wanted };
            if !same {
                return false;
            }
            rest = tail;
        }
        rest.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_found_and_others_refused() {
        assert_eq!(divide("a${uin}b").unwrap(), [Piece::Written("a"), Piece::Uin, Piece::Written("b")]);
        assert_eq!(divide("${owner_uin}${app_id}").unwrap(), [Piece::Account, Piece::Account]);
        assert_eq!(divide("$uin}{$").unwrap(), [Piece::Written("$uin}{$")]);
        assert_eq!(divide("${uin"), Err(VariableError::Unclosed));
        for text in ["${}", "${Uin}", "${ uin}", "${qcs:user}", "${a${uin}}", "${*}"] {
            assert_eq!(divide(text), Err(VariableError::Unknown), "{text}");
        }
    }

    #[test]
    fn replacement_is_literal_and_the_whole_text_counts() {
        let text = Text::parse("x-${uin}-${app_id}", "1").unwrap();
        assert!(text.equals("x-7-1", "7", false));
        assert!(text.equals("X-7-1", "7", true));
        for other in ["x-70-1", "x-7-11", "x-7-", "", "X-7-1", "x-8-1"] {
            assert!(!text.equals(other, "7", false), "{other}");
        }
    }
}
