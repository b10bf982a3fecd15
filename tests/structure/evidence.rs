//! What one crate writes and another one must know of.

use super::read;

/// The type words of the resources that are written here: what stands between the fifth colon and the first slash.
fn type_words(source: &str) -> Vec<String> {
    let texts = source.split('"').filter(|text| text.starts_with("qcs::"));
    let mut words: Vec<String> = texts
        .filter_map(|text| text.splitn(6, ':').nth(5))
        .filter_map(|last| last.split_once('/'))
        .map(|(word, _)| word.to_owned())
        .collect();
    words.sort();
    words.dedup();
    words
}

#[test]
fn i11_a_search_by_name_looks_under_every_type_word_that_resources_are_written_with() {
    let words = type_words(&read("src/resource.rs"));
    assert!(words.len() >= 3, "{words:?}");
    let index = read("audit/src/log/index.rs");
    let list = index.split("TYPES: ").nth(1).and_then(|rest| rest.split(';').nth(1)).unwrap_or_default().to_owned();
    for word in words {
        let constant = index.lines().find(|line| line.ends_with(&format!("&str = \"{word}\";")));
        let constant = constant.unwrap_or_else(|| panic!("`{word}` is no type word of the index"));
        let name = constant.split("const ").nth(1).and_then(|rest| rest.split(':').next()).unwrap();
        assert!(list.contains(name), "`{name}` is not among the types that a name is looked up under: {list}");
    }
}
