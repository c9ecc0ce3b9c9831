//! The house holds: a module names only modules of lower floors, and the thinking floors never wait.
//!
//! The floors are read from the documentation of `src/lib.rs`, so that the map cannot drift from the house.

#![allow(clippy::unwrap_used, reason = "a story that cannot go on fails there")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Floors whose code must not wait: no runtime, socket, file, thread or clock.
const PURE: [&str; 3] = ["words", "ground", "mind"];

/// What pure code may not name, and why.
const WAITING: [(&str, &str); 9] = [
    ("tokio::", "a runtime"),
    ("std::net::Udp", "a socket"),
    ("std::net::Tcp", "a socket"),
    ("std::fs", "files"),
    ("std::thread", "threads"),
    ("mio::", "a poller"),
    ("sqlx::", "a database"),
    ("reqwest::", "a network client"),
    ("axum::", "a server"),
];

#[test]
fn every_module_names_only_lower_floors() {
    let house = House::read(&source());
    assert_eq!(house.sideways_and_upward(&source()), Vec::<String>::new());
}

#[test]
fn ground_and_mind_never_wait() {
    let house = House::read(&source());
    assert_eq!(house.waiting(&source()), Vec::<String>::new());
}

#[test]
fn every_module_of_the_crate_is_on_the_map_and_every_one_on_the_map_exists() {
    let house = House::read(&source());
    let text = fs::read_to_string(source().join("lib.rs")).unwrap();
    let mut declared: Vec<_> =
        text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let mut mapped: Vec<_> = house.floor_of.keys().map(String::as_str).filter(|name| *name != "main").collect();
    declared.sort_unstable();
    mapped.sort_unstable();
    assert_eq!(declared, mapped);
}

/// The guard itself: planted violations are found, by file name.
#[test]
fn planted_violations_are_found() {
    let planted = std::env::temp_dir().join(format!("tandem-house-{}", std::process::id()));
    fs::create_dir_all(planted.join("media")).unwrap();
    fs::create_dir_all(planted.join("shard")).unwrap();
    fs::copy(source().join("lib.rs"), planted.join("lib.rs")).unwrap();
    fs::write(planted.join("media/leg.rs"), "use crate::shard::Command;\nfn f() { tokio::spawn(async {}); }\n")
        .unwrap();
    fs::write(planted.join("shard/worker.rs"), "use crate::{model::id::CallId, tap::Tap};\n").unwrap();
    let house = House::read(&planted);
    let arrows = house.sideways_and_upward(&planted);
    let waiting = house.waiting(&planted);
    fs::remove_dir_all(&planted).unwrap();
    assert_eq!(
        arrows,
        [
            "media/leg.rs names crate::shard: mind must not know hands",
            "shard/worker.rs names crate::tap: hands must not know its neighbours",
        ]
    );
    assert_eq!(waiting, ["media/leg.rs names tokio:: (a runtime): mind must not wait"]);
}

struct House {
    /// Module → floor, by name and height.
    floor_of: BTreeMap<String, (String, usize)>,
}

impl House {
    /// Reads the list in `lib.rs`: lines `//! - **floor**: `module`, …`, lowest floor first.
    fn read(source: &Path) -> Self {
        let text = fs::read_to_string(source.join("lib.rs")).unwrap();
        let mut floor_of = BTreeMap::new();
        let mut height = 0;
        for line in text.lines() {
            let Some((floor, modules)) = line.strip_prefix("//! - **").and_then(|rest| rest.split_once("**:")) else {
                continue;
            };
            let (modules, _) = modules.split_once('—').unwrap_or((modules, ""));
            for module in modules.split('`').skip(1).step_by(2) {
                floor_of.insert(module.to_owned(), (floor.to_owned(), height));
            }
            height += 1;
        }
        assert!(height >= 6, "the map in lib.rs lists the floors");
        Self { floor_of }
    }

    fn sideways_and_upward(&self, source: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for (file, module, text) in self.files(source) {
            let (floor, height) = &self.floor_of[&module];
            for named in named_modules(&text) {
                let Some((other, other_height)) = self.floor_of.get(&named) else { continue };
                if named == module || other_height < height || floor == "roof" {
                    continue;
                }
                let why = if other == floor { "its neighbours".to_owned() } else { other.clone() };
                found.push(format!("{file} names crate::{named}: {floor} must not know {why}"));
            }
        }
        found.sort();
        found.dedup();
        found
    }

    fn waiting(&self, source: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for (file, module, text) in self.files(source) {
            let floor = &self.floor_of[&module].0;
            if !PURE.contains(&floor.as_str()) {
                continue;
            }
            for (name, what) in WAITING {
                if text.contains(name) {
                    found.push(format!("{file} names {name} ({what}): {floor} must not wait"));
                }
            }
        }
        found.sort();
        found
    }

    /// Every source file but `lib.rs`: name, module, and text without comments and tests.
    fn files(&self, source: &Path) -> Vec<(String, String, String)> {
        let mut files = Vec::new();
        collect(source, &mut files);
        files.sort();
        files
            .into_iter()
            .filter_map(|path| {
                let name = path.strip_prefix(source).unwrap().to_str().unwrap().to_owned();
                let module = name.split(['/', '.']).next().unwrap().to_owned();
                let is_test = path.file_stem().is_some_and(|stem| stem == "tests") || name.contains("/tests/");
                if name == "lib.rs" || is_test {
                    return None;
                }
                assert!(
                    self.floor_of.contains_key(&module),
                    "{name} is on no floor: put `{module}` on the map in lib.rs"
                );
                Some((name, module, code(&fs::read_to_string(&path).unwrap())))
            })
            .collect()
    }
}

/// The text without comments and without what follows `#[cfg(test)]`.
fn code(text: &str) -> String {
    let production = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    production.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// First segments of every `crate::…` path, also inside `use crate::{…}`.
fn named_modules(text: &str) -> Vec<String> {
    let mut named = Vec::new();
    for rest in text.split("crate::").skip(1) {
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut start = true;
            let mut word = String::new();
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => start = true,
                    c if depth == 0 && start && (c.is_alphanumeric() || c == '_') => word.push(c),
                    _ if !word.is_empty() => {
                        named.push(std::mem::take(&mut word));
                        start = false;
                    }
                    _ => {}
                }
                if depth == 0 && c == ',' && !word.is_empty() {
                    named.push(std::mem::take(&mut word));
                }
            }
            if !word.is_empty() {
                named.push(word);
            }
        } else {
            named.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    named
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}
