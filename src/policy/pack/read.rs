//! From TOML to rules: editions are laid over each other, and whatever is wrong is said with file, edition, key and reason.

use std::collections::BTreeSet;

use toml::{Table, Value};

use crate::model::time::Timestamp;

use super::{Pack, PackErrors, Rules};

/// A key and what is wrong with it.
type Mistake = (String, String);

pub(super) fn pack(file: &str, text: &str) -> Result<Pack, PackErrors> {
    let mut root: Table = toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
        PackErrors(vec![format!("{file}:{line}: {}", one_line(error.message()))])
    })?;
    let mut errors = Vec::new();
    let name = match root.remove("name") {
        Some(Value::String(name))
            if (1..=48).contains(&name.len())
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.')) =>
        {
            name
        }
        Some(_) => {
            errors.push(format!("{file}: name: must be 1 to 48 letters, digits, `_`, `-` or `.`"));
            String::new()
        }
        None => {
            errors.push(format!("{file}: name: missing; name the pack, call records show it"));
            String::new()
        }
    };
    let written = match root.remove("edition") {
        Some(Value::Array(editions)) if !editions.is_empty() => editions,
        Some(Value::Table(_)) => {
            errors.push(format!("{file}: edition: write [[edition]] with two brackets, there may be several"));
            Vec::new()
        }
        _ => {
            errors.push(format!("{file}: edition: missing; write at least one [[edition]]"));
            Vec::new()
        }
    };
    errors.extend(root.keys().map(|key| format!("{file}: {key}: unknown key; there are name and [[edition]]")));
    let mut editions = Editions::default();
    for (index, edition) in written.into_iter().enumerate() {
        let mistakes = editions.add(edition);
        let place = format!("{file}: edition {}", index + 1);
        errors.extend(mistakes.into_iter().map(|(key, why)| format!("{place}: {key}: {why}")));
    }
    if errors.is_empty() { Ok(Pack { name, editions: editions.read }) } else { Err(PackErrors(errors)) }
}

/// The editions read so far.
#[derive(Default)]
struct Editions {
    /// What they say together.
    base: Table,
    /// What is wrong with `base`, so that later editions are not blamed for it.
    inherited: BTreeSet<Mistake>,
    latest: Option<Timestamp>,
    read: Vec<Rules>,
}

impl Editions {
    fn add(&mut self, edition: Value) -> Vec<Mistake> {
        let Value::Table(mut changes) = edition else {
            return vec![("edition".to_owned(), "must be a table: write [[edition]]".to_owned())];
        };
        // As long as none can be read, the next completes it and is judged like it.
        let first = self.read.is_empty();
        let mut mistakes = Vec::new();
        let from = match start(changes.remove("from")) {
            Ok(from) if self.latest.is_some_and(|latest| latest >= from) => {
                mistakes.push(("from".to_owned(), "must be later than the edition before".to_owned()));
                Some(from)
            }
            Ok(from) => Some(from),
            Err(why) => {
                mistakes.push(("from".to_owned(), why));
                None
            }
        };
        self.latest = self.latest.max(from);
        let mut together = self.base.clone();
        lay_over(&mut together, changes);
        let (rules, found) = rules(from.unwrap_or(Timestamp::from_millis(0)), &together, first);
        // An edition that cannot be read is passed over, so that its mistakes are said once; the first cannot be.
        let readable = rules.is_some();
        self.read.extend(rules);
        mistakes.extend(found.iter().filter(|mistake| !self.inherited.contains(*mistake)).cloned());
        if readable || first {
            self.base = together;
            self.inherited = found.into_iter().collect();
        }
        mistakes
    }
}

/// When an edition begins. TOML's own dates are fine as well as text.
fn start(value: Option<Value>) -> Result<Timestamp, String> {
    const WANTED: &str = "write the moment it begins, such as \"2026-06-26T00:00:00Z\"";
    let text = match value {
        None => return Err(format!("missing; {WANTED}")),
        Some(Value::String(text)) => text,
        Some(Value::Datetime(moment)) => moment.to_string(),
        Some(other) => return Err(format!("{other} is no date; {WANTED}")),
    };
    match text.parse::<jiff::Timestamp>() {
        Ok(moment) => Ok(Timestamp::from_millis(moment.as_millisecond())),
        Err(_) => Err(format!("`{text}` is no date with time and zone; {WANTED}")),
    }
}

/// Tables are laid over each other key by key, everything else replaces. A limit is one thing: half of an old one and
/// half of a new one would be a limit that nobody wrote.
fn lay_over(base: &mut Table, changes: Table) {
    for (key, value) in changes {
        match (base.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) if !is_limit(old) => lay_over(old, new),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

pub(super) fn is_limit(table: &Table) -> bool {
    table.contains_key("max") && table.contains_key("window_h")
}

/// Each section is read alone, so that one mistake does not hide the others.
fn rules(from: Timestamp, together: &Table, first: bool) -> (Option<Rules>, Vec<Mistake>) {
    let mut sections = Sections { table: together.clone(), first, mistakes: Vec::new() };
    let prerequisites = sections.read("prerequisites");
    let routing = sections.read("routing");
    let countries = sections.read("countries");
    let permission = sections.read("permission");
    let requests = sections.read("requests");
    let calls = sections.read("calls");
    let wallet = sections.read("wallet");
    let reconcile = sections.read("reconcile");
    let hours = sections.read("hours");
    let pickup = sections.read("pickup");
    let dispositions = sections.read_or_default("dispositions");
    let roles = sections.read("roles");
    let switches = sections.read("switches");
    let Sections { table, mut mistakes, .. } = sections;
    mistakes.extend(table.keys().map(|key| (key.clone(), "unknown key".to_owned())));
    let whole = || {
        Some(Rules {
            from,
            prerequisites: prerequisites?,
            routing: routing?,
            countries: countries?,
            permission: permission?,
            requests: requests?,
            calls: calls?,
            wallet: wallet?,
            reconcile: reconcile?,
            hours: hours?,
            pickup: pickup?,
            dispositions: dispositions?,
            roles: roles?,
            switches: switches?,
        })
    };
    let rules = whole().filter(|_| mistakes.is_empty());
    if let Some(rules) = &rules {
        mistakes = super::check::contradictions(rules);
    }
    (rules, mistakes)
}

struct Sections {
    table: Table,
    /// Of the first edition, which must say everything.
    first: bool,
    mistakes: Vec<Mistake>,
}

impl Sections {
    /// A section that came after the first packs were written.
    fn read_or_default<T: serde::de::DeserializeOwned + Default>(&mut self, key: &str) -> Option<T> {
        if self.table.contains_key(key) { self.read(key) } else { Some(T::default()) }
    }

    fn read<T: serde::de::DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        let Some(value) = self.table.remove(key) else {
            self.mistakes.push((key.to_owned(), MISSING.to_owned()));
            return None;
        };
        match value.try_into() {
            Ok(read) => Some(read),
            Err(error) => {
                let (path, why) = explain(&error, self.first);
                self.mistakes.push((path.map_or_else(|| key.to_owned(), |path| format!("{key}.{path}")), why));
                None
            }
        }
    }
}

const MISSING: &str = "missing; the first edition must say everything";

/// What serde says, as key and reason in the words of a pack's author.
fn explain(error: &toml::de::Error, first: bool) -> (Option<String>, String) {
    // The key is only in the display, as a last line "in `a.b`".
    let display = error.to_string();
    let path = display.lines().last().and_then(|line| line.strip_prefix("in `")?.strip_suffix('`'));
    let below = |key: &str| Some(path.map_or_else(|| key.to_owned(), |path| format!("{path}.{key}")));
    let message = one_line(error.message());
    if let Some((key, rest)) = message.strip_prefix("unknown field `").and_then(|rest| rest.split_once('`')) {
        let there_are = rest.trim_start_matches(", expected ").trim_start_matches("one of ");
        return (below(key), format!("unknown key; there are {there_are}"));
    }
    if let Some(key) = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        let why = if first { MISSING } else { "missing; a limit is written whole, with max and window_h" };
        return (below(key), why.to_owned());
    }
    if let Some(rest) = message.strip_prefix("unknown variant ") {
        return (path.map(str::to_owned), format!("unknown word {rest}"));
    }
    let why = match message.split_once(", expected ") {
        Some((found, "u32" | "usize")) => format!("{found}; must be a whole number, 0 or more"),
        Some((found, "i64")) => format!("{found}; must be a whole number"),
        Some((found, "a boolean")) => format!("{found}; must be true or false"),
        Some((found, wanted)) if wanted.starts_with("struct ") || wanted == "a map" => {
            format!("{found}; must be a table")
        }
        Some((found, "a sequence")) => format!("{found}; must be a list in brackets"),
        _ => message,
    };
    (path.map(str::to_owned), why)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A limit, or the word `unlimited`: an edition that leaves a limit out keeps the one before, so lifting it needs a word.
pub(super) mod limit_or_unlimited {
    use std::fmt;

    use serde::de::value::MapAccessDeserializer;
    use serde::de::{Error, MapAccess, Visitor};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::super::super::limits::Limit;

    pub(in super::super) const UNLIMITED: &str = "unlimited";

    pub(in super::super) fn serialize<S: Serializer>(limit: &Option<Limit>, ser: S) -> Result<S::Ok, S::Error> {
        match limit {
            Some(limit) => limit.serialize(ser),
            None => ser.serialize_str(UNLIMITED),
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(de: D) -> Result<Option<Limit>, D::Error> {
        de.deserialize_any(LimitOrUnlimited)
    }

    struct LimitOrUnlimited;

    impl<'de> Visitor<'de> for LimitOrUnlimited {
        type Value = Option<Limit>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a limit such as { max = 100, window_h = 24 }, or \"unlimited\"")
        }

        fn visit_str<E: Error>(self, word: &str) -> Result<Option<Limit>, E> {
            if word == UNLIMITED { Ok(None) } else { Err(E::invalid_value(serde::de::Unexpected::Str(word), &self)) }
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Option<Limit>, A::Error> {
            Limit::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }
}

/// A share, or the word `never`: an edition that leaves it out keeps the one before, so lifting it needs a word.
pub(super) mod percent_or_never {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged, expecting = "must be a percentage such as 85, or \"never\"")]
    enum Written {
        Percent(u32),
        Word(Word),
    }

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Word {
        Never,
    }

    pub(in super::super) fn serialize<S: Serializer>(percent: &Option<u32>, ser: S) -> Result<S::Ok, S::Error> {
        percent.map_or(Written::Word(Word::Never), Written::Percent).serialize(ser)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(de: D) -> Result<Option<u32>, D::Error> {
        Ok(match Written::deserialize(de)? {
            Written::Percent(percent) => Some(percent),
            Written::Word(Word::Never) => None,
        })
    }
}
