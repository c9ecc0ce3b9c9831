//! skeleton
/// Why a session description cannot be used. Each sentence says what to mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SdpError {
    #[error("{0}")]
    Invalid(String),
}
