//! Pure: durations and sizes as people write them, always with a unit.

use std::time::Duration;

const DURATION_UNITS: [(&str, u64); 8] = [
    ("ms", 1),
    ("s", 1000),
    ("sec", 1000),
    ("m", 60_000),
    ("min", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
    ("w", 604_800_000),
];

const SIZE_UNITS: [(&str, u64); 5] =
    [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// Reads `250ms`, `10 s`, `15m`, `1h 30m`. A bare `0` needs no unit.
///
/// # Errors
/// What is wrong and how to write it.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let ms = sum(text, &DURATION_UNITS, str::eq, "write it like 250ms, 10s, 15m, 24h or 7d")?;
    Ok(Duration::from_millis(ms))
}

/// Reads `512 MiB`, `1GiB`, `4096 B`. A bare `0` needs no unit.
///
/// # Errors
/// What is wrong and how to write it.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    sum(text, &SIZE_UNITS, str::eq_ignore_ascii_case, "write it like 32 KiB, 512 MiB or 1 GiB")
}

fn sum(
    text: &str,
    units: &[(&str, u64)],
    same: fn(&str, &str) -> bool,
    how: &str,
) -> Result<u64, String> {
    let mut rest = text.trim();
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(format!("is empty; {how}"));
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let after = after.trim_start();
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        if number.is_empty() {
            return Err(format!("{text:?} is not a number with a unit; {how}"));
        }
        if unit.is_empty() {
            return Err(format!("{text:?} has a number without a unit; {how}"));
        }
        let known = units.iter().find(|(name, _)| same(unit, name));
        let Some((_, factor)) = known else {
            return Err(format!("{text:?} has the unknown unit {unit:?}; {how}"));
        };
        let part = number.parse::<u64>().ok().and_then(|n| n.checked_mul(*factor));
        total = part
            .and_then(|part| total.checked_add(part))
            .ok_or_else(|| format!("{text:?} is too large"))?;
        rest = after.trim_start();
    }
    Ok(total)
}

/// The shortest form that reads back as the same duration.
pub(crate) fn show_duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    let whole = [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1000)];
    match whole.iter().find(|(_, factor)| ms > 0 && ms.is_multiple_of(*factor)) {
        Some((unit, factor)) => format!("{} {unit}", ms / factor),
        None if ms == 0 => "0".to_owned(),
        None => format!("{ms} ms"),
    }
}

/// The shortest form that reads back as the same size.
pub(super) fn show_size(bytes: u64) -> String {
    let fits = |(_, factor): &&(&str, u64)| bytes > 0 && bytes.is_multiple_of(*factor);
    match SIZE_UNITS.iter().rev().find(fits) {
        Some((unit, factor)) => format!("{} {unit}", bytes / factor),
        None => "0".to_owned(),
    }
}
