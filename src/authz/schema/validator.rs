//! A validator of the part of JSON Schema that our schemas use, for their tests. A keyword that it does not know is a fault of the
//! test, so that nothing is skipped.

use serde_json::{Map, Value};

/// What is wrong with a value, by the paths of schema keywords.
pub(super) fn errors(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(schema, schema, value, "", &mut found);
    found
}

fn is_valid(root: &Value, schema: &Value, value: &Value) -> bool {
    let mut found = Vec::new();
    check(root, schema, value, "", &mut found);
    found.is_empty()
}

fn check(root: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let Some(keywords) = schema.as_object() else {
        assert_eq!(schema, &Value::Bool(true), "a schema is an object or true");
        return;
    };
    for (keyword, of) in keywords {
        let here = format!("{at}/{keyword}");
        if !holds(root, keywords, keyword, of, value, &here, found) {
            found.push(format!("{here}: {value}"));
        }
    }
}

fn number(of: &Value) -> usize {
    usize::try_from(of.as_u64().expect("a number")).unwrap()
}

#[expect(clippy::too_many_arguments, reason = "a test's walk carries its place")]
fn holds(
    root: &Value,
    keywords: &Map<String, Value>,
    keyword: &str,
    of: &Value,
    value: &Value,
    at: &str,
    found: &mut Vec<String>,
) -> bool {
    let (list, members) = (value.as_array(), value.as_object());
    match keyword {
        "$schema" | "$defs" | "title" | "description" | "examples" | "then" | "else" => true,
        "$ref" => {
            let path = of.as_str().unwrap().strip_prefix('#').expect("a place of this schema");
            check(root, root.pointer(path).expect("a definition"), value, at, found);
            true
        }
        "type" => match of {
            Value::Array(types) => types.iter().any(|one| is_of(one.as_str().unwrap(), value)),
            one => is_of(one.as_str().unwrap(), value),
        },
        "enum" => of.as_array().unwrap().contains(value),
        "const" => of == value,
        "anyOf" => of.as_array().unwrap().iter().any(|one| is_valid(root, one, value)),
        "not" => !is_valid(root, of, value),
        "if" => {
            let next = if is_valid(root, of, value) { "then" } else { "else" };
            keywords.get(next).is_none_or(|next| is_valid(root, next, value))
        }
        "pattern" => value.as_str().is_none_or(|text| pattern::is_match(of.as_str().unwrap(), text)),
        "minLength" => value.as_str().is_none_or(|text| text.chars().count() >= number(of)),
        "minimum" => value.as_f64().is_none_or(|value| value >= of.as_f64().unwrap()),
        "maximum" => value.as_f64().is_none_or(|value| value <= of.as_f64().unwrap()),
        "minItems" => list.is_none_or(|list| list.len() >= number(of)),
        "maxItems" => list.is_none_or(|list| list.len() <= number(of)),
        "minProperties" => members.is_none_or(|members| members.len() >= number(of)),
        "required" => {
            let has = |name: &Value| members.is_none_or(|members| members.contains_key(name.as_str().unwrap()));
            of.as_array().unwrap().iter().all(has)
        }
        "items" => {
            list.into_iter().flatten().for_each(|one| check(root, of, one, at, found));
            true
        }
        "properties" => {
            for (name, one) in of.as_object().unwrap() {
                if let Some(value) = value.get(name) {
                    check(root, one, value, &format!("{at}/{name}"), found);
                }
            }
            true
        }
        "additionalProperties" => {
            let known = keywords.get("properties").and_then(Value::as_object);
            let others = members.into_iter().flatten();
            let mut others = others.filter(|(name, _)| known.is_none_or(|known| !known.contains_key(*name)));
            match of {
                Value::Bool(false) => others.next().is_none(),
                schema => others.all(|(_, value)| is_valid(root, schema, value)),
            }
        }
        other => panic!("the validator does not know `{other}`"),
    }
}

fn is_of(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "boolean" => value.is_boolean(),
        other => panic!("no type `{other}`"),
    }
}

/// Regular expressions as far as the schemas use them: alternatives in groups, classes, `.`, escapes, `*`, `+`, `?`, `^` and `$`.
mod pattern {
    /// A part of an expression.
    enum Part {
        One(Box<dyn Fn(char) -> bool>),
        Group(Vec<Vec<Part>>),
        Start,
        End,
        /// A part, its least and its most number of times.
        Times(Box<Part>, usize, usize),
    }

    pub(super) fn is_match(pattern: &str, text: &str) -> bool {
        let (alternatives, rest) = alternatives(&pattern.chars().collect::<Vec<_>>(), 0);
        assert_eq!(rest, pattern.chars().count(), "all of `{pattern}` is read");
        let text: Vec<char> = text.chars().collect();
        (0..=text.len()).any(|from| ends(&alternatives, &text, from).next().is_some())
    }

    fn alternatives(pattern: &[char], mut at: usize) -> (Vec<Vec<Part>>, usize) {
        let mut all = vec![Vec::new()];
        while at < pattern.len() && pattern[at] != ')' {
            if pattern[at] == '|' {
                all.push(Vec::new());
                at += 1;
                continue;
            }
            let (mut part, next) = part(pattern, at);
            at = next;
            let times = match pattern.get(at) {
                Some('*') => Some((0, usize::MAX)),
                Some('+') => Some((1, usize::MAX)),
                Some('?') => Some((0, 1)),
                _ => None,
            };
            if let Some((least, most)) = times {
                part = Part::Times(Box::new(part), least, most);
                at += 1;
            }
            all.last_mut().unwrap().push(part);
        }
        (all, at)
    }

    fn part(pattern: &[char], at: usize) -> (Part, usize) {
        match pattern[at] {
            '^' => (Part::Start, at + 1),
            '$' => (Part::End, at + 1),
            '.' => (Part::One(Box::new(|c| c != '\n')), at + 1),
            '\\' => (exactly(pattern[at + 1]), at + 2),
            '(' => {
                let (inner, end) = alternatives(pattern, at + 1);
                (Part::Group(inner), end + 1)
            }
            '[' => class(pattern, at + 1),
            c => (exactly(c), at + 1),
        }
    }

    fn exactly(wanted: char) -> Part {
        Part::One(Box::new(move |c| c == wanted))
    }

    fn class(pattern: &[char], mut at: usize) -> (Part, usize) {
        let negated = pattern[at] == '^';
        at += usize::from(negated);
        let mut ranges = Vec::new();
        while pattern[at] != ']' {
            if pattern[at + 1] == '-' && pattern[at + 2] != ']' {
                ranges.push((pattern[at], pattern[at + 2]));
                at += 3;
            } else {
                ranges.push((pattern[at], pattern[at]));
                at += 1;
            }
        }
        (Part::One(Box::new(move |c| ranges.iter().any(|(a, b)| (*a..=*b).contains(&c)) != negated)), at + 1)
    }

    /// Where matches of one of the alternatives end.
    fn ends<'a>(alternatives: &'a [Vec<Part>], text: &'a [char], from: usize) -> impl Iterator<Item = usize> + 'a {
        alternatives.iter().flat_map(move |parts| sequence(parts, text, from))
    }

    fn sequence(parts: &[Part], text: &[char], from: usize) -> Vec<usize> {
        let mut at = vec![from];
        for part in parts {
            let mut next: Vec<usize> = at.iter().flat_map(|at| single(part, text, *at)).collect();
            next.sort_unstable();
            next.dedup();
            at = next;
        }
        at
    }

    fn single(part: &Part, text: &[char], at: usize) -> Vec<usize> {
        match part {
            Part::One(fits) => text.get(at).filter(|c| fits(**c)).map(|_| at + 1).into_iter().collect(),
            Part::Group(alternatives) => ends(alternatives, text, at).collect(),
            Part::Start => (at == 0).then_some(at).into_iter().collect(),
            Part::End => (at == text.len()).then_some(at).into_iter().collect(),
            Part::Times(part, least, most) => {
                let (mut all, mut last) = (if *least == 0 { vec![at] } else { Vec::new() }, vec![at]);
                for _ in 0..(*most).min(text.len() + 1) {
                    last =
                        last.iter().flat_map(|at| single(part, text, *at)).filter(|end| !all.contains(end)).collect();
                    last.sort_unstable();
                    last.dedup();
                    all.extend(&last);
                }
                all
            }
        }
    }

    #[test]
    fn expressions_mean_what_they_mean_elsewhere() {
        for (pattern, yes, no) in [
            ("^a(b|c)*d$", &["ad", "abcbd"][..], &["a", "abd ", "xad"][..]),
            ("^[a-z0-9-]+/.+$", &["a-1/x", "a/b/c"], &["/x", "a/", "A/x"]),
            ("^(\\*|x:[^:]*)$", &["*", "x:", "x:y"], &["**", "x:y:z"]),
            ("^-?[0-9]+(\\.[0-9]+)?$", &["-1", "1.5"], &["1.", "--1"]),
            ("b", &["abc"], &["ac"]),
        ] {
            yes.iter().for_each(|text| assert!(is_match(pattern, text), "{pattern} {text}"));
            no.iter().for_each(|text| assert!(!is_match(pattern, text), "{pattern} {text}"));
        }
    }
}
