use proptest::prelude::*;

use super::super::table::METHODS;
use super::super::{Decoded, decode};
use super::*;

/// A name as JSON may have it: some of its characters as escapes.
fn spelled(name: &'static str) -> impl Strategy<Value = String> {
    prop::collection::vec(0..12_u8, name.len()).prop_map(move |how| {
        let letters = name.chars().zip(how);
        letters
            .map(|(letter, how)| match how {
                0 => format!("\\u{:04x}", letter as u32),
                1 => format!("\\u{:04X}", letter as u32),
                _ => letter.to_string(),
            })
            .collect()
    })
}

fn space() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "", "", " ", "\n\t", "\r\n "])
}

proptest! {
    #[test]
    fn no_command_is_passed_over_however_it_is_written(
        (member, method) in (0..METHODS.len()).prop_flat_map(|n| {
            (spelled("method"), spelled(METHODS[n].name))
        }),
        gaps in prop::array::uniform4(space()),
        late in any::<bool>(),
        decoy in prop::sample::select(vec!["", r#""method":"Runtime.enable","#, r#""method":[1],"#]),
    ) {
        let [a, b, c, d] = gaps;
        let named = format!(r#""{member}"{a}:{b}"{method}""#);
        let params = r#""params":{"text":"\"method\""}"#;
        let (first, second) = if late { (params, named.as_str()) } else { (named.as_str(), params) };
        let message = format!("{c}{{{decoy}{first},{second}{d}}}");
        prop_assert!(matches!(decode(message.as_bytes()), Decoded::Command { .. }), "{message}");
        prop_assert!(may_be_listed(message.as_bytes()), "{message}");
    }

    #[test]
    fn whatever_is_passed_over_is_no_command(
        message in r#"\{("method"|"m\\u0065thod"|"id"|,|:|\{|\}|"Page.close"| |"Page.reload"|1){0,9}\}"#,
    ) {
        if !may_be_listed(message.as_bytes()) {
            prop_assert_eq!(decode(message.as_bytes()), Decoded::Unlisted);
        }
    }
}

#[test]
fn what_names_no_command_of_the_table_is_passed_over() {
    for message in [
        &br#"{"id":7,"method":"Runtime.evaluate","params":{"expression":"\"method\":\"Page.close\""}}"#[..],
        br#"{"id":1,"result":{"method":7}}"#,
        br#"{"method":"page.close"}"#,
        br#"{"method""#,
        br#"{"method":"#,
        br#"{"method":"Page.close"#,
        b"",
    ] {
        assert!(!may_be_listed(message), "{}", String::from_utf8_lossy(message));
    }
    // Of these only a whole reading tells.
    for message in [
        &br#"{"id":1,"method":"Runtime.evaluate","params":{"method":"Page.close"}}"#[..],
        br#"{"id":1,"method":"Runtime.evaluate","params":{"expression":"\u0022"}}"#,
    ] {
        assert!(may_be_listed(message), "{}", String::from_utf8_lossy(message));
        assert_eq!(decode(message), Decoded::Unlisted);
    }
}
