//! A secret's description and tags: data that is not secret, shown to whoever may describe it, and (tags) read by
//! policies. So tags count for I4: every record of an access to the secret holds them all.

/// Longest description, in bytes of UTF-8.
const DESCRIPTION_BYTES_MAX: usize = 2_048;
/// Most tags of one secret.
const TAGS_MAX: usize = 50;
/// Longest tag key, in characters; the shortest has one.
const TAG_KEY_CHARS_MAX: usize = 127;
/// Longest tag value, in characters; it may be empty.
const TAG_VALUE_CHARS_MAX: usize = 255;
/// All `key&value` texts of a secret together, as a JSON list, in bytes: they stand in each record of an access, and
/// a record has 8 KiB.
const TAGS_JSON_BYTES_MAX: usize = 1_536;

/// Why a description or tags are refused: `InvalidParameterValue`, but for the duplicate key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// Description too long.
    #[error("a description is at most 2048 bytes long")]
    Description,
    /// Too many tags.
    #[error("a secret has at most 50 tags")]
    TagCount,
    /// A key outside its rule.
    #[error("a tag key is 1 to 127 characters, without `&` and control characters")]
    TagKey,
    /// A value outside its rule.
    #[error("a tag value is 0 to 255 characters, without control characters")]
    TagValue,
    /// `InvalidParameterValue.TagKeysDuplicated`.
    #[error("tag key `{0}` is given twice")]
    TagKeysDuplicated(String),
    /// Together too long.
    #[error("the tags of a secret, as `key&value`, are together at most 1536 bytes of JSON")]
    TagsSize,
}

/// A description: at most 2,048 bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description(String);

impl Description {
    /// Checks a description; `""` is one.
    ///
    /// # Errors
    /// [`MetadataError::Description`].
    pub fn new(text: impl Into<String>) -> Result<Self, MetadataError> {
        let text = text.into();
        if text.len() <= DESCRIPTION_BYTES_MAX { Ok(Self(text)) } else { Err(MetadataError::Description) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One tag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag {
    /// Unique within the secret.
    pub key: String,
    /// May be empty.
    pub value: String,
}

impl Tag {
    /// The form that policies compare and records hold: `key&value`.
    #[must_use]
    pub fn condition_value(&self) -> String {
        format!("{}&{}", self.key, self.value)
    }

    fn check(&self) -> Result<(), MetadataError> {
        let plain = |text: &str| !text.chars().any(char::is_control);
        let key = (1..=TAG_KEY_CHARS_MAX).contains(&self.key.chars().count());
        if !key || !plain(&self.key) || self.key.contains('&') {
            return Err(MetadataError::TagKey);
        }
        if self.value.chars().count() > TAG_VALUE_CHARS_MAX || !plain(&self.value) {
            return Err(MetadataError::TagValue);
        }
        Ok(())
    }
}

/// The tags of a secret: within all limits, ordered by the bytes of their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags(Vec<Tag>);

impl Tags {
    /// Checks tags and puts them in order.
    ///
    /// # Errors
    /// [`MetadataError`] for the first rule that does not hold.
    pub fn new(mut tags: Vec<Tag>) -> Result<Self, MetadataError> {
        if tags.len() > TAGS_MAX {
            return Err(MetadataError::TagCount);
        }
        tags.iter().try_for_each(Tag::check)?;
        tags.sort();
        let twice = tags.iter().zip(tags.iter().skip(1)).find(|(one, next)| one.key == next.key);
        if let Some((tag, _)) = twice {
            return Err(MetadataError::TagKeysDuplicated(tag.key.clone()));
        }
        let tags = Self(tags);
        if tags.json_bytes() > TAGS_JSON_BYTES_MAX { Err(MetadataError::TagsSize) } else { Ok(tags) }
    }

    /// The tags in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Tag] {
        &self.0
    }

    /// All `key&value` texts, sorted by bytes, as a record's conditions hold them.
    #[must_use]
    pub fn condition_values(&self) -> Vec<String> {
        let mut texts: Vec<_> = self.0.iter().map(Tag::condition_value).collect();
        texts.sort();
        texts
    }

    /// These tags and `more`, whose values take the place of those of equal keys.
    ///
    /// # Errors
    /// [`MetadataError::TagCount`] or [`MetadataError::TagsSize`] if they are too many together.
    pub fn with(&self, more: &Self) -> Result<Self, MetadataError> {
        let kept = self.without(&more.keys());
        Self::new(kept.0.into_iter().chain(more.0.iter().cloned()).collect())
    }

    /// These tags without those of the given keys.
    #[must_use]
    pub fn without(&self, keys: &[&str]) -> Self {
        Self(self.0.iter().filter(|tag| !keys.contains(&tag.key.as_str())).cloned().collect())
    }

    /// The keys, in order.
    #[must_use]
    pub fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|tag| tag.key.as_str()).collect()
    }

    fn json_bytes(&self) -> usize {
        serde_json::to_string(&self.condition_values()).map_or(usize::MAX, |json| json.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(key: impl Into<String>, value: impl Into<String>) -> Tag {
        Tag { key: key.into(), value: value.into() }
    }

    fn refusal(tags: Vec<Tag>) -> MetadataError {
        Tags::new(tags).unwrap_err()
    }

    #[test]
    fn descriptions_are_at_most_2048_bytes() {
        assert_eq!(Description::new("").unwrap().as_str(), "");
        assert!(Description::new("é".repeat(1_024)).is_ok());
        assert_eq!(Description::new(format!("{}x", "é".repeat(1_024))), Err(MetadataError::Description));
    }

    #[test]
    fn tags_are_ordered_by_key_and_written_as_policies_compare_them() {
        let tags = Tags::new(vec![tag("team", "pay"), tag("env", "prod"), tag("a", "")]).unwrap();
        assert_eq!(tags.condition_values(), ["a&", "env&prod", "team&pay"]);
        // By the bytes of the texts, which is not the order of the keys: `!` stands before `&`.
        let tags = Tags::new(vec![tag("k", "1"), tag("k!", "2")]).unwrap();
        assert_eq!(tags.condition_values(), ["k!&2", "k&1"]);
    }

    #[test]
    fn tag_keys_and_values_count_characters() {
        assert!(Tags::new(vec![tag("é".repeat(127), "é".repeat(255))]).is_ok());
        assert_eq!(refusal(vec![tag("é".repeat(128), "")]), MetadataError::TagKey);
        assert_eq!(refusal(vec![tag("", "x")]), MetadataError::TagKey);
        assert_eq!(refusal(vec![tag("k", "é".repeat(256))]), MetadataError::TagValue);
    }

    #[test]
    fn tags_hold_no_control_characters_and_keys_no_ampersand() {
        for bad in ["a&b", "a\nb", "a\0", "a\u{85}", "a\u{7f}"] {
            assert_eq!(refusal(vec![tag(bad, "")]), MetadataError::TagKey, "{bad:?}");
        }
        assert_eq!(refusal(vec![tag("k", "a\tb")]), MetadataError::TagValue);
        assert!(Tags::new(vec![tag("k", "a&b")]).is_ok());
    }

    #[test]
    fn a_tag_key_stands_once() {
        let error = refusal(vec![tag("b", "1"), tag("a", "1"), tag("b", "2")]);
        assert_eq!(error, MetadataError::TagKeysDuplicated("b".to_owned()));
        assert!(Tags::new(vec![tag("B", "1"), tag("b", "1")]).is_ok());
    }

    #[test]
    fn tags_are_added_replaced_and_taken_off_by_key() {
        let tags = Tags::new(vec![tag("env", "prod"), tag("team", "pay")]).unwrap();
        let more = Tags::new(vec![tag("env", "dev"), tag("a", "")]).unwrap();
        assert_eq!(tags.with(&more).unwrap().condition_values(), ["a&", "env&dev", "team&pay"]);
        assert_eq!(tags.with(&Tags::default()).unwrap(), tags);
        assert_eq!(tags.without(&["env", "none"]).condition_values(), ["team&pay"]);
        let many = Tags::new((0..49).map(|i| tag(format!("k{i}"), "")).collect()).unwrap();
        assert_eq!(many.with(&more).unwrap_err(), MetadataError::TagCount);
        assert!(many.with(&Tags::new(vec![tag("k0", "x"), tag("a", "")]).unwrap()).is_ok());
    }

    #[test]
    fn tags_are_at_most_50_and_1536_bytes_of_json() {
        let many = |count: usize| (0..count).map(|i| tag(format!("k{i}"), "")).collect::<Vec<_>>();
        assert!(Tags::new(many(50)).is_ok());
        assert_eq!(refusal(many(51)), MetadataError::TagCount);
        // ["a&…","b&…", …]: 2 brackets, 6 times 2 quotes and `x&`, 5 commas.
        let sized = |last: String| {
            let mut tags: Vec<_> = ["a", "b", "c", "d", "e"].into_iter().map(|key| tag(key, "x".repeat(255))).collect();
            tags.push(tag("f", last));
            tags
        };
        let room = TAGS_JSON_BYTES_MAX - 2 - 6 * 4 - 5 - 5 * 255;
        assert!(Tags::new(sized("x".repeat(room))).is_ok());
        assert_eq!(refusal(sized("x".repeat(room + 1))), MetadataError::TagsSize);
        // Escapes count: a quote takes two bytes of JSON.
        assert!(Tags::new(sized("\"".repeat(room / 2))).is_ok());
        assert_eq!(refusal(sized("\"".repeat(room / 2 + 1))), MetadataError::TagsSize);
    }
}
