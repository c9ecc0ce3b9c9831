//! Reading rows into our types, and building the few statements whose conditions vary.

use std::fmt::Display;
use std::str::FromStr;

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::{Any, AssertSqlSafe, Row};

use super::error::{Result, StoreError};
use crate::model::time::Timestamp;

/// Columns of a row by name, as the types the program speaks.
pub(super) trait Columns {
    fn int(&self, column: &str) -> Result<i64>;
    fn int_opt(&self, column: &str) -> Result<Option<i64>>;
    fn text(&self, column: &str) -> Result<String>;
    fn text_opt(&self, column: &str) -> Result<Option<String>>;
    fn bytes_opt(&self, column: &str) -> Result<Option<Vec<u8>>>;

    fn bytes(&self, column: &str) -> Result<Vec<u8>> {
        self.bytes_opt(column)?.ok_or_else(|| damaged(column, "empty"))
    }

    fn flag(&self, column: &str) -> Result<bool> {
        Ok(self.int(column)? != 0)
    }

    fn time(&self, column: &str) -> Result<Timestamp> {
        Ok(Timestamp::from_millis(self.int(column)?))
    }

    fn time_opt(&self, column: &str) -> Result<Option<Timestamp>> {
        Ok(self.int_opt(column)?.map(Timestamp::from_millis))
    }

    /// An id, or a word of a closed list.
    fn word<T: FromStr<Err: Display>>(&self, column: &str) -> Result<T> {
        self.text(column)?.parse().map_err(|e| damaged(column, e))
    }

    fn word_opt<T: FromStr<Err: Display>>(&self, column: &str) -> Result<Option<T>> {
        self.parsed_opt(column, str::parse)
    }

    /// What its type reads in its own way.
    fn parsed_opt<T, E: Display>(&self, column: &str, parse: impl Fn(&str) -> Result<T, E>) -> Result<Option<T>> {
        self.text_opt(column)?.as_deref().map(parse).transpose().map_err(|e| damaged(column, e))
    }

    fn json<T: serde::de::DeserializeOwned>(&self, column: &str) -> Result<T> {
        serde_json::from_str(&self.text(column)?).map_err(|e| damaged(column, e))
    }

    fn json_opt<T: serde::de::DeserializeOwned>(&self, column: &str) -> Result<Option<T>> {
        let text = self.text_opt(column)?;
        text.map(|text| serde_json::from_str(&text)).transpose().map_err(|e| damaged(column, e))
    }
}

impl Columns for AnyRow {
    fn int(&self, column: &str) -> Result<i64> {
        Ok(self.try_get(column)?)
    }

    fn int_opt(&self, column: &str) -> Result<Option<i64>> {
        Ok(self.try_get(column)?)
    }

    fn text(&self, column: &str) -> Result<String> {
        Ok(self.try_get(column)?)
    }

    fn text_opt(&self, column: &str) -> Result<Option<String>> {
        Ok(self.try_get(column)?)
    }

    fn bytes_opt(&self, column: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.try_get(column)?)
    }
}

pub(super) fn damaged(column: &str, problem: impl Display) -> StoreError {
    StoreError::Damaged { column: column.to_owned(), problem: problem.to_string() }
}

/// Free text as both databases can hold it: PostgreSQL refuses U+0000 in TEXT, so it becomes U+FFFD.
pub(super) fn clean(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

pub(super) fn clean_opt(text: Option<&str>) -> Option<String> {
    text.map(clean)
}

/// Plain data as JSON text.
pub(super) fn json_text(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("plain data with text keys always serialises")
}

pub(super) fn millis(time: Option<Timestamp>) -> Option<i64> {
    time.map(Timestamp::as_millis)
}

/// A LIKE pattern that finds `text` anywhere; for use with `ESCAPE '\'`.
pub(super) fn like_pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

/// A SELECT whose conditions depend on the request. Values only ever travel as `$n` arguments.
pub(super) struct Select {
    sql: String,
    args: AnyArguments,
    conditions: usize,
}

impl Select {
    pub(super) fn new(head: &str) -> Self {
        Self { sql: head.to_owned(), args: AnyArguments::default(), conditions: 0 }
    }

    /// Starts the next condition, joined by AND.
    pub(super) fn and(&mut self, sql: &str) -> &mut Self {
        self.sql.push_str(if self.conditions == 0 { " WHERE " } else { " AND " });
        self.conditions += 1;
        self.push(sql)
    }

    pub(super) fn push(&mut self, sql: &str) -> &mut Self {
        self.sql.push_str(sql);
        self
    }

    pub(super) fn text(&mut self, value: impl Into<String>) -> &mut Self {
        self.arg(value.into())
    }

    pub(super) fn int(&mut self, value: i64) -> &mut Self {
        self.arg(value)
    }

    pub(super) fn bytes(&mut self, value: impl Into<Vec<u8>>) -> &mut Self {
        self.arg(value.into())
    }

    /// `($1, $2, …)`; a list must not be empty.
    pub(super) fn list(&mut self, values: impl Iterator<Item = impl Into<String>>) -> &mut Self {
        self.sql.push('(');
        for (i, value) in values.enumerate() {
            if i > 0 {
                self.sql.push_str(", ");
            }
            self.text(value);
        }
        self.push(")")
    }

    pub(super) fn query(self) -> sqlx::query::Query<'static, Any, AnyArguments> {
        // Safe: the text is put together from literals of this crate, see `arg`.
        sqlx::query_with(AssertSqlSafe(self.sql), self.args)
    }

    fn arg<T: for<'t> sqlx::Encode<'t, Any> + sqlx::Type<Any>>(&mut self, value: T) -> &mut Self {
        use sqlx::Arguments as _;
        self.args.add(value).expect("text, bytes and integers always encode");
        self.sql.push_str(&format!("${}", self.args.len()));
        self
    }
}
