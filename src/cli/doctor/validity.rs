//! Until when the certificates of the listener are good: the two times of an X.509 certificate (RFC 5280, 4.1.2.5), and nothing else of
//! it. Everything else is checked by the TLS library, which loads the same files.

use super::Findings;
use crate::cli::instant;
use crate::clock;
use crate::config::Config;
use crate::http::tls::Certificates;
use chrono::NaiveDateTime;

const CHECK: &str = "certificates";
const DAY_S: u64 = 86_400;
/// Fewer days than this are warned of.
const DAYS_LEFT: u64 = 21;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// From and until when a certificate is good, in seconds since 1970.
#[derive(Debug, PartialEq, Eq)]
struct Validity {
    from_s: u64,
    until_s: u64,
}

/// Loads the certificates as the listener would, and looks at their times.
pub(super) fn look(config: &Config, found: &mut Findings) {
    match Certificates::load(config) {
        Ok(None) => found.fine(CHECK, "no TLS is configured"),
        Err(error) => found.invalid(CHECK, error.to_string(), "correct the file; a running gateway keeps what it had"),
        Ok(Some(certificates)) => {
            let now_s = clock::system().clock.wall_us() / 1_000_000;
            for (place, der) in certificates.shown().iter().enumerate() {
                let name = if place == 0 {
                    "the server's certificate".to_owned()
                } else {
                    format!("certificate {place} behind it")
                };
                match Validity::read(der) {
                    Some(validity) => validity.judge(&name, now_s, found),
                    None => found.unchecked(
                        CHECK,
                        format!("{name}: its times cannot be read"),
                        "look at it with openssl x509",
                    ),
                }
            }
        }
    }
}

impl Validity {
    fn judge(&self, name: &str, now_s: u64, found: &mut Findings) {
        let until = instant::utc(self.until_s);
        if now_s < self.from_s {
            found.invalid(
                CHECK,
                format!("{name} is good only from {} on", instant::utc(self.from_s)),
                "check the clock, or take another",
            );
        } else if now_s > self.until_s {
            found.invalid(
                CHECK,
                format!("{name} expired on {until}"),
                "renew it; the files are read again within a second",
            );
        } else if self.until_s.saturating_sub(now_s) < DAYS_LEFT.saturating_mul(DAY_S) {
            found.warn(
                CHECK,
                format!("{name} expires on {until}"),
                "renew it; the files are read again within a second",
            );
        } else {
            found.fine(CHECK, format!("{name} is good until {until}"));
        }
    }

    /// `Certificate ::= { TBSCertificate ::= { [0] version, serial, algorithm, issuer, validity, ... }, ... }`
    fn read(der: &[u8]) -> Option<Self> {
        let (certificate, _) = element(der, SEQUENCE)?;
        let (mut rest, _) = element(certificate, SEQUENCE)?;
        if rest.first() == Some(&VERSION) {
            rest = element(rest, VERSION)?.1;
        }
        for _ in ["serial", "algorithm", "issuer"] {
            let tag = *rest.first()?;
            rest = element(rest, tag)?.1;
        }
        let (validity, _) = element(rest, SEQUENCE)?;
        let (from_s, rest) = time(validity)?;
        let (until_s, _) = time(rest)?;
        Some(Self { from_s, until_s })
    }
}

/// Content of the element of that tag at the beginning of `bytes`, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = bytes.split_first()?;
    let (length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(*length), rest),
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
            (digits.iter().fold(0_usize, |sum, digit| (sum << 8) | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    (*found == tag).then(|| rest.split_at_checked(length))?
}

/// A time, in seconds since 1970, and what follows it. Two digits of a year are of 1950 to 2049.
fn time(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let tag = *bytes.first()?;
    let (text, rest) = element(bytes, tag)?;
    let text = std::str::from_utf8(text).ok()?;
    let text = match tag {
        UTC_TIME => {
            let century = if text.get(..2)?.parse::<u8>().ok()? < 50 { "20" } else { "19" };
            format!("{century}{text}")
        }
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let read = NaiveDateTime::parse_from_str(&text, "%Y%m%d%H%M%SZ").ok()?;
    Some((u64::try_from(read.and_utc().timestamp()).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[tag, 0x82], length.as_slice(), content].concat()
    }

    fn certificate(version: bool, from: (u8, &str), until: (u8, &str)) -> Vec<u8> {
        let validity = [wrap(from.0, from.1.as_bytes()), wrap(until.0, until.1.as_bytes())].concat();
        let mut tbs = if version { wrap(VERSION, &wrap(2, &[2])) } else { Vec::new() };
        for part in
            [wrap(2, &[1, 2, 3]), wrap(SEQUENCE, b"algorithm"), wrap(SEQUENCE, b"issuer"), wrap(SEQUENCE, &validity)]
        {
            tbs.extend(part);
        }
        wrap(SEQUENCE, &[wrap(SEQUENCE, &tbs), wrap(SEQUENCE, b"signature")].concat())
    }

    #[test]
    fn the_times_of_a_certificate_are_read_in_both_forms() {
        let der = certificate(true, (UTC_TIME, "260101000000Z"), (GENERALIZED_TIME, "20991231235959Z"));
        assert_eq!(Validity::read(&der), Some(Validity { from_s: 1_767_225_600, until_s: 4_102_444_799 }));
        let old = certificate(false, (UTC_TIME, "700101000001Z"), (UTC_TIME, "491231235959Z"));
        assert_eq!(Validity::read(&old), Some(Validity { from_s: 1, until_s: 2_524_607_999 }));
        assert_eq!(Validity::read(&certificate(true, (UTC_TIME, "26010100Z"), (UTC_TIME, "260101000000Z"))), None);
        for cut in 0..der.len() - 20 {
            assert_eq!(Validity::read(&der[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn what_has_ended_or_ends_soon_is_said() {
        let state = |now_s| {
            let mut found = Findings::default();
            Validity { from_s: 1_000, until_s: 100 * DAY_S }.judge("it", now_s, &mut found);
            found.0.first().map(|finding| finding.state.name()).unwrap()
        };
        assert_eq!(
            [state(1), state(2_000), state(90 * DAY_S), state(101 * DAY_S)],
            ["invalid", "ok", "warning", "invalid"]
        );
    }
}
