//! Tables and other files to take home.

use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};

use crate::store::StoreError;

/// An answer that a browser saves under this name.
pub(super) fn file(kind: &'static str, name: &str, body: Body) -> Response {
    let headers = [
        (CONTENT_TYPE, kind.to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
        // Customers' names and voices, and what was paid: in nobody's cache.
        (CACHE_CONTROL, "private, no-store".to_owned()),
    ];
    (headers, body).into_response()
}

/// A table that is read page by page while it is sent: `page` answers the rows behind a cursor, and the next cursor.
pub(super) fn csv<F, P>(name: &str, header: &[&str], page: F) -> Response
where
    F: Fn(Option<String>) -> P + Send + 'static,
    P: Future<Output = Result<(Vec<u8>, Option<String>), StoreError>> + Send + 'static,
{
    let rows = stream::try_unfold(Some(None), move |at| {
        let page = at.map(&page);
        async move {
            let Some(page) = page else { return Ok(None) };
            let (rows, next) = page.await.inspect_err(|error| tracing::error!(%error, "an export broke off"))?;
            Ok::<_, StoreError>(Some((Bytes::from(rows), next.map(Some))))
        }
    });
    let header = stream::iter([Ok(Bytes::from(row(header)))]);
    file("text/csv; charset=utf-8", name, Body::from_stream(header.chain(rows)))
}

/// One line of a table (RFC 4180).
pub(super) fn row<T: AsRef<[u8]>>(cells: &[T]) -> Vec<u8> {
    let mut line = ::csv::WriterBuilder::new().terminator(::csv::Terminator::CRLF).from_writer(Vec::new());
    line.write_record(cells).expect("memory takes every row");
    line.into_inner().expect("memory takes every row")
}

/// A spreadsheet runs what begins like a formula, and customers choose their names
/// (https://owasp.org/www-community/attacks/CSV_Injection).
pub(super) fn harmless(text: Option<&str>) -> String {
    let text = text.unwrap_or_default();
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_begins_like_a_formula_is_text() {
        #[track_caller]
        fn check(text: &str, cell: &str) {
            assert_eq!(harmless(Some(text)), cell);
        }
        check("Nino", "Nino");
        check("=HYPERLINK(\"http://x\")", "'=HYPERLINK(\"http://x\")");
        check("-1+1", "'-1+1");
        check("@SUM(A1)", "'@SUM(A1)");
        check("\t=1", "'\t=1");
        assert_eq!(harmless(None), "");
    }
}
