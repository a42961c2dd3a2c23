//! Pure: finds the command in a message, without decoding what is not needed.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use serde_json::value::RawValue;

use super::event::Kept;
use super::reduce::{fields, hexadecimal, text};
use super::table::{self, Method};
use crate::value::Id;

/// What a message is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Decoded {
    /// Nothing that makes an event: another command, a reply, no JSON.
    Unlisted,
    /// A command of the table whose arguments are no object.
    Malformed { method: &'static Method },
    /// A command of the table.
    Command {
        method: &'static Method,
        command_id: Option<Number>,
        session_id: Option<Id>,
        kept: Vec<(&'static str, Kept)>,
    },
}

/// Reads a message of a client.
pub(crate) fn decode(message: &[u8]) -> Decoded {
    let Ok(Top { method, params, id, session_id }) = serde_json::from_slice(message) else {
        return Decoded::Unlisted;
    };
    let method = method.and_then(|method| text(method.get())).and_then(|name| table::find(&name));
    let Some(method) = method else { return Decoded::Unlisted };
    let arguments = match params {
        None => Arguments::default(),
        Some(Params::Object(arguments)) => arguments,
        Some(Params::Other) => return Decoded::Malformed { method },
    };
    Decoded::Command {
        method,
        command_id: id.and_then(|id| serde_json::from_str(id.get()).ok()),
        session_id: session_id.and_then(|id| hexadecimal(id.get())),
        kept: fields(method, &arguments),
    }
}

/// The members of a message. Of members with the same name the last one counts, as in the browser.
#[derive(Default)]
struct Top<'a> {
    method: Option<&'a RawValue>,
    params: Option<Params<'a>>,
    id: Option<&'a RawValue>,
    session_id: Option<&'a RawValue>,
}

impl<'de> Deserialize<'de> for Top<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Top<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a command")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Top<'de>, A::Error> {
                let mut top = Top::default();
                while let Some(Name(name)) = map.next_key()? {
                    let place = match &*name {
                        "method" => &mut top.method,
                        "params" => {
                            top.params = Some(map.next_value()?);
                            continue;
                        }
                        "id" => &mut top.id,
                        "sessionId" => &mut top.session_id,
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                    *place = Some(map.next_value()?);
                }
                Ok(top)
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// The name of a member, borrowed where it has no escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(name)))
            }

            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// The arguments of a command, read where they stand: a second pass over a long text would cost as
/// much as the first.
enum Params<'a> {
    Object(Arguments<'a>),
    /// Any other value.
    Other,
}

impl<'de> Deserialize<'de> for Params<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Params<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                Arguments::read(map).map(Params::Object)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                while seq.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Params::Other)
            }

            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Params::Other)
            }

            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Params::Other)
            }

            fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
                Ok(Params::Other)
            }

            fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
                Ok(Params::Other)
            }

            fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
                Ok(Params::Other)
            }

            fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
                Ok(Params::Other)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// The members of an object, as they are written; the last one of a name counts.
#[derive(Default)]
pub(super) struct Arguments<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Arguments<'a> {
    pub(super) fn find(&self, name: &str) -> Option<&'a str> {
        let mut last_first = self.0.iter().rev();
        last_first.find(|(there, _)| there == name).map(|(_, value)| value.get())
    }

    fn read<A: MapAccess<'a>>(mut map: A) -> Result<Self, A::Error> {
        let mut members = Vec::new();
        while let Some((Name(name), value)) = map.next_entry()? {
            members.push((name, value));
        }
        Ok(Self(members))
    }

    /// Reads an object; anything else has no members.
    pub(super) fn of(json: &'a str) -> Self {
        serde_json::from_str(json).unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for Arguments<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Arguments<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                Arguments::read(map)
            }
        }
        deserializer.deserialize_map(Members)
    }
}
