//! One pass over the bytes of a record that checks canonical JSON (RFC 8785, narrowed by the specification's 1.6)
//! and, on the way, that values have the shape that the schema gives them. No tree of values is built.
//!
//! Canonical: objects with strictly ascending ASCII keys, no white space, no null, integers in 0..=2^53-1 without
//! leading zeros, the shortest escapes, nothing after the value, nesting at most [`DEPTH_MAX`] deep. The caller has
//! checked UTF-8.

use crate::note::INTEGER_MAX;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::slice;

/// Values nested deeper than this are refused; a record needs six levels.
pub(crate) const DEPTH_MAX: u32 = 32;

/// The bytes are not the canonical form of any value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotCanonical;

/// What a value has to be.
#[derive(Debug)]
pub(crate) enum Shape {
    /// Any canonical value.
    Any,
    Text,
    /// One of these words, none of which needs an escape.
    OneOf(&'static [&'static str]),
    Integer,
    /// An integer below 2^32.
    SmallInteger,
    /// An object of any members, of one at least.
    Object,
    /// An object of these members, in order, in one of these forms.
    Members(&'static [(&'static str, Shape)], &'static [Form]),
    /// An object whose every value has the shape.
    EveryMember(&'static Shape),
    /// An array whose every element has the shape.
    EveryElement(&'static Shape),
    /// The same, of one element at least.
    SomeElements(&'static Shape),
}

/// Which members of a list an object has, as bits: the lowest is the first of the list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    pub(crate) always: u32,
    pub(crate) optional: u32,
}

impl Form {
    const fn fits(self, there: u32) -> bool {
        there & self.always == self.always && there & !(self.always | self.optional) == 0
    }
}

/// A member that a schema names. Its name needs no escapes.
pub(crate) trait Named {
    fn name(&self) -> &'static str;
}

impl Named for (&'static str, Shape) {
    fn name(&self) -> &'static str {
        self.0
    }
}

/// A member of an object: one that the schema names, or another by its key as it stands.
#[derive(Debug)]
pub(crate) enum Member<'a, 't, T> {
    Known(&'t T),
    Other(&'a [u8]),
}

impl<T> Clone for Member<'_, '_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Member<'_, '_, T> {}

/// The place in the bytes where the pass is.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    rest: &'a [u8],
}

impl<'a> Pass<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether nothing follows.
    pub(crate) fn at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Steps over one byte if it is this one.
    #[inline]
    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        match self.rest.split_first() {
            Some((first, rest)) if *first == byte => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), NotCanonical> {
        if self.eat(byte) { Ok(()) } else { Err(NotCanonical) }
    }

    /// Steps over a value; whether it has the shape, and its bytes.
    #[inline]
    pub(crate) fn value(&mut self, shape: &Shape, depth: u32) -> Result<(bool, &'a [u8]), NotCanonical> {
        let before = self.rest;
        let fits = match self.rest.first() {
            Some(b'"') => self.string().map(|inside| inside.fits(shape))?,
            _ => self.other_value(shape, depth)?,
        };
        let taken = before.len().saturating_sub(self.rest.len());
        Ok((fits, before.get(..taken).unwrap_or_default()))
    }

    fn other_value(&mut self, shape: &Shape, depth: u32) -> Result<bool, NotCanonical> {
        match self.rest.first() {
            Some(b'0'..=b'9') => self.integer().map(|value| match shape {
                Shape::Integer | Shape::Any => true,
                Shape::SmallInteger => value <= u64::from(u32::MAX),
                _ => false,
            }),
            Some(b'{') => self.object(shape, depth),
            Some(b'[') => self.array(shape, depth),
            Some(b't') => self.literal(b"true").map(|()| matches!(shape, Shape::Any)),
            Some(b'f') => self.literal(b"false").map(|()| matches!(shape, Shape::Any)),
            _ => Err(NotCanonical),
        }
    }

    fn object(&mut self, shape: &Shape, depth: u32) -> Result<bool, NotCanonical> {
        let deeper = depth.checked_add(1).filter(|depth| *depth <= DEPTH_MAX).ok_or(NotCanonical)?;
        self.expect(b'{')?;
        let mut fits = matches!(shape, Shape::Any | Shape::Object | Shape::Members(..) | Shape::EveryMember(_));
        let none: (&'static [(&'static str, Shape)], &'static [Form]) = (&[], &[]);
        let (all, forms) = if let Shape::Members(all, forms) = shape { (*all, *forms) } else { none };
        let (mut known, mut there, mut last) = (all.iter(), 0_u32, None);
        while let Some(member) = self.next_member(&mut known, &mut last)? {
            let of_member = match (member, shape) {
                (Member::Known((_, shape)), _) => {
                    there |= place(all.len().saturating_sub(known.len()));
                    shape
                }
                (Member::Other(_), Shape::EveryMember(each)) => each,
                (Member::Other(_), _) => &Shape::Any,
            };
            fits &= matches!(
                (member, shape),
                (Member::Known(_), _) | (_, Shape::Any | Shape::Object | Shape::EveryMember(_))
            );
            fits &= self.value(of_member, deeper)?.0;
        }
        let in_form = forms.is_empty() || forms.iter().any(|form| form.fits(there));
        Ok(fits && in_form && (last.is_some() || !matches!(shape, Shape::Object)))
    }

    /// The next key of an object whose `{` is behind, its colon too; nothing at the `}`. `known` are the names that
    /// may come, in order, and `last` is the key before. Behind a key that is not known, none is.
    #[inline]
    pub(crate) fn next_member<'t, T: Named>(
        &mut self,
        known: &mut slice::Iter<'t, T>,
        last: &mut Option<Inside<'a>>,
    ) -> Result<Option<Member<'a, 't, T>>, NotCanonical> {
        if self.eat(b'}') {
            return Ok(None);
        }
        if last.is_some() {
            self.expect(b',')?;
        }
        if let Some(field) = self.known_key(known) {
            *last = Some(Inside { bytes: field.name().as_bytes(), escaped: false });
            return Ok(Some(Member::Known(field)));
        }
        *known = [].iter();
        let key = self.string()?;
        self.expect(b':')?;
        let ascends = last.is_none_or(|last| key.follows(last));
        *last = Some(key);
        if ascends && key.bytes.is_ascii() { Ok(Some(Member::Other(key.bytes))) } else { Err(NotCanonical) }
    }

    /// Steps over a key that is one of those, without a look at each of its bytes: names ascend, so it does.
    #[inline]
    fn known_key<'t, T: Named>(&mut self, known: &mut slice::Iter<'t, T>) -> Option<&'t T> {
        let key = self.rest.strip_prefix(b"\"")?;
        let mut ahead = known.clone();
        loop {
            let field = ahead.next()?;
            let name = field.name().as_bytes();
            match name.first().cmp(&key.first()) {
                Ordering::Less => {}
                Ordering::Greater => return None,
                Ordering::Equal => {
                    if let Some([b'"', b':', rest @ ..]) = key.strip_prefix(name) {
                        self.rest = rest;
                        *known = ahead;
                        return Some(field);
                    }
                }
            }
        }
    }

    fn array(&mut self, shape: &Shape, depth: u32) -> Result<bool, NotCanonical> {
        let deeper = depth.checked_add(1).filter(|depth| *depth <= DEPTH_MAX).ok_or(NotCanonical)?;
        self.expect(b'[')?;
        let (mut fits, each) = match shape {
            Shape::EveryElement(each) | Shape::SomeElements(each) => (true, *each),
            Shape::Any => (true, &Shape::Any),
            _ => (false, &Shape::Any),
        };
        if self.eat(b']') {
            return Ok(fits && !matches!(shape, Shape::SomeElements(_)));
        }
        loop {
            fits &= self.value(each, deeper)?.0;
            if self.eat(b']') {
                return Ok(fits);
            }
            self.expect(b',')?;
        }
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), NotCanonical> {
        self.rest = self.rest.strip_prefix(word).ok_or(NotCanonical)?;
        Ok(())
    }

    fn integer(&mut self) -> Result<u64, NotCanonical> {
        let digits = self.rest.iter().take(17).take_while(|byte| byte.is_ascii_digit()).count();
        let (text, rest) = self.rest.split_at_checked(digits).ok_or(NotCanonical)?;
        self.rest = rest;
        let short = text == b"0" || !text.starts_with(b"0");
        integer(text).filter(|_| short).ok_or(NotCanonical)
    }

    /// Steps over a string; the bytes between its quotes, escapes as they stand.
    #[inline]
    fn string(&mut self) -> Result<Inside<'a>, NotCanonical> {
        let inside = self.rest.strip_prefix(b"\"").ok_or(NotCanonical)?;
        let (mut rest, mut escaped) = (inside, false);
        loop {
            rest = skip_plain(rest);
            match rest.split_first() {
                Some((b'"', behind)) => {
                    self.rest = behind;
                    break;
                }
                Some((b'\\', behind)) => rest = skip_escape(behind)?,
                _ => return Err(NotCanonical),
            }
            escaped = true;
        }
        let length = inside.len().saturating_sub(rest.len());
        inside.get(..length).map(|bytes| Inside { bytes, escaped }).ok_or(NotCanonical)
    }
}

/// What stands between the quotes of a string.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inside<'a> {
    bytes: &'a [u8],
    escaped: bool,
}

impl Inside<'_> {
    /// Whether this string has the shape.
    #[inline]
    fn fits(self, shape: &Shape) -> bool {
        match shape {
            Shape::Text | Shape::Any => true,
            Shape::OneOf(words) => words.iter().any(|word| word.as_bytes() == self.bytes),
            _ => false,
        }
    }

    /// Whether this key may follow that one: by the characters that they stand for.
    #[inline]
    fn follows(self, before: Self) -> bool {
        if self.escaped || before.escaped {
            return unescape(before.bytes) < unescape(self.bytes);
        }
        before.bytes < self.bytes
    }
}

/// The bit of the member of a list up to which `taken` were taken off.
fn place(taken: usize) -> u32 {
    u32::try_from(taken).ok().and_then(|taken| 1_u32.checked_shl(taken.saturating_sub(1))).unwrap_or(0)
}

/// What is left behind the bytes that stand for themselves in a string; looks at eight at a time.
#[inline]
fn skip_plain(mut rest: &[u8]) -> &[u8] {
    while let Some((word, behind)) = rest.split_first_chunk::<8>() {
        let special = special(u64::from_le_bytes(*word));
        if special != 0 {
            let plain = usize::try_from(special.trailing_zeros() / 8).unwrap_or_default();
            return rest.get(plain..).unwrap_or_default();
        }
        rest = behind;
    }
    let plain = rest.iter().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f)).count();
    rest.get(plain..).unwrap_or_default()
}

/// What is left behind an escape whose backslash is behind, if it is the shortest for its character.
fn skip_escape(escape: &[u8]) -> Result<&[u8], NotCanonical> {
    match escape {
        [b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't', rest @ ..] => Ok(rest),
        // Control characters without a short form: not 08, 09, 0a, 0c, 0d.
        [b'u', b'0', b'0', b'0', b'0'..=b'7' | b'b' | b'e' | b'f', rest @ ..] => Ok(rest),
        [b'u', b'0', b'0', b'1', b'0'..=b'9' | b'a'..=b'f', rest @ ..] => Ok(rest),
        _ => Err(NotCanonical),
    }
}

/// The high bit of each byte that is a quote, a backslash or below 0x20; bits above the lowest one may be wrong.
#[inline]
fn special(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let below = |word: u64, limit: u64| word.wrapping_sub(ONES.wrapping_mul(limit)) & !word;
    let quote = word ^ ONES.wrapping_mul(0x22);
    let backslash = word ^ ONES.wrapping_mul(0x5c);
    (below(word, 0x20) | below(quote, 1) | below(backslash, 1)) & HIGHS
}

/// The value of decimal digits, if it is at most 2^53 - 1.
pub(crate) fn integer(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok().filter(|text| !text.starts_with('+'))?;
    text.parse().ok().filter(|value| *value <= INTEGER_MAX)
}

/// The bytes that the inside of a canonical string stands for.
pub(crate) fn unescape(inside: &[u8]) -> Cow<'_, [u8]> {
    if !inside.contains(&b'\\') {
        return Cow::Borrowed(inside);
    }
    let mut plain = Vec::with_capacity(inside.len());
    let mut bytes = inside.iter().copied();
    while let Some(byte) = bytes.next() {
        plain.push(if byte == b'\\' { unescape_one(&mut bytes) } else { byte });
    }
    Cow::Owned(plain)
}

fn unescape_one(bytes: &mut impl Iterator<Item = u8>) -> u8 {
    match bytes.next().unwrap_or_default() {
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => {
            let digits = bytes.skip(2).take(2);
            digits.fold(0, |code, character| code << 4 | crate::hex::digit(character).unwrap_or_default())
        }
        itself => itself,
    }
}

/// The value of the member `name` of a canonical object, as it stands; nothing if absent or if this is no object.
pub(crate) fn member<'a>(object: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut pass = Pass::new(object);
    pass.eat(b'{').then_some(())?;
    let (mut none, mut last) = ([].iter(), None);
    while let Some(member) = pass.next_member::<(&str, Shape)>(&mut none, &mut last).ok()? {
        let (_, value) = pass.value(&Shape::Any, 0).ok()?;
        if matches!(member, Member::Other(key) if key == name.as_bytes()) {
            return Some(value);
        }
    }
    None
}

/// The text that a canonical string with its quotes stands for.
pub(crate) fn text(value: &[u8]) -> Option<String> {
    let inside = value.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    String::from_utf8(unescape(inside).into_owned()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    fn is_canonical(text: &str) -> bool {
        let mut pass = Pass::new(text.as_bytes());
        pass.value(&Shape::Any, 0).is_ok() && pass.at_end()
    }

    /// The same by another parser: what it writes back are the same bytes.
    fn is_canonical_by_rewriting(text: &str) -> bool {
        fn plain(value: &Value) -> bool {
            match value {
                Value::Null => false,
                Value::Number(number) => number.as_u64().is_some_and(|number| number <= INTEGER_MAX),
                Value::Array(values) => values.iter().all(plain),
                Value::Object(members) => members.iter().all(|(key, value)| key.is_ascii() && plain(value)),
                Value::Bool(_) | Value::String(_) => true,
            }
        }
        let value: Option<Value> = serde_json::from_str(text).ok().filter(plain);
        value.map(|value| value.to_string()).as_deref() == Some(text)
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaves = prop_oneof![
            any::<bool>().prop_map(Value::from),
            (0..=INTEGER_MAX).prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[\\x00-\\x7f]{0,20}".prop_map(Value::from),
        ];
        leaves.prop_recursive(4, 30, 5, |inner| {
            let members = proptest::collection::btree_map("[\\x00-\\x7f]{0,5}", inner.clone(), 0..5);
            let object = members.prop_map(|members| Value::Object(members.into_iter().collect()));
            prop_oneof![proptest::collection::vec(inner, 0..5).prop_map(Value::Array), object]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1000, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_canonically_passes_and_its_members_are_found(value in values()) {
            let bytes = value.to_string();
            prop_assert!(is_canonical(&bytes));
            for (key, inner) in value.as_object().into_iter().flatten() {
                // Names with escapes are none that a schema asks for.
                if !Value::from(key.as_str()).to_string().contains('\\') {
                    let inner = inner.to_string();
                    prop_assert_eq!(member(bytes.as_bytes(), key), Some(inner.as_bytes()));
                }
            }
            if let Value::String(inside) = &value {
                prop_assert_eq!(text(bytes.as_bytes()), Some(inside.clone()));
            }
        }

        #[test]
        fn a_changed_text_passes_if_and_only_if_rewriting_gives_the_same_bytes(
            value in values(), place in any::<prop::sample::Index>(), new in "[\\x00-\\x7f\u{e9}]{0,2}"
        ) {
            let mut characters: Vec<char> = value.to_string().chars().collect();
            let place = place.index(characters.len());
            characters.splice(place..=place, new.chars());
            let text: String = characters.into_iter().collect();
            prop_assert_eq!(is_canonical(&text), is_canonical_by_rewriting(&text), "{}", text);
        }

        #[test]
        fn any_text_passes_if_and_only_if_rewriting_gives_the_same_bytes(text in "[\\[\\]{}\":,0-9a-ftrulens\\\\ .-]{0,12}") {
            prop_assert_eq!(is_canonical(&text), is_canonical_by_rewriting(&text), "{}", text);
        }
    }

    #[test]
    fn nesting_has_its_limit() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(is_canonical(&nested(32)));
        assert!(!is_canonical(&nested(33)));
        assert!(!is_canonical(&nested(100_000)));
    }

    #[test]
    fn integers_end_at_2_to_the_53() {
        for (text, canonical) in [
            ("0", true),
            ("9007199254740991", true),
            ("9007199254740992", false),
            ("99999999999999999999999", false),
            ("00", false),
            ("01", false),
            ("-1", false),
            ("1.0", false),
            ("1e3", false),
        ] {
            assert_eq!(is_canonical(text), canonical, "{text}");
        }
    }
}
