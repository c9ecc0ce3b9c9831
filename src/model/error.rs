//! How errors are told.

/// An error and its causes in one sentence. Many say what their cause says: that is not said twice.
pub fn chain(error: impl std::error::Error) -> String {
    std::iter::successors(error.source(), |cause| cause.source()).fold(error.to_string(), |told, cause| {
        let cause = cause.to_string();
        if told.contains(&cause) { told } else { format!("{told}: {cause}") }
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{say}")]
    struct Outer {
        say: &'static str,
        source: io::Error,
    }

    #[test]
    fn each_cause_is_said_once() {
        #[track_caller]
        fn check(say: &'static str, told: &str) {
            assert_eq!(chain(&Outer { say, source: io::Error::other("no route") }), told);
        }
        check("cannot connect", "cannot connect: no route");
        check("cannot connect: no route", "cannot connect: no route");
    }
}
