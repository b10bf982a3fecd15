//! Values read by the letter: patterns as tokens, decimals as padded digits, dates by counting days, addresses as bits.

/// One token of a pattern whose variables are already replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// `*`: any run, also none.
    Run,
    /// `?`: exactly one character.
    One,
    /// Itself.
    Just(char),
}

/// What `${uin}`, `${owner_uin}` and `${app_id}` stand for.
pub(super) struct Variables {
    pub(super) uin: String,
    pub(super) account: String,
}

/// Splits a text into characters and variables; each variable's value comes back as literal characters.
fn pieces(text: &str, variables: &Variables) -> Vec<(char, bool)> {
    let mut out = Vec::new();
    let mut rest = text;
    loop {
        if let Some(inner) = rest.strip_prefix("${") {
            let (name, after) = inner.split_once('}').expect("closed variable");
            let value = match name {
                "uin" => &variables.uin,
                "owner_uin" | "app_id" => &variables.account,
                other => panic!("unknown variable `{other}`"),
            };
            out.extend(value.chars().map(|c| (c, true)));
            rest = after;
            continue;
        }
        let mut characters = rest.chars();
        let Some(first) = characters.next() else { return out };
        out.push((first, false));
        rest = characters.as_str();
    }
}

/// The text with its variables replaced.
pub(super) fn replaced(text: &str, variables: &Variables) -> String {
    pieces(text, variables).into_iter().map(|(c, _)| c).collect()
}

/// The tokens of a pattern; `question_mark` says whether `?` is one character or itself.
pub(super) fn tokens(text: &str, variables: &Variables, question_mark: bool) -> Vec<Token> {
    let token = |(c, from_variable): (char, bool)| match c {
        '*' if !from_variable => Token::Run,
        '?' if !from_variable && question_mark => Token::One,
        other => Token::Just(other),
    };
    pieces(text, variables).into_iter().map(token).collect()
}

/// Whether the whole text fits the pattern, by the definition of each token.
pub(super) fn fits(pattern: &[Token], text: &[char]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (None, Some(_)) => false,
        (Some((Token::Run, rest)), None) => fits(rest, text),
        (Some((Token::Run, rest)), Some((_, shorter))) => fits(rest, text) || fits(pattern, shorter),
        (Some(_), None) => false,
        (Some((Token::One, rest)), Some((_, shorter))) => fits(rest, shorter),
        (Some((Token::Just(wanted), rest)), Some((found, shorter))) => wanted == found && fits(rest, shorter),
    }
}

/// Whether `text` fits `pattern`, with `*` alone and without variables (actions).
pub(super) fn fits_stars(pattern: &str, text: &str) -> bool {
    let token = |c| if c == '*' { Token::Run } else { Token::Just(c) };
    fits(&pattern.chars().map(token).collect::<Vec<_>>(), &text.chars().collect::<Vec<_>>())
}

/// Whether a name fits a name pattern: `*` and variables (`?` is no name character).
pub(super) fn name_fits(pattern: &str, name: &str, variables: &Variables) -> bool {
    fits(&tokens(pattern, variables, false), &name.chars().collect::<Vec<_>>())
}

/// Orders two decimals: both padded to 20 digits before and 10 after the point, then compared as text.
pub(super) fn compare_decimals(left: &str, right: &str) -> std::cmp::Ordering {
    let (left_below, left_digits) = padded(left);
    let (right_below, right_digits) = padded(right);
    match (left_below, right_below) {
        (false, false) => left_digits.cmp(&right_digits),
        (true, true) => right_digits.cmp(&left_digits),
        (true, false) => std::cmp::Ordering::Less,
        (false, true) => std::cmp::Ordering::Greater,
    }
}

/// Whether a decimal lies below zero, and its digits.
fn padded(text: &str) -> (bool, String) {
    let (below, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let digits = format!("{whole:0>20}{part:0<10}");
    let zero = digits.chars().all(|c| c == '0');
    (below && !zero, digits)
}

/// Seconds since 1970 of a date in one of the forms of case C30, counted day by day.
pub(super) fn seconds(text: &str) -> i64 {
    let (day, rest) = text.split_at(10);
    let time = rest.trim_start_matches(['T', ' ']);
    let (clock, zone) = time.split_at(8);
    let day: Vec<i64> = day.split('-').map(number).collect();
    let clock: Vec<i64> = clock.split(':').map(number).collect();
    days(day[0], day[1], day[2]) * 86_400 + clock[0] * 3_600 + clock[1] * 60 + clock[2] - offset(zone)
}

/// Seconds that a zone is ahead of UTC.
fn offset(zone: &str) -> i64 {
    if zone.is_empty() || zone == "Z" {
        return 0;
    }
    let (sign, rest) = zone.split_at(1);
    let (hours, minutes) = rest.split_once(':').expect("an offset has a colon");
    let ahead = number(hours) * 3_600 + number(minutes) * 60;
    if sign == "-" { -ahead } else { ahead }
}

fn number(digits: &str) -> i64 {
    digits.parse().expect("digits")
}

/// Days from 1970-01-01.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let years: i64 =
        if year >= 1970 { (1970..year).map(days_of_year).sum() } else { -(year..1970).map(days_of_year).sum::<i64>() };
    years + (1..month).map(|earlier| days_of_month(year, earlier)).sum::<i64>() + day - 1
}

fn leaps(year: i64) -> bool {
    year % 400 == 0 || (year % 4 == 0 && year % 100 != 0)
}

fn days_of_year(year: i64) -> i64 {
    if leaps(year) { 366 } else { 365 }
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if leaps(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The bits of an address, most significant first: 32 or 128 of them. IPv4-mapped ones are 32.
pub(super) fn address_bits(text: &str) -> Vec<bool> {
    unmapped(raw_bits(text), 128).0
}

/// Whether an address lies in a range (an address or a CIDR): the first bits are the same, one by one.
pub(super) fn lies_in(address: &str, range: &str) -> bool {
    let address = address_bits(address);
    let (base, length) = match range.split_once('/') {
        Some((base, length)) => (raw_bits(base), length.parse().expect("a prefix length")),
        None => (raw_bits(range), raw_bits(range).len()),
    };
    let (base, length) = unmapped(base, length);
    address.len() == base.len() && (0..length).all(|at| address[at] == base[at])
}

/// An IPv4-mapped address (::ffff:a.b.c.d), or a range of nothing else, as IPv4.
fn unmapped(bits: Vec<bool>, length: usize) -> (Vec<bool>, usize) {
    let mapped = bits.len() == 128 && bits[..80].iter().all(|b| !b) && bits[80..96].iter().all(|b| *b);
    if mapped && length >= 96 { (bits[96..].to_vec(), length - 96) } else { (bits, length) }
}

fn raw_bits(text: &str) -> Vec<bool> {
    if text.contains(':') {
        groups(text).into_iter().flat_map(|group| bits(u64::from(group), 16)).collect()
    } else {
        octets(text).into_iter().flat_map(|octet| bits(octet, 8)).collect()
    }
}

fn octets(text: &str) -> Vec<u64> {
    let octets: Vec<u64> = text.split('.').map(|octet| octet.parse().expect("an octet")).collect();
    assert!(octets.len() == 4 && octets.iter().all(|octet| *octet < 256), "an IPv4 address: {text}");
    octets
}

/// The eight groups of an IPv6 address: `::` filled up, a dotted tail as two groups.
fn groups(text: &str) -> Vec<u16> {
    let (front, back) = text.split_once("::").map_or((text, None), |(front, back)| (front, Some(back)));
    let mut groups = some_groups(front);
    if let Some(back) = back {
        let tail = some_groups(back);
        while groups.len() + tail.len() < 8 {
            groups.push(0);
        }
        groups.extend(tail);
    }
    assert_eq!(groups.len(), 8, "an IPv6 address: {text}");
    groups
}

fn some_groups(text: &str) -> Vec<u16> {
    let mut out = Vec::new();
    for part in text.split(':').filter(|part| !part.is_empty()) {
        if part.contains('.') {
            let octets = octets(part);
            out.push(u16::try_from(octets[0] * 256 + octets[1]).expect("two octets"));
            out.push(u16::try_from(octets[2] * 256 + octets[3]).expect("two octets"));
        } else {
            out.push(u16::from_str_radix(part, 16).expect("a group"));
        }
    }
    out
}

fn bits(number: u64, count: u32) -> Vec<bool> {
    (0..count).rev().map(|at| number >> at & 1 == 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cmp::Ordering;

    #[test]
    fn dates_count_from_1970() {
        assert_eq!(seconds("1970-01-01T00:00:00Z"), 0);
        assert_eq!(seconds("1969-12-31 23:59:59"), -1);
        assert_eq!(seconds("2026-06-01T 00:00:00Z"), 1_780_272_000);
        assert_eq!(seconds("2026-06-01T08:00:00+08:00"), 1_780_272_000);
        assert_eq!(seconds("2026-05-31T23:30:00-00:30"), 1_780_272_000);
        assert_eq!(seconds("2000-02-29T00:00:00Z") + 86_400, seconds("2000-03-01T00:00:00Z"));
    }

    #[test]
    fn decimals_compare_by_padded_digits() {
        for (left, right, order) in [
            ("7", "7.000", Ordering::Equal),
            ("-0", "0", Ordering::Equal),
            ("007", "7", Ordering::Equal),
            ("-1", "0", Ordering::Less),
            ("-2", "-10", Ordering::Greater),
            ("7.000000001", "7", Ordering::Greater),
            ("10", "9", Ordering::Greater),
        ] {
            assert_eq!(compare_decimals(left, right), order, "{left} {right}");
        }
    }

    #[test]
    fn addresses_lie_in_ranges_bit_by_bit() {
        for (address, range, inside) in [
            ("10.1.2.3", "10.1.2.99/24", true),
            ("::ffff:10.1.2.3", "10.1.2.99/24", true),
            ("10.1.3.3", "10.1.2.99/24", false),
            ("2001:db8::1", "10.1.2.99/24", false),
            ("2001:db8::1", "2001:db8::/32", true),
            ("10.1.2.3", "::ffff:10.0.0.0/104", true),
            ("10.1.2.3", "::/0", false),
            ("10.1.2.3", "0.0.0.0/0", true),
            ("10.1.2.3", "::ffff:0:0/90", false),
            ("::fffe:1:1", "::ffff:0:0/90", true),
        ] {
            assert_eq!(lies_in(address, range), inside, "{address} {range}");
        }
    }

    #[test]
    fn a_pattern_fits_by_its_tokens() {
        let variables = Variables { uin: "7".to_owned(), account: "1".to_owned() };
        for (pattern, text, expected) in
            [("*", "", true), ("a*b", "ab", true), ("a*b", "axxc", false), ("*${uin}*", "a7", true), ("a?", "aé", true)]
        {
            let text: Vec<char> = text.chars().collect();
            assert_eq!(fits(&tokens(pattern, &variables, true), &text), expected, "{pattern}");
        }
        assert!(!name_fits("a?", "ab", &variables) && name_fits("a${uin}*", "a7", &variables));
        assert!(fits_stars("G*S*e", "GetSecretValue") && !fits_stars("get*", "GetSecretValue"));
    }
}
