//! Pure: the users of sandboxes as the settings name them.

use std::ops::RangeInclusive;

use service::settings::{Kind, SettingValue};

/// `60600-61183`; both ends belong to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UidRange(pub(crate) RangeInclusive<u32>);

impl SettingValue for UidRange {
    const KIND: Kind = Kind::Text;

    fn read(text: &str) -> Result<Self, String> {
        let how = "write two user ids, neither of them root's, like 60600-61183";
        let id = |text: &str| text.trim().parse::<u32>().ok().filter(|id| *id > 0);
        let ends = text.split_once('-').map(|(first, last)| (id(first), id(last)));
        match ends {
            Some((Some(first), Some(last))) if first > last => {
                Err(format!("{text:?} ends before it begins; {how}"))
            }
            // The two highest mean "nobody's" and "unchanged" to the system.
            Some((Some(first), Some(last))) if last < u32::MAX - 1 => Ok(Self(first..=last)),
            Some(_) | None => Err(format!("{text:?} is not a range of users; {how}")),
        }
    }

    fn show(&self) -> String {
        format!("{}-{}", self.0.start(), self.0.end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_users_leaves_root_out() {
        let read = UidRange::read("60600-61183").unwrap();
        assert_eq!((read.0.clone(), read.show()), (60_600..=61_183, "60600-61183".to_owned()));
        for text in ["0-5", "5", "5-4", "a-b", "", "1-4294967295"] {
            assert!(UidRange::read(text).is_err(), "{text:?}");
        }
    }
}
