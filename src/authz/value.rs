//! Values of conditions and of condition keys: dates, decimals, addresses and ranges, in their one accepted form.
//! Nothing is trimmed or folded (C10).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use ipnet::IpNet;

/// Digits after the point of a decimal.
const FRACTION_DIGITS: usize = 9;

/// Seconds since 1970 of `2016-06-01T00:01:00Z`, `2016-06-01T 00:01:00Z`, `2022-05-31 00:00:00` (UTC) or an RFC 3339
/// time with offset; no fractions, no leap second (C30).
pub(super) fn parse_date(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let date =
        NaiveDate::from_ymd_opt(i32::try_from(digits(date, 0, 4)?).ok()?, digits(date, 5, 2)?, digits(date, 8, 2)?)
            .filter(|_| date.get(4..5) == Some("-") && date.get(7..8) == Some("-"))?;
    let (clock, zone) = match rest.strip_prefix('T') {
        Some(rest) => match rest.strip_prefix(' ') {
            Some(rest) => (rest.strip_suffix('Z')?, "Z"),
            None => rest.split_at_checked(8)?,
        },
        None => (rest.strip_prefix(' ')?, "Z"),
    };
    let seconds = NaiveDateTime::new(date, parse_clock(clock)?).and_utc().timestamp();
    Some(seconds - parse_offset(zone)?)
}

fn parse_clock(text: &str) -> Option<NaiveTime> {
    let colons = text.len() == 8 && text.get(2..3) == Some(":") && text.get(5..6) == Some(":");
    NaiveTime::from_hms_opt(digits(text, 0, 2)?, digits(text, 3, 2)?, digits(text, 6, 2)?).filter(|_| colons)
}

/// Seconds east of UTC.
fn parse_offset(text: &str) -> Option<i64> {
    if text == "Z" {
        return Some(0);
    }
    let sign = match text.get(..1)? {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let (hours, minutes) = (digits(text, 1, 2)?, digits(text, 4, 2)?);
    let fits = text.len() == 6 && text.get(3..4) == Some(":") && hours < 24 && minutes < 60;
    fits.then(|| sign * i64::from(hours * 3600 + minutes * 60))
}

/// The number that `count` decimal digits from `start` on write.
fn digits(text: &str, start: usize, count: usize) -> Option<u32> {
    let part = text.get(start..start.checked_add(count)?)?;
    part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok()).flatten()
}

/// A decimal `-?[0-9]{1,18}(\.[0-9]{1,9})?`, exactly, in units of 10^-9 (C31).
pub(super) fn parse_decimal(text: &str) -> Option<i128> {
    let (sign, plain) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, fraction) = plain.split_once('.').map_or((plain, None), |(whole, fraction)| (whole, Some(fraction)));
    let fits =
        |digits: &str, most: usize| (1..=most).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    if !fits(whole, 18) || fraction.is_some_and(|fraction| !fits(fraction, FRACTION_DIGITS)) {
        return None;
    }
    let padded = format!("{whole}{:0<FRACTION_DIGITS$}", fraction.unwrap_or_default());
    padded.parse::<i128>().ok().map(|units| sign * units)
}

/// An address, an IPv4 address mapped into IPv6 as what it is (C28). No zone, no leading zeros.
pub(super) fn parse_address(text: &str) -> Option<IpAddr> {
    let address = match text.parse::<Ipv4Addr>() {
        Ok(address) => IpAddr::V4(address),
        Err(_) => IpAddr::V6(text.parse::<Ipv6Addr>().ok()?),
    };
    Some(address.to_canonical())
}

/// An address or a CIDR range; host bits are masked (C29). A range mapped from IPv4 must lie inside the mapped
/// addresses: else it would speak of two families at once.
pub(super) fn parse_range(text: &str) -> Option<IpNet> {
    let Some((address, prefix)) = text.split_once('/') else {
        return parse_address(text).map(IpNet::from);
    };
    let written: IpAddr = address.parse().ok()?;
    let unmapped = parse_address(address)?;
    let plain = prefix.bytes().all(|b| b.is_ascii_digit()) && (prefix == "0" || !prefix.starts_with('0'));
    let length = prefix.parse::<u8>().ok().filter(|_| plain)?;
    let length = if written == unmapped { length } else { length.checked_sub(96)? };
    IpNet::new(unmapped, length).ok().map(|range| range.trunc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c30_dates_in_the_three_forms_and_with_offsets() {
        let midnight = 1_780_272_000;
        for text in [
            "2026-06-01T00:00:00Z",
            "2026-06-01T 00:00:00Z",
            "2026-06-01 00:00:00",
            "2026-06-01T08:00:00+08:00",
            "2026-05-31T23:30:00-00:30",
        ] {
            assert_eq!(parse_date(text), Some(midnight), "{text}");
        }
        assert_eq!(parse_date("1970-01-01T00:00:01Z"), Some(1));
        assert_eq!(parse_date("2024-02-29 00:00:00"), Some(1_709_164_800));
    }

    #[test]
    fn c30_other_dates_are_refused() {
        for text in [
            "",
            "2026-06-01",
            "2026-06-01T00:00:00",
            "2026-06-01T00:00:60Z",
            "2026-06-01T00:00:00.0Z",
            "2026-06-01T24:00:00Z",
            "2026-13-01T00:00:00Z",
            "2025-02-29T00:00:00Z",
            "2026-06-01t00:00:00z",
            "2026-06-01T00:00:00z",
            "2026-06-01 00:00:00Z",
            "2026-06-01T 00:00:00",
            "26-06-01T00:00:00Z",
            " 2026-06-01T00:00:00Z",
            "2026-06-01T00:00:00Z ",
            "2026/06/01T00:00:00Z",
            "2026-06-01T00:00:00+8:00",
            "2026-06-01T00:00:00+24:00",
            "2026-06-01T00:00:00+08:60",
            "2026-06-01T00:00:00+0800",
            "+026-06-01T00:00:00Z",
            "2026-06-01T0é:00:00Z",
            "2026-06-01T 00:00:00+08:00",
            "2026-06-01T+0:00:00Z",
            "1780272000",
        ] {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }

    #[test]
    fn c31_decimals_are_exact() {
        assert_eq!(parse_decimal("7"), Some(7_000_000_000));
        assert_eq!(parse_decimal("-0.000000001"), Some(-1));
        assert_eq!(parse_decimal("007.50"), Some(7_500_000_000));
        assert_eq!(parse_decimal("999999999999999999.999999999"), Some(999_999_999_999_999_999_999_999_999));
        for text in [
            "",
            "-",
            "+7",
            "7.",
            ".5",
            "1e3",
            "1234567890123456789",
            "1.0000000001",
            " 7",
            "7 ",
            "0x7",
            "1_0",
            "--7",
            "٧",
        ] {
            assert_eq!(parse_decimal(text), None, "{text}");
        }
    }

    #[test]
    fn c28_addresses_are_unmapped_and_strict() {
        assert_eq!(parse_address("::ffff:10.1.2.3"), parse_address("10.1.2.3"));
        assert_eq!(parse_address("2001:DB8::1"), parse_address("2001:db8:0:0::1"));
        for text in ["", "10.1.2", "10.1.2.03", "10.1.2.256", "fe80::1%eth0", "[::1]", " ::1", "10.1.2.3/32", ":::"] {
            assert_eq!(parse_address(text), None, "{text}");
        }
    }

    #[test]
    fn c29_ranges_are_masked_and_strict() {
        assert_eq!(parse_range("10.1.2.99/24"), "10.1.2.0/24".parse().ok());
        assert_eq!(parse_range("10.1.2.3"), "10.1.2.3/32".parse().ok());
        assert_eq!(parse_range("::ffff:10.1.2.3/104"), "10.0.0.0/8".parse().ok());
        assert_eq!(parse_range("0.0.0.0/0"), "0.0.0.0/0".parse().ok());
        for text in [
            "10.1.2.3/33",
            "10.1.2.3/",
            "10.1.2.3/08",
            "10.1.2.3/+8",
            "10.1.2.0-10.1.2.9",
            "10.1.*",
            "*",
            "10.01.2.0/24",
            "::/129",
            "::ffff:10.1.2.3/90",
            "::1/64/64",
            "/8",
            "10.0.0.0 /8",
        ] {
            assert_eq!(parse_range(text), None, "{text}");
        }
    }
}
