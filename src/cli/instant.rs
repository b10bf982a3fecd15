//! Times and durations as people write and read them: UTC, whole seconds.

/// What a value of `--…-at`, `--…-before` and `--…-time` may look like.
const FORMS: &str = "it is no time such as 2027-01-31, 2027-01-31T12:00:00Z or 1801353600 (epoch seconds)";

/// The last second of the year 9999.
const LATEST_S: u64 = 253_402_300_799;

/// A time that may be told by how long ago it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// Epoch seconds.
    At(u64),
    /// Seconds before now.
    Ago(u64),
}

impl When {
    /// Epoch seconds.
    pub(super) const fn at_s(self, now_s: u64) -> u64 {
        match self {
            Self::At(at_s) => at_s,
            Self::Ago(ago_s) => now_s.saturating_sub(ago_s),
        }
    }
}

/// A time, as epoch seconds: a day, which begins at midnight in UTC, RFC 3339, or epoch seconds.
///
/// # Errors
/// What it could have looked like.
pub(super) fn time(text: &str) -> Result<u64, String> {
    let instant = chrono::DateTime::parse_from_rfc3339(text).map(|instant| instant.timestamp());
    let day = || text.parse::<chrono::NaiveDate>().ok()?.and_hms_opt(0, 0, 0).map(|day| day.and_utc().timestamp());
    let seconds = || text.parse::<i64>().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()));
    let found = instant.ok().or_else(day).or_else(seconds).and_then(|seconds| u64::try_from(seconds).ok());
    // Whoever writes more means milliseconds, or the microseconds of records.
    found.filter(|seconds| *seconds <= LATEST_S).ok_or_else(|| FORMS.to_owned())
}

/// A time, or how long ago it was: `90s`, `15m`, `2h`, `7d`.
///
/// # Errors
/// What it could have looked like.
pub(super) fn when(text: &str) -> Result<When, String> {
    let is_ago = text.ends_with(['s', 'm', 'h', 'd']);
    let ago = duration(text).filter(|_| is_ago).map(When::Ago);
    ago.map_or_else(|| time(text).map(When::At), Ok).map_err(|error| format!("{error}, or 2h or 7d for how long ago"))
}

/// Seconds: a number alone, or with s, m, h or d.
pub(super) fn duration(text: &str) -> Option<u64> {
    let (digits, unit) = match text.strip_suffix(['s', 'm', 'h', 'd']) {
        Some(digits) => (digits, text.chars().next_back()?),
        None => (text, 's'),
    };
    let number: u64 = digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    number.checked_mul(match unit {
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => 1,
    })
}

/// Epoch seconds as people read them.
pub(in crate::cli) fn utc(seconds: u64) -> String {
    let instant = i64::try_from(seconds).ok().and_then(|seconds| chrono::DateTime::from_timestamp(seconds, 0));
    instant.map(|instant| instant.format("%Y-%m-%d %H:%M:%SZ").to_string()).unwrap_or_default()
}

/// Whether a field of an answer holds epoch seconds, by its name.
pub(super) fn is_time(field: &str) -> bool {
    let ends = ["Time", "At", "Date", "_at", "_time", "IssuedBefore", "taken", "last"];
    ends.iter().any(|end| field.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_seconds_or_a_number_with_a_unit() {
        let good = [("90", 90), ("90s", 90), ("15m", 900), ("2h", 7_200), ("3d", 259_200)];
        for (text, expected) in good {
            assert_eq!(duration(text), Some(expected));
        }
        for text in ["", "h", "-1h", "+1h", "1w", "1.5h", "18446744073709551615h"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_is_a_day_an_instant_or_epoch_seconds() {
        let noon = 1_801_396_800;
        assert_eq!(time("2027-01-31T12:00:00Z"), Ok(noon));
        assert_eq!(time("2027-01-31T14:00:00+02:00"), Ok(noon));
        assert_eq!(time("2027-01-31"), Ok(noon - 43_200));
        assert_eq!(time(&noon.to_string()), Ok(noon));
        assert_eq!(utc(noon), "2027-01-31 12:00:00Z");
        for wrong in ["tomorrow", "2027-02-30", "1960-01-01", "1795313400000", "-5", "+5", "", "2027-01-31 12:00:00"] {
            assert!(time(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_time_of_the_past_may_be_told_by_its_age() {
        assert_eq!(when("2h"), Ok(When::Ago(7_200)));
        assert_eq!(when("2h").unwrap().at_s(10_000), 2_800);
        assert_eq!(when("10d").unwrap().at_s(10_000), 0);
        // A bare number is a time, as in JSON output, and not an age.
        assert_eq!(when("1801396800"), Ok(When::At(1_801_396_800)));
        assert!(when("yesterday").is_err());
    }
}
