//! What is wrong with a policy set: code, place, the offending text, and what to write instead.

use std::fmt;

use super::json::Position;

macro_rules! codes {
    ($($(#[$doc:meta])* $code:ident)*) => {
        /// The codes of load errors. Each refuses the whole set.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $($(#[$doc])* $code,)* }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$code,)*];

            /// The name, without the prefix `InvalidParameter.`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$code => stringify!($code),)* }
            }
        }
    };
}

codes! {
    /// Not JSON, not an object, byte-order mark, trailing bytes, bad UTF-8, a repeated key, an unknown element, nesting.
    PolicyDocumentError
    /// Longer than the limit.
    PolicyDocumentLengthOverLimit
    /// Absent, or not `"2.0"` or `"3.0"`.
    VersionError
    /// Statement absent, not a list, empty; an unknown element in a statement.
    StatementError
    /// Absent, or not exactly `allow` or `deny`.
    EffectError
    /// Bad form, `?`, `permid/`.
    ActionError
    /// Absent or an empty list.
    ActionMiss
    /// A service that neither the catalogue nor the foreign services have.
    ActionServiceNotExist
    /// Matches no action of the catalogue.
    ActionNotExist
    /// Absent or an empty list.
    ResourceError
    /// Not six segments that start with `qcs`.
    ResourceQcsError
    /// Project segment.
    ResourceProjectError
    /// Service segment.
    ResourceServiceNotExist
    /// Region segment.
    ResourceRegionError
    /// Account segment.
    ResourceUinError
    /// Last segment; or no action of the statement can have such a resource.
    ResourceContentError
    /// Not an object, or empty at any level.
    ConditionError
    /// Unknown operator, qualifier or suffix; an operator unfit for the key.
    ConditionTypeError
    /// Unknown key, empty list, bad value, bad variable.
    ConditionContentError
    /// A principal where none is allowed.
    PrincipalError
    /// A principal of bad form.
    PrincipalQcsError
    /// An issuer that is not configured; an unknown `local` group or role; a cycle of groups.
    PrincipalQcsNotExist
    /// A principal of another account.
    PrincipalQcsCrossError
    /// A service that keyward does not have.
    PrincipalServiceNotExist
    /// A deny or boundary reached through a token group that a token may leave out.
    PrincipalGroupOptional
    /// `attachments.json` or a role file: not JSON, unknown field, wrong type or version, a repeated key.
    AttachmentError
    /// The name of a file in the policy folder.
    PolicyNameError
    /// An attachment of a policy that does not exist.
    PolicyIdNotExist
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file, relative to the policy folder.
    pub file: String,
    /// 1-based line; 0 when the finding is about the file itself.
    pub line: u32,
    /// 1-based column, in Unicode scalar values; 0 when the finding is about the file itself.
    pub column: u32,
    /// What kind of error.
    pub code: Code,
    /// The offending text, shortened.
    pub text: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: InvalidParameter.{}: ", self.file, self.line, self.column, self.code.name())?;
        if !self.text.is_empty() {
            write!(f, "`{}`: ", self.text)?;
        }
        f.write_str(&self.message)
    }
}

/// Longest offending text that is quoted, in Unicode scalar values.
const TEXT_CHARACTERS_MAX: usize = 80;

/// The findings of one file.
#[derive(Debug)]
pub(super) struct Findings {
    file: String,
    list: Vec<Finding>,
}

impl Findings {
    pub(super) fn of(file: &str) -> Self {
        Self { file: file.to_owned(), list: Vec::new() }
    }

    /// Adds a finding at a place of the file.
    pub(super) fn add(&mut self, at: Position, code: Code, text: &str, message: impl Into<String>) {
        self.list.push(Finding {
            file: self.file.clone(),
            line: at.line,
            column: at.column,
            code,
            text: shorten(text),
            message: message.into(),
        });
    }

    /// Adds a finding about the file as a whole.
    pub(super) fn add_file(&mut self, code: Code, text: &str, message: impl Into<String>) {
        self.add(Position { line: 0, column: 0 }, code, text, message);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn into_list(self) -> Vec<Finding> {
        self.list
    }
}

/// Quotes at most [`TEXT_CHARACTERS_MAX`] characters and no control characters.
pub(super) fn shorten(text: &str) -> String {
    let printable = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut short: String = text.chars().take(TEXT_CHARACTERS_MAX).map(printable).collect();
    if text.chars().nth(TEXT_CHARACTERS_MAX).is_some() {
        short.push('…');
    }
    short
}
