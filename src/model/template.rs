//! Messages that Meta has approved beforehand.

use serde::Serialize;
use utoipa::ToSchema;

/// An approved template with which a customer may be asked for permission to call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Template {
    #[schema(example = "may_we_call")]
    pub name: String,
    #[schema(example = "en")]
    pub language: String,
    /// What the customer reads, with its places to be filled: `{{1}}`, or `{{order_id}}`.
    pub body: String,
    /// The places of the body in order, without braces: sent as parameters of the component `body`.
    pub places: Vec<String>,
    /// Whether the places have names: a parameter then carries its `parameter_name`.
    pub named: bool,
}
