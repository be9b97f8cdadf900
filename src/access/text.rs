//! Text forms of ids and times in JSON: lower-case hex, and RFC 3339 with microseconds.

pub(super) mod id {
    use crate::ledger::Id16;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::access) fn serialize<S: Serializer>(id: &Id16, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(id)
    }

    pub(in crate::access) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<Id16, D::Error> {
        let text = String::deserialize(d)?;
        Id16::from_hex(&text).ok_or_else(|| D::Error::custom("an id is 32 lower-case hex digits"))
    }
}

pub(super) mod id_opt {
    use crate::ledger::Id16;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::access) fn serialize<S: Serializer>(
        id: &Option<Id16>,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        match id {
            Some(id) => s.collect_str(id),
            None => s.serialize_none(),
        }
    }

    pub(in crate::access) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<Option<Id16>, D::Error> {
        #[derive(Deserialize)]
        struct Wrapped(#[serde(with = "super::id")] Id16);
        Ok(Option::<Wrapped>::deserialize(d)?.map(|w| w.0))
    }
}

pub(super) mod time {
    use crate::ledger::Timestamp;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::access) fn serialize<S: Serializer>(
        time: &Timestamp,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        s.collect_str(time)
    }

    pub(in crate::access) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<Timestamp, D::Error> {
        Timestamp::parse_rfc3339(&String::deserialize(d)?).map_err(D::Error::custom)
    }
}

pub(super) mod time_opt {
    use crate::ledger::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::access) fn serialize<S: Serializer>(
        time: &Option<Timestamp>,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => s.collect_str(time),
            None => s.serialize_none(),
        }
    }

    pub(in crate::access) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        #[derive(Deserialize)]
        struct Wrapped(#[serde(with = "super::time")] Timestamp);
        Ok(Option::<Wrapped>::deserialize(d)?.map(|w| w.0))
    }
}
