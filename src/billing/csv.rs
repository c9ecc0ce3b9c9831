//! Lines of comma-separated values (RFC 4180), read strictly: a field is plain or quoted, and ends on its line.

/// A line that cannot be taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadLine {
    #[error("a quote is opened and not closed on this line")]
    Open,
    #[error("after a closing quote there must be a comma or the end of the line")]
    AfterQuote,
    #[error("a quote inside a field: put the whole field in quotes and write each quote in it twice")]
    Inside,
}

/// The fields of one line, without the spaces around them.
pub(super) fn fields(line: &str) -> Result<Vec<String>, BadLine> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, after) = match rest.trim_start().strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => plain_field(rest)?,
        };
        fields.push(field);
        match after {
            Some(after) => rest = after,
            None => return Ok(fields),
        }
    }
}

/// A field and, if a comma follows, what stands behind it.
type Taken<'a> = (String, Option<&'a str>);

fn plain_field(text: &str) -> Result<Taken<'_>, BadLine> {
    let (field, after) = match text.split_once(',') {
        Some((field, after)) => (field, Some(after)),
        None => (text, None),
    };
    if field.contains('"') { Err(BadLine::Inside) } else { Ok((field.trim().to_owned(), after)) }
}

/// `text` starts behind the opening quote.
fn quoted_field(text: &str) -> Result<Taken<'_>, BadLine> {
    let (mut field, mut rest) = (String::new(), text);
    loop {
        let (part, after) = rest.split_once('"').ok_or(BadLine::Open)?;
        field.push_str(part);
        if let Some(more) = after.strip_prefix('"') {
            field.push('"');
            rest = more;
            continue;
        }
        let field = field.trim().to_owned();
        let after = after.trim_start();
        return match after.strip_prefix(',') {
            Some(next) => Ok((field, Some(next))),
            None if after.is_empty() => Ok((field, None)),
            None => Err(BadLine::AfterQuote),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart_or_refused() {
        #[track_caller]
        fn check(line: &str, want: Result<&[&str], BadLine>) {
            assert_eq!(fields(line), want.map(|fields| fields.iter().map(|&f| f.to_owned()).collect()), "{line:?}");
        }
        check("", Ok(&[""]));
        check("a", Ok(&["a"]));
        check("a,b", Ok(&["a", "b"]));
        check(" a , b ", Ok(&["a", "b"]));
        check(",", Ok(&["", ""]));
        check("a,,", Ok(&["a", "", ""]));
        check("\"a, b\",c", Ok(&["a, b", "c"]));
        check("x, \"a \"\"b\"\"\" ,c", Ok(&["x", "a \"b\"", "c"]));
        check("\"\",", Ok(&["", ""]));
        check("\"\"\"\"", Ok(&["\""]));
        check("\"a", Err(BadLine::Open));
        check("\"a\"\"", Err(BadLine::Open));
        check("\"a\"b", Err(BadLine::AfterQuote));
        check("a\"b\"", Err(BadLine::Inside));
        check("a,b\"", Err(BadLine::Inside));
    }
}
