//! A value written out as a file for people: two spaces a level, in one line what fits one. Numbers keep their text.

use super::{Member, Node, Position, Value};

/// Longest line that is not broken, in characters.
const WIDTH: usize = 110;
/// Levels that are broken in any case: the object that a file is, and its lists.
const BROKEN: usize = 2;
/// Where what nobody wrote stands.
const NOWHERE: Position = Position { line: 1, column: 1 };

impl Node {
    /// A value that stands in no file yet.
    pub(in crate::authz) const fn new(value: Value) -> Self {
        Self { at: NOWHERE, value }
    }

    /// A list of texts; a single one stands without brackets.
    pub(in crate::authz) fn of_texts(texts: &[String]) -> Self {
        let text = |text: &String| Self::new(Value::String(text.clone()));
        match texts {
            [one] => text(one),
            many => Self::new(Value::List(many.iter().map(text).collect())),
        }
    }

    /// The file that holds this value alone.
    pub(in crate::authz) fn file_text(&self) -> String {
        let mut text = String::new();
        write(self, 0, 0, &mut text);
        text.push('\n');
        text
    }
}

impl Member {
    /// A member that stands in no file yet.
    pub(in crate::authz) fn new(key: &str, node: Node) -> Self {
        Self { at: NOWHERE, key: key.to_owned(), node }
    }
}

/// Writes a value at a level, behind so many characters of its line.
fn write(node: &Node, level: usize, before: usize, text: &mut String) {
    let line = one_line(node);
    let is_small = level >= BROKEN && before.saturating_add(line.chars().count()) <= WIDTH;
    match &node.value {
        Value::List(items) if !is_small && !items.is_empty() => {
            let items = items.iter().map(|item| (String::new(), item));
            broken(["[", "]"], items, level, text);
        }
        Value::Object(members) if !is_small && !members.is_empty() => {
            let members = members.iter().map(|member| (format!("{}: ", quoted(&member.key)), &member.node));
            broken(["{", "}"], members, level, text);
        }
        _ => text.push_str(&line),
    }
}

fn broken<'a>(
    [open, close]: [&str; 2],
    parts: impl Iterator<Item = (String, &'a Node)>,
    level: usize,
    text: &mut String,
) {
    text.push_str(open);
    let inner = level.saturating_add(1);
    for (place, (name, node)) in parts.enumerate() {
        text.push_str(if place == 0 { "\n" } else { ",\n" });
        text.push_str(&"  ".repeat(inner));
        text.push_str(&name);
        write(node, inner, name.chars().count().saturating_add(inner.saturating_mul(2)), text);
    }
    text.push('\n');
    text.push_str(&"  ".repeat(level));
    text.push_str(close);
}

fn one_line(node: &Node) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(text) => text.clone(),
        Value::String(text) => quoted(text),
        Value::List(items) => format!("[{}]", items.iter().map(one_line).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let one = |member: &Member| format!("{}: {}", quoted(&member.key), one_line(&member.node));
            format!("{{{}}}", members.iter().map(one).collect::<Vec<_>>().join(", "))
        }
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::read;

    #[test]
    fn what_is_written_is_read_as_it_was_and_looks_as_people_write_it() {
        let text = r#"{
  "version": "2.0",
  "statement": [
    {"effect": "allow", "action": "ssm:*", "resource": "*"},
    {
      "effect": "deny",
      "action": ["ssm:DescribeSecret", "ssm:GetSecretValue", "ssm:ListSecretVersionIds"],
      "resource": "qcs::ssm:::secret/creatorUin/*/a\"b",
      "condition": {"numeric_less_than": {"keyward:recovery_window": 123456789012345678.10}}
    }
  ]
}
"#;
        assert_eq!(read(text.as_bytes()).unwrap().file_text(), text);
        for small in ["{}\n", "[]\n", "null\n", "true\n", "1.50\n"] {
            assert_eq!(read(small.trim().as_bytes()).unwrap().file_text(), small);
        }
    }
}
