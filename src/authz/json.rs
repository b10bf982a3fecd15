//! A strict JSON reader (RFC 8259) that keeps the place of every node, for findings with line and column.
//!
//! Stricter than the usual: a repeated key is an error at any depth, also when spelled with `\u` escapes (C4), a
//! byte-order mark, trailing bytes and bad UTF-8 are errors, and nesting is bounded, so reading cannot exhaust the
//! stack (I10). Numbers keep their text.

mod text;

use std::collections::HashSet;
use std::str::Chars;

/// Deepest nesting of objects and lists in what requests are decided by.
pub(super) const DEPTH_MAX: usize = 8;
/// The same in files for authors, which hold whole documents.
pub(super) const AUTHORS_DEPTH_MAX: usize = 12;

/// A place in a file: 1-based line, and 1-based column in Unicode scalar values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) line: u32,
    pub(super) column: u32,
}

/// A value and where it starts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) value: Value,
}

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// The number's text.
    Number(String),
    String(String),
    List(Vec<Node>),
    Object(Vec<Member>),
}

/// A member of an object and where its key starts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Member {
    pub(super) at: Position,
    pub(super) key: String,
    pub(super) node: Node,
}

impl Node {
    /// The value as a finding quotes it.
    pub(super) fn text(&self) -> String {
        match &self.value {
            Value::Null => "null".to_owned(),
            Value::Bool(value) => value.to_string(),
            Value::Number(text) | Value::String(text) => text.clone(),
            Value::List(_) => "[…]".to_owned(),
            Value::Object(_) => "{…}".to_owned(),
        }
    }

    pub(super) fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The text of a number.
    pub(super) fn as_number(&self) -> Option<&str> {
        match &self.value {
            Value::Number(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn as_list(&self) -> Option<&[Self]> {
        match &self.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    pub(super) fn as_object(&self) -> Option<&[Member]> {
        match &self.value {
            Value::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The members of an object.
    pub(super) fn into_members(self) -> Option<Vec<Member>> {
        match self.value {
            Value::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The same value, without places.
    pub(super) fn plain(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            // What is read as a number is one for everybody; one too large for a float is none of ours.
            Value::Number(text) => serde_json::from_str(text).unwrap_or_default(),
            Value::String(text) => text.clone().into(),
            Value::List(list) => list.iter().map(Self::plain).collect(),
            Value::Object(members) => members.iter().map(|member| (member.key.clone(), member.node.plain())).collect(),
        }
    }

    /// The elements of a list, or the value itself: CAM lets a single value stand without brackets.
    pub(super) fn one_or_many(&self) -> &[Self] {
        match &self.value {
            Value::List(list) => list,
            _ => std::slice::from_ref(self),
        }
    }
}

/// What is wrong with a text that should be JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JsonError {
    pub(super) at: Position,
    pub(super) text: String,
    pub(super) message: &'static str,
}

/// Reads one JSON value that fills the whole of `bytes`.
///
/// # Errors
/// Every repeated key, and the first error of any other kind.
pub(super) fn read(bytes: &[u8]) -> Result<Node, Vec<JsonError>> {
    read_nested(bytes, DEPTH_MAX)
}

/// As [`read`], nested up to `depth_max`.
///
/// # Errors
/// Every repeated key, and the first error of any other kind.
pub(super) fn read_nested(bytes: &[u8], depth_max: usize) -> Result<Node, Vec<JsonError>> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => return Err(vec![bad_utf8(bytes, error.valid_up_to())]),
    };
    let at = Position { line: 1, column: 1 };
    let mut reader = Reader { rest: text.chars(), at, depth: 0, depth_max, repeated: Vec::new() };
    match reader.document() {
        Ok(node) if reader.repeated.is_empty() => Ok(node),
        Ok(_) => Err(reader.repeated),
        Err(error) => {
            reader.repeated.push(error);
            Err(reader.repeated)
        }
    }
}

fn bad_utf8(bytes: &[u8], valid: usize) -> JsonError {
    let mut at = Position { line: 1, column: 1 };
    let good = bytes.get(..valid).and_then(|good| std::str::from_utf8(good).ok()).unwrap_or_default();
    good.chars().for_each(|c| at.pass(c));
    JsonError { at, text: String::new(), message: "not UTF-8" }
}

impl Position {
    fn pass(&mut self, c: char) {
        if c == '\n' {
            self.line = self.line.saturating_add(1);
            self.column = 1;
        } else {
            self.column = self.column.saturating_add(1);
        }
    }
}

struct Reader<'a> {
    rest: Chars<'a>,
    at: Position,
    depth: usize,
    depth_max: usize,
    repeated: Vec<JsonError>,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.clone().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        self.at.pass(c);
        Some(c)
    }

    fn take(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.next();
        }
        found
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t' | '\n' | '\r')) {
            self.next();
        }
    }

    fn error(&self, message: &'static str) -> JsonError {
        JsonError { at: self.at, text: self.peek().map(String::from).unwrap_or_default(), message }
    }

    fn document(&mut self) -> Result<Node, JsonError> {
        if self.peek() == Some('\u{feff}') {
            return Err(self.error("a byte-order mark; save the file without it"));
        }
        self.skip_space();
        let node = self.node()?;
        self.skip_space();
        match self.peek() {
            None => Ok(node),
            Some(_) => Err(self.error("text after the end of the JSON value")),
        }
    }

    fn node(&mut self) -> Result<Node, JsonError> {
        let at = self.at;
        let value = match self.peek() {
            Some('{') => self.nested(Self::object)?,
            Some('[') => self.nested(Self::list)?,
            Some('"') => Value::String(self.string()?),
            Some('-' | '0'..='9') => Value::Number(self.number()?),
            Some('a'..='z') => self.word()?,
            Some(_) => return Err(self.error("not JSON: a value is expected here")),
            None => return Err(self.error("the text ends where a value is expected")),
        };
        Ok(Node { at, value })
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Value, JsonError>) -> Result<Value, JsonError> {
        if self.depth == self.depth_max {
            return Err(self.error("nested deeper than this kind of file may be"));
        }
        self.depth += 1;
        self.next();
        self.skip_space();
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn object(&mut self) -> Result<Value, JsonError> {
        let mut members = Vec::new();
        let mut keys = HashSet::new();
        if self.take('}') {
            return Ok(Value::Object(members));
        }
        loop {
            let member = self.member()?;
            if !keys.insert(member.key.clone()) {
                let message = "this key stands twice in one object; merge the two";
                self.repeated.push(JsonError { at: member.at, text: member.key.clone(), message });
            }
            members.push(member);
            if !self.another('}')? {
                return Ok(Value::Object(members));
            }
        }
    }

    fn member(&mut self) -> Result<Member, JsonError> {
        let at = self.at;
        if self.peek() != Some('"') {
            return Err(self.error("not JSON: a key in double quotes is expected here"));
        }
        let key = self.string()?;
        self.skip_space();
        if !self.take(':') {
            return Err(self.error("not JSON: `:` is expected after a key"));
        }
        self.skip_space();
        Ok(Member { at, key, node: self.node()? })
    }

    fn list(&mut self) -> Result<Value, JsonError> {
        let mut list = Vec::new();
        if self.take(']') {
            return Ok(Value::List(list));
        }
        loop {
            list.push(self.node()?);
            if !self.another(']')? {
                return Ok(Value::List(list));
            }
        }
    }

    /// Whether a comma announces another element before `end`.
    fn another(&mut self, end: char) -> Result<bool, JsonError> {
        self.skip_space();
        if self.take(end) {
            return Ok(false);
        }
        if !self.take(',') {
            return Err(self.error("not JSON: `,` or the closing bracket is expected here"));
        }
        self.skip_space();
        Ok(true)
    }

    fn word(&mut self) -> Result<Value, JsonError> {
        let start = self.at;
        let mut word = String::new();
        while let Some(c) = self.peek().filter(char::is_ascii_alphanumeric) {
            word.push(c);
            self.next();
        }
        match word.as_str() {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            "null" => Ok(Value::Null),
            _ => Err(JsonError { at: start, text: word, message: "not JSON: text stands in double quotes" }),
        }
    }

    fn number(&mut self) -> Result<String, JsonError> {
        let mut text = String::new();
        self.sign(&mut text, &['-']);
        if self.take('0') {
            text.push('0');
        } else {
            self.digits(&mut text)?;
        }
        if self.take('.') {
            text.push('.');
            self.digits(&mut text)?;
        }
        if matches!(self.peek(), Some('e' | 'E')) {
            text.extend(self.next());
            self.sign(&mut text, &['+', '-']);
            self.digits(&mut text)?;
        }
        Ok(text)
    }

    fn sign(&mut self, text: &mut String, signs: &[char]) {
        if self.peek().is_some_and(|c| signs.contains(&c)) {
            text.extend(self.next());
        }
    }

    fn digits(&mut self, text: &mut String) -> Result<(), JsonError> {
        let before = text.len();
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            text.extend(self.next());
        }
        if text.len() == before { Err(self.error("not JSON: a digit is expected here")) } else { Ok(()) }
    }

    fn string(&mut self) -> Result<String, JsonError> {
        let mut text = String::new();
        self.next();
        loop {
            match self.peek() {
                Some('"') => {
                    self.next();
                    return Ok(text);
                }
                Some('\\') => text.push(self.escape()?),
                Some(c) if c < ' ' => return Err(self.error("not JSON: a control character inside a string")),
                Some(c) => {
                    text.push(c);
                    self.next();
                }
                None => return Err(self.error("the text ends inside a string")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        self.next();
        let c = match self.peek() {
            Some('"') => '"',
            Some('\\') => '\\',
            Some('/') => '/',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => return self.unicode_escape(),
            _ => return Err(self.error("not JSON: an unknown escape in a string")),
        };
        self.next();
        Ok(c)
    }

    fn unicode_escape(&mut self) -> Result<char, JsonError> {
        const LONE: &str = "not JSON: half of a surrogate pair";
        let first = self.four_digits()?;
        if !(0xd800..0xe000).contains(&first) {
            return char::from_u32(first).ok_or_else(|| self.error(LONE));
        }
        if first >= 0xdc00 || !self.take('\\') || self.peek() != Some('u') {
            return Err(self.error(LONE));
        }
        let second = self.four_digits()?;
        if !(0xdc00..0xe000).contains(&second) {
            return Err(self.error(LONE));
        }
        char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)).ok_or_else(|| self.error(LONE))
    }

    fn four_digits(&mut self) -> Result<u32, JsonError> {
        self.next();
        let mut number = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|c| c.to_digit(16));
            number = number * 16 + digit.ok_or_else(|| self.error("not JSON: `\\u` needs four hex digits"))?;
            self.next();
        }
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn first_error(text: &str) -> (u32, u32, &'static str) {
        let errors = read(text.as_bytes()).unwrap_err();
        let error = errors.first().unwrap();
        (error.at.line, error.at.column, error.message)
    }

    #[test]
    fn a_node_keeps_its_place() {
        let node = read("{\n  \"é\": [1, \"x\"]\n}".as_bytes()).unwrap();
        let member = &node.as_object().unwrap()[0];
        assert_eq!(member.at, Position { line: 2, column: 3 });
        assert_eq!(member.node.as_list().unwrap()[1].at, Position { line: 2, column: 12 });
    }

    #[test]
    fn attack_d04_json_that_others_accept_is_refused() {
        for text in [
            "",
            " ",
            "{",
            "{\"a\":1,}",
            "[1,]",
            "{\"a\" 1}",
            "{a:1}",
            "{'a':1}",
            "nul",
            "tru",
            "01",
            "1.",
            "-",
            "1e",
            "+1",
            ".5",
            "\"\\x\"",
            "\"\\ud800\"",
            "\"\\udc00\\ud800\"",
            "\"\\u12g4\"",
            "\"a\nb\"",
            "\"a",
            "{} {}",
            "{}x",
            "NaN",
            "[1 2]",
            "// c\n{}",
            "\u{feff}{}",
            "{}\u{0}",
            "\u{a0}{}",
        ] {
            assert!(read(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(read(b"{\"a\":\"\xff\"}").is_err());
        assert!(read(b"\"\xc0\xaf\"").is_err());
    }

    #[test]
    fn a_repeated_key_is_found_at_any_depth_and_however_it_is_spelled() {
        assert_eq!(first_error("{\"a\":1,\n \"\\u0061\":2}").0, 2);
        assert_eq!(first_error("[{\"b\":{\"a\":1,\"a\":2}}]").1, 14);
        assert_eq!(read(b"{\"a\":1,\"a\":2,\"b\":1,\"b\":1}").unwrap_err().len(), 2);
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(nested(8).as_bytes()).is_ok());
        assert!(read(nested(9).as_bytes()).is_err());
        assert!(read("[".repeat(10_000).as_bytes()).is_err());
    }

    #[test]
    fn bad_utf8_is_placed() {
        assert_eq!(read(b"{\n\xc3\xa9\xff").unwrap_err()[0].at, Position { line: 2, column: 2 });
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_read_as_serde_json_reads_it(text in r#"[\[\]{},:"\\u0-9a-e.\-+ truefalsn]{0,24}"#) {
            let theirs = serde_json::from_str::<serde_json::Value>(&text);
            match read(text.as_bytes()) {
                Ok(node) => prop_assert_eq!(node.plain(), theirs.unwrap()),
                Err(errors) => prop_assert!(
                    theirs.is_err() || errors.iter().any(|e| e.message.contains("twice") || e.message.contains("deeper"))
                        || text.contains(['e', '.']),
                    "{:?}", errors
                ),
            }
        }

        #[test]
        fn strings_come_back(text in any::<String>()) {
            let written = serde_json::to_string(&text).unwrap();
            let node = read(written.as_bytes()).unwrap();
            prop_assert_eq!(node.as_str(), Some(text.as_str()));
        }
    }
}
