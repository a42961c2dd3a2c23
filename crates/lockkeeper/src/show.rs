//! Pure: times, counts and values as a person reads them.

use std::time::Duration;

use lockkeeper_api::TimeSpan;
use serde_json::Value;

use crate::output::plain;

/// What is shown where there is nothing.
pub(crate) const NOTHING: &str = "-";

/// A length of time in its two largest units: `3h12m`, `45s`.
pub(crate) fn span(ms: u64) -> String {
    let step = match ms {
        0..1_000 => 1,
        1_000..3_600_000 => 1_000,
        3_600_000..86_400_000 => 60_000,
        _ => 3_600_000,
    };
    TimeSpan::new(Duration::from_millis(ms / step * step)).to_string()
}

/// A length of time, where zero means that there is no limit.
pub(crate) fn limit(ms: u64) -> String {
    if ms == 0 { "no limit".to_owned() } else { span(ms) }
}

/// A size in the largest unit of which it has one: `3.2 MiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let (mut shown, mut unit) = (bytes as f64, 0);
    while shown >= 1024.0 && unit + 1 < units.len() {
        (shown, unit) = (shown / 1024.0, unit + 1);
    }
    match unit {
        0 => format!("{bytes} bytes"),
        _ => format!("{shown:.1} {}", units[unit]),
    }
}

/// How long ago, or until, a moment is.
pub(crate) fn since(now_ms: u64, at_ms: u64) -> String {
    span(now_ms.saturating_sub(at_ms))
}

/// The time of an event, in UTC: `2026-11-22T20:31:05.123Z`.
pub(crate) fn moment(us: i64) -> String {
    let (days, rest) = (us.div_euclid(86_400_000_000), us.rem_euclid(86_400_000_000) / 1_000);
    let (year, month, day) = civil(days);
    let (s, ms) = (rest / 1_000, rest % 1_000);
    let (hour, minute, second) = (s / 3_600, s / 60 % 60, s % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// Year, month and day of a day counted from 1970, by the Gregorian rules. March is the first month
/// in it, so that the leap day is the last of a year.
fn civil(days: i64) -> (i64, i64, i64) {
    // 719,468 days lie between 0000-03-01 and 1970-01-01; 146,097 are 400 years.
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day = days.rem_euclid(146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let date = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, date)
}

/// The members of an object as `name=value`, in their order.
pub(crate) fn members(value: &Value) -> String {
    let Value::Object(members) = value else { return plain(&value.to_string()) };
    let pair = |(name, value): (&String, &Value)| match value {
        Value::String(text) if !text.is_empty() && !text.contains([' ', '"', '=']) => {
            format!("{name}={}", plain(text))
        }
        other => format!("{name}={}", plain(&other.to_string())),
    };
    members.iter().map(pair).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_span_has_no_more_units_than_one_reads() {
        assert_eq!(span(0), "0s");
        assert_eq!(span(412), "412ms");
        assert_eq!(span(61_999), "1m1s");
        assert_eq!(span(3 * 3_600_000 + 12 * 60_000 + 59_000), "3h12m");
        assert_eq!(span(8 * 86_400_000 + 3_700_000), "8d1h");
    }

    #[test]
    fn a_size_is_in_its_largest_unit() {
        assert_eq!(bytes(0), "0 bytes");
        assert_eq!(bytes(1023), "1023 bytes");
        assert_eq!(bytes(3 << 19), "1.5 MiB");
        assert_eq!(bytes(u64::MAX), "16777216.0 TiB");
    }

    #[test]
    fn moments_follow_the_calendar() {
        assert_eq!(moment(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(moment(951_782_400_000_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(moment(1_735_689_599_999_000), "2024-12-31T23:59:59.999Z");
        assert_eq!(moment(-1_000), "1969-12-31T23:59:59.999Z");
    }

    #[test]
    fn values_that_could_be_misread_are_quoted() {
        let data = json!({ "reason": "client_close", "text": "a b", "n": 3, "o": { "k": 1 } });
        assert_eq!(members(&data), r#"reason=client_close text="a b" n=3 o={"k":1}"#);
    }
}
