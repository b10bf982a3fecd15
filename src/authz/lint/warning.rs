//! What the linter says: a rule with a code that stays, the place, the offending text, and what to write instead.

use std::fmt;

use crate::authz::finding::shorten;
use crate::authz::json::Position;

macro_rules! rules {
    ($($(#[$doc:meta])* $code:ident $name:ident)*) => {
        /// The rules. Codes and names stay what they are: waivers, editors and CI name them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Rule { $($(#[$doc])* $name,)* }

        impl Rule {
            /// Every rule.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The code, such as `W1`.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => stringify!($code),)* }
            }

            /// The name in words.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }
    };
}

rules! {
    /// A deny with a negated operator that an absent key switches off.
    W1 NegatedDenyAbsent
    /// A deny with `for_all_value` that an empty set switches off.
    W2 ForAllDenyEmpty
    /// An allow that an absent key makes wider.
    W3 AllowIfAbsent
    /// A literal creator number.
    W4 LiteralCreator
    /// An action that never matches the statement's resources.
    W5 ActionNeverMatches
    /// Reading the value of every secret.
    W6 EverySecretValue
    /// A range with host bits, a date that has passed, ranges of one family.
    W7 ValueNeverMeant
    /// A wildcard that is literal, a document near its limit, a statement without effect.
    W8 WithoutEffect
    /// A list call of a role session that the vendor would block.
    W9 RoleLists
    /// A trust policy that admits any subject.
    W10 AnySubject
    /// An attachment that reaches nobody.
    W11 ReachesNobody
    /// A deny or boundary that a token could shed by leaving its roles out.
    W12 SheddableRole
    /// Names of secrets that differ only in letter case.
    W13 SecretNameCase
    /// An allow that denies take away entirely.
    W14 Shadowed
    /// A statement that another makes superfluous.
    W15 Implied
    /// Names in the folder that differ only in letter case.
    W16 NameCase
    /// A test that cannot be run: its form, or an unknown action or principal.
    W17 TestError
    /// Somebody who may change credentials or keys of those who may do more.
    W18 Escalation
    /// A waiver that waives nothing.
    W19 WaiverUnused
    /// A file of waivers that is not understood.
    W20 WaiverError
    /// A wildcard that was used for a few names.
    W21 WiderThanUsed
}

impl Rule {
    /// The rule of that code.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|rule| rule.code() == code)
    }

    /// Whether a waiver may name it: waivers do not waive what is wrong with waivers.
    #[must_use]
    pub const fn can_be_waived(self) -> bool {
        !matches!(self, Self::WaiverUnused | Self::WaiverError)
    }
}

/// One warning.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warning {
    /// The file, relative to the policy folder.
    pub file: String,
    /// 1-based line.
    pub line: u32,
    /// 1-based column, in Unicode scalar values.
    pub column: u32,
    /// Which rule.
    pub rule: Rule,
    /// The statement it is about, by its 0-based place, if it is about one.
    pub statement: Option<u32>,
    /// The offending text, shortened.
    pub text: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (code, name) = (self.rule.code(), self.rule.name());
        write!(f, "{}:{}:{}: {code} {name}: `{}`: {}", self.file, self.line, self.column, self.text, self.message)
    }
}

/// Where a warning stands and what it quotes.
#[derive(Clone, Copy, Debug)]
pub(in crate::authz) struct Spot<'a> {
    pub(in crate::authz) file: &'a str,
    pub(in crate::authz) at: Position,
    pub(in crate::authz) text: &'a str,
    pub(in crate::authz) statement: Option<u32>,
}

/// The warnings of a folder.
#[derive(Debug, Default)]
pub(in crate::authz) struct Warnings(Vec<Warning>);

impl Warnings {
    pub(in crate::authz) fn add(&mut self, rule: Rule, spot: Spot<'_>, message: impl Into<String>) {
        self.0.push(Warning {
            file: spot.file.to_owned(),
            line: spot.at.line,
            column: spot.at.column,
            rule,
            statement: spot.statement,
            text: shorten(spot.text),
            message: message.into(),
        });
    }

    /// Sorted by file and place, each once.
    pub(in crate::authz) fn into_list(mut self) -> Vec<Warning> {
        self.0.sort();
        self.0.dedup();
        self.0
    }
}
