//! What went wrong in the pages: from the browser's own log, so that no page can hide it.

use super::Browser;

impl Browser {
    /// Everything that went wrong in any tab so far: what a page threw and did not catch, what it reported with
    /// `console.error`, what the security policy refused, and files that were missing.
    pub(crate) async fn errors(&self) -> Vec<String> {
        let log = self.driver.browser_log().await.unwrap();
        let new = log.into_iter().filter(|entry| entry.level == "SEVERE" && !is_a_refusal(&entry.message));
        let mut faults = self.faults.lock().unwrap();
        faults.extend(new.map(|entry| format!("{}: {}", entry.source.unwrap_or_default(), entry.message)));
        faults.clone()
    }
}

/// Chromium reports every 4xx and 5xx. One of the API is an answer, which the page puts into words, and while a gateway
/// is away its pages go on asking.
fn is_a_refusal(message: &str) -> bool {
    let url = message.split(' ').next().unwrap_or_default();
    let path = url.splitn(4, '/').nth(3).unwrap_or_default();
    path.starts_with("v1/") && message.contains(" - Failed to load resource: ")
}

#[test]
fn a_refusal_of_the_api_is_no_fault_of_the_page_and_all_else_is() {
    let host = "http://127.0.0.1:1234";
    let status = "Failed to load resource: the server responded with a status of 404 (Not Found)";
    assert!(is_a_refusal(&format!("{host}/v1/session - {status}")));
    assert!(!is_a_refusal(&format!("{host}/missing.js - {status}")));
    assert!(!is_a_refusal(&format!("{host}/v1/session 3:4 \"said the page\"")));
    assert!(!is_a_refusal(&format!("{host}/app.js 3:4 Uncaught Error: {host}/v1/session - {status}")));
}
