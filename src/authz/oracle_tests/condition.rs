//! Random conditions that load: each key with the operators that fit its type and arity.

use serde_json::{Map, Value, json};

use super::dice::Dice;
use super::question::{near_ipv4, near_ipv6};

const STRING: [&str; 6] = [
    "string_equal",
    "string_not_equal",
    "string_equal_ignore_case",
    "string_not_equal_ignore_case",
    "string_like",
    "string_not_like",
];
const RELATIONS: [&str; 6] =
    ["equal", "not_equal", "less_than", "less_than_equal", "greater_than", "greater_than_equal"];
const KEYS: [&str; 13] = [
    "qcs:current_time",
    "qcs:ip",
    "qcs:resource_tag",
    "qcs:resource_tag",
    "qcs:request_tag",
    "qcs:uin",
    "qcs:owner_uin",
    "qcs:create_uin",
    "qcs:create_uin",
    "keyward:door",
    "keyward:secure_transport",
    "keyward:recovery_window",
    "keyward:target_uin",
];
const UINS: [&str; 7] = ["7", "70", "8", "9", "${uin}", "${owner_uin}", "1"];
const UIN_PATTERNS: [&str; 8] = ["*", "7*", "?", "7?", "*${uin}", "*0", "${app_id}", "??*"];
const DOORS: [&str; 4] = ["native", "tencent", "NATIVE", "Tencent"];
const DOOR_PATTERNS: [&str; 4] = ["n*", "?encent", "*", "*E"];
const TAGS: [&str; 11] = [
    "env&prod",
    "env&dev",
    "ENV&prod",
    "team&a",
    "k&",
    "env&pr?d",
    "e*&prod",
    "env&prod&x",
    "uin&${uin}",
    "é&ü",
    "É&Ü",
];
const TAG_PATTERNS: [&str; 9] = ["env&pr?d", "*&a", "*", "env&*", "*${uin}", "???&*", "*&", "é&?", "env*&*x"];
const RANGES: [&str; 15] = [
    "10.1.2.99/24",
    "10.1.2.0/24",
    "10.1.3.0/24",
    "10.1.2.3",
    "10.0.0.0/8",
    "0.0.0.0/0",
    "::/0",
    "2001:db8::/32",
    "2001:db8::1",
    "::ffff:10.1.0.0/112",
    "::ffff:10.1.2.3",
    "::1",
    "11.0.0.1/31",
    "10.1.2.2/31",
    "2001:db8::/127",
];
const DATES: [&str; 9] = [
    "2026-06-01T00:00:00Z",
    "2026-06-01 00:00:00",
    "2026-06-01T 00:00:00Z",
    "2026-06-01T08:00:00+08:00",
    "2026-05-31T23:59:59Z",
    "2026-06-01T00:00:01Z",
    "2026-05-31T18:30:00-05:30",
    "2024-02-29T12:00:00Z",
    "2027-01-01T00:00:00Z",
];

/// A random condition of one to three operators.
pub(super) fn random_condition(dice: &mut Dice) -> Value {
    let mut condition: Map<String, Value> = Map::new();
    for _ in 0..=dice.below(3) {
        let key = dice.one(&KEYS);
        let (operator, values) = clause(dice, key);
        let keys = condition.entry(operator).or_insert_with(|| json!({}));
        keys[key] = values;
    }
    Value::Object(condition)
}

/// An operator that fits a key, and values that fit both.
fn clause(dice: &mut Dice, key: &str) -> (String, Value) {
    if dice.percent(8) {
        return (
            "null_equal".to_owned(),
            dice.one(&[json!("true"), json!("false"), json!(true), json!(false)].each_ref()).clone(),
        );
    }
    let (operator, values) = base(dice, key);
    let many = key.ends_with("_tag");
    let qualifier = if many || dice.percent(15) { dice.one(&["for_any_value:", "for_all_value:"]) } else { "" };
    let suffix = if dice.percent(30) { "_if_exist" } else { "" };
    (format!("{qualifier}{operator}{suffix}"), values)
}

/// An operator and values for what only trust policies read: as often negated, with a suffix, or about absence as not.
pub(super) fn web_clause(dice: &mut Dice, values: &[&str], many: bool) -> (String, Value) {
    if dice.percent(20) {
        return ("null_equal".to_owned(), json!(dice.one(&["true", "false"])));
    }
    let qualifier = if many { dice.one(&["", "for_any_value:", "for_all_value:"]) } else { "" };
    let suffix = dice.one(&["", "_if_exist"]);
    let drawn = dice.some(values, 1, 2);
    (format!("{qualifier}{}{suffix}", dice.one(&STRING)), json!(drawn))
}

fn base(dice: &mut Dice, key: &str) -> (String, Value) {
    match key {
        "qcs:current_time" => (format!("date_{}", dice.one(&RELATIONS)), some(dice, date)),
        "qcs:ip" => (dice.one(&["ip_equal", "ip_not_equal"]).to_owned(), some(dice, range)),
        "keyward:recovery_window" => (format!("numeric_{}", dice.one(&RELATIONS)), some(dice, number)),
        "keyward:secure_transport" => ("bool_equal".to_owned(), bools(dice)),
        "qcs:resource_tag" | "qcs:request_tag" => strings(dice, &TAGS, &TAG_PATTERNS),
        "keyward:door" => strings(dice, &DOORS, &DOOR_PATTERNS),
        _ => strings(dice, &UINS, &UIN_PATTERNS),
    }
}

/// Patterns under `string_like`; a `string_like` value may also be a plain text.
fn strings(dice: &mut Dice, plain: &[&str], patterns: &[&str]) -> (String, Value) {
    let operator = dice.one(&STRING);
    let list = if operator.ends_with("like") && dice.percent(80) { patterns } else { plain };
    // Without letter case there are only ASCII values.
    let fits = |text: &&str| text.is_ascii() || !operator.ends_with("_ignore_case");
    let list: Vec<&str> = list.iter().copied().filter(fits).collect();
    (operator.to_owned(), values(dice, &list))
}

fn values(dice: &mut Dice, list: &[&str]) -> Value {
    let drawn = dice.some(list, 1, 3);
    if drawn.len() == 1 && dice.percent(50) { json!(drawn[0]) } else { json!(drawn) }
}

/// One value, alone or in a list, or a few.
fn some(dice: &mut Dice, one: impl Fn(&mut Dice) -> Value) -> Value {
    let list: Vec<Value> = (0..=dice.below(3)).map(|_| one(dice)).collect();
    if list.len() == 1 && dice.percent(50) { list[0].clone() } else { Value::Array(list) }
}

fn number(dice: &mut Dice) -> Value {
    match dice.below(10) {
        0 => json!(7),
        1 => json!("7.0"),
        2 => json!("6.999999999"),
        3 => json!(-1),
        4 => json!(7.5),
        5 => json!("30"),
        6 => json!("-0.0"),
        7 => json!("007"),
        8 => json!("7.000000001"),
        _ => json!("999999999999999999.999999999"),
    }
}

/// A date within two seconds of the questions' own, written in any of the forms.
fn date(dice: &mut Dice) -> Value {
    if dice.percent(50) {
        return json!(dice.one(&DATES));
    }
    let minutes = i64::try_from(dice.below(2 * 1_439 + 1)).expect("small") - 1_439;
    let second = i64::try_from(dice.below(5)).expect("small") - 2 + minutes * 60;
    let (day, second) = if second < 0 { ("2026-05-31", second + 86_400) } else { ("2026-06-01", second) };
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let (sign, ahead) = if minutes < 0 { ('-', -minutes) } else { ('+', minutes) };
    json!(format!("{day}T{hour:02}:{minute:02}:{second:02}{sign}{:02}:{:02}", ahead / 60, ahead % 60))
}

fn range(dice: &mut Dice) -> Value {
    match dice.below(4) {
        0 => json!(format!("{}/{}", near_ipv4(dice), dice.below(33))),
        1 => {
            // A range of IPv4-mapped addresses shorter than /96 is refused.
            let address = near_ipv6(dice);
            let least = if address.starts_with("::ffff:") && address.contains('.') { 96 } else { 0 };
            json!(format!("{address}/{}", least + dice.below(129 - least)))
        }
        _ => json!(dice.one(&RANGES)),
    }
}

fn bools(dice: &mut Dice) -> Value {
    match dice.below(5) {
        0 => json!("true"),
        1 => json!("false"),
        2 => json!(true),
        3 => json!(false),
        _ => json!([true, "false"]),
    }
}
