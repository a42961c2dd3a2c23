use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Result<u64, String> {
    text.parse::<TimeSpan>()
        .map(|span| span.duration().as_millis() as u64)
        .map_err(|error| error.to_string())
}

#[test]
fn units_and_their_combinations_are_read() {
    assert_eq!(parse("500ms"), Ok(500));
    assert_eq!(parse("90s"), Ok(90_000));
    assert_eq!(parse(" 15m "), Ok(900_000));
    assert_eq!(parse("10min"), Ok(600_000));
    assert_eq!(parse("24h"), Ok(86_400_000));
    assert_eq!(parse("7d"), Ok(604_800_000));
    assert_eq!(parse("1h30m5s"), Ok(5_405_000));
    assert_eq!(parse("0"), Ok(0));
}

#[test]
fn a_number_without_unit_is_told_how_to_get_one() {
    assert_eq!(parse("900"), Err("`900` has no unit, write for example `900s`".into()));
    assert_eq!(parse("1h30"), Err("`1h30` has no unit, write for example `1h30s`".into()));
}

#[test]
fn what_is_not_a_time_is_refused() {
    for text in ["", "  ", "-5s", "1.5h", "5 m", "fast", "5y", "s", "30m1h", "1s1s", "0x5s", "5m-"]
    {
        assert!(parse(text).is_err(), "{text:?} was read as a time");
    }
}

#[test]
fn what_no_clock_can_hold_is_refused() {
    for text in ["99999999999999999999s", "36501d", "18446744073709551615d"] {
        assert!(parse(text).unwrap_err().contains("hundred years"), "{text}");
    }
}

proptest! {
    #[test]
    fn printing_and_reading_agree(ms in 0..LONGEST_MS) {
        let span = TimeSpan::new(Duration::from_millis(ms));
        prop_assert_eq!(span.to_string().parse::<TimeSpan>(), Ok(span));
    }

    #[test]
    fn no_text_makes_it_panic(text in ".{0,60}") {
        let _outcome = text.parse::<TimeSpan>().map_err(|error| error.to_string());
    }
}
