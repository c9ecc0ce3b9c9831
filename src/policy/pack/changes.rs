//! What changes when: the difference between each edition and the one before.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use toml::Value;

use crate::model::time::Timestamp;

use super::read::is_limit;
use super::{Pack, Rules};

/// One value that an edition changes.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Change {
    /// When the edition comes into force.
    pub from: Timestamp,
    /// As in the file: `calls.connected_per_number`.
    pub key: String,
    /// `null`: it was not set.
    pub before: Option<String>,
    pub after: Option<String>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {} -> {}", self.from, self.key, shown(&self.before), shown(&self.after))
    }
}

pub(super) fn of(editions: &[Rules]) -> Vec<Change> {
    let told: Vec<_> = editions.iter().map(|rules| (rules.from, tell(rules))).collect();
    told.windows(2).flat_map(|pair| between(&pair[0].1, pair[1].0, &pair[1].1)).collect()
}

/// The pack as a page for people: every value of the first edition, then what changes with each later one; the one in force
/// at `now` is marked.
pub(super) fn page(pack: &Pack, now: Timestamp) -> String {
    let mut page = format!("# Policy pack `{}`\n", pack.name);
    let changes = of(pack.editions());
    for (n, rules) in pack.editions().iter().enumerate() {
        let mark = if rules.from == pack.rules(now).from { " (in force)" } else { "" };
        let _ = write!(page, "\n## From {}{mark}\n\n", rules.from);
        if n == 0 {
            for (key, value) in tell(rules) {
                let _ = writeln!(page, "- {key}: {value}");
            }
        }
        for Change { key, before, after, .. } in changes.iter().filter(|change| change.from == rules.from) {
            let _ = writeln!(page, "- {key}: {} → {}", shown(before), shown(after));
        }
    }
    page
}

fn shown(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or("not set")
}

/// Every value of an edition by its key, for people.
type Told = BTreeMap<String, String>;

fn between(before: &Told, from: Timestamp, after: &Told) -> Vec<Change> {
    let gone = before.keys().filter(|key| !after.contains_key(*key));
    let mut keys: Vec<&String> = gone.chain(after.keys()).collect();
    keys.sort();
    let change = |key: &String| Change {
        from,
        key: key.clone(),
        before: before.get(key).cloned(),
        after: after.get(key).cloned(),
    };
    keys.into_iter().map(change).filter(|change| change.before != change.after).collect()
}

fn tell(rules: &Rules) -> Told {
    let mut told = Told::new();
    let value = Value::try_from(rules).expect("rules are made of what TOML can say");
    tell_value("", &value, &mut told);
    told.remove("from");
    told
}

fn tell_value(key: &str, value: &Value, told: &mut Told) {
    let text = match value {
        Value::Table(table) if is_limit(table) => {
            let part = |name: &str| table.get(name).map_or_else(String::new, ToString::to_string);
            format!("{} in {} h", part("max"), part("window_h"))
        }
        Value::Table(table) => {
            for (name, value) in table {
                let below = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                tell_value(&below, value, told);
            }
            return;
        }
        Value::Array(list) if list.is_empty() => "none".to_owned(),
        Value::Array(list) => list.iter().map(plain).collect::<Vec<_>>().join(", "),
        other => plain(other),
    };
    told.insert(key.to_owned(), text);
}

/// Without the quotes of TOML.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
