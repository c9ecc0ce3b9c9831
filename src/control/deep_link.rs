//! Links that open a call to a number, and the same as a code to print.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use qrcodegen::{QrCode, QrCodeEcc};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::Shared;
use super::auth::Caller;
use super::extract::Id;
use super::openapi::Problems;
use super::problem::Problem;
use crate::model::id::NumberId;
use crate::model::phone::Phone;
use crate::policy::access::{Action, Resource};

/// White around the code that readers ask for, in modules (ISO/IEC 18004 section 9.1).
const QUIET: i32 = 4;

pub(crate) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(qr))
}

#[derive(Serialize, ToSchema)]
pub(crate) struct DeepLink {
    /// `call`, or `call_with_payload`: what is appended to its address comes back with the call, as its `deeplink_payload`.
    #[schema(example = "call")]
    kind: &'static str,
    #[schema(example = "https://wa.me/995322000111?call")]
    url: String,
}

impl DeepLink {
    /// Both that WhatsApp knows; their addresses hold digits only.
    pub(crate) fn both(phone: &Phone) -> [Self; 2] {
        let digits = phone.wa_id();
        [
            Self { kind: "call", url: format!("https://wa.me/{digits}?call") },
            Self { kind: "call_with_payload", url: format!("https://wa.me/call/{digits}?biz_payload=") },
        ]
    }
}

/// Draws the link that opens a call as a QR code
///
/// The `call` link of the number's settings, black on white, of any size.
#[utoipa::path(get, path = "/v1/numbers/{id}/deep-link.svg", tag = "numbers",
    params(("id" = String, Path, description = "Meta's `phone_number_id`", example = "100000000000001")),
    responses((status = 200, description = "The code", body = String, content_type = "image/svg+xml"), Problems))]
async fn qr(State(control): State<Shared>, caller: Caller, Id(id): Id<NumberId>) -> Result<Response, Problem> {
    caller.may(Action::Read, Resource::Settings)?;
    let number = control.store.number(&id).await?.ok_or_else(Problem::not_found)?;
    let [link, _] = DeepLink::both(&number.display_phone_number);
    Ok(([(CONTENT_TYPE, "image/svg+xml")], svg(&encode(&link.url))).into_response())
}

/// Quarter of the code may be dirty or covered: it hangs on shop doors.
fn encode(url: &str) -> QrCode {
    QrCode::encode_text(url, QrCodeEcc::Quartile).expect("a link of some 40 characters fits a code")
}

/// One path for all modules, so that no reader sees seams between them.
fn svg(code: &QrCode) -> String {
    let side = code.size() + 2 * QUIET;
    let modules = (0..code.size()).flat_map(|y| (0..code.size()).map(move |x| (x, y)));
    let dark = modules.filter(|(x, y)| code.get_module(*x, *y));
    let path: String = dark.map(|(x, y)| format!("M{} {}h1v1h-1z", x + QUIET, y + QUIET)).collect();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
         <path fill=\"#fff\" d=\"M0 0h{side}v{side}H0z\"/><path d=\"{path}\"/></svg>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_hold_digits_only() {
        let [plain, with_payload] = DeepLink::both(&Phone::parse("+995 322 000-111").unwrap());
        assert_eq!((plain.kind, plain.url.as_str()), ("call", "https://wa.me/995322000111?call"));
        assert_eq!(with_payload.url, "https://wa.me/call/995322000111?biz_payload=");
    }

    #[test]
    fn the_code_as_it_is_drawn_reads_back_as_the_link() {
        for phone in ["+995322000111", "+12025550123", "+6831234"] {
            let [link, _] = DeepLink::both(&Phone::parse(phone).unwrap());
            let drawn = svg(&encode(&link.url));
            assert_eq!(read(&drawn), link.url);
        }
    }

    /// Renders our SVG, four pixels a module, and hands it to a reader that somebody else wrote.
    fn read(svg: &str) -> String {
        let side: usize = svg.split("viewBox=\"0 0 ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        let path = svg.split("<path d=\"").nth(1).unwrap().split('"').next().unwrap();
        let dark: std::collections::HashSet<(usize, usize)> = path
            .split_terminator("h1v1h-1z")
            .map(|module| {
                let (x, y) = module.strip_prefix('M').unwrap().split_once(' ').unwrap();
                (x.parse().unwrap(), y.parse().unwrap())
            })
            .collect();
        let pixel = |x: usize, y: usize| if dark.contains(&(x / 4, y / 4)) { 0 } else { 255 };
        let mut image = rqrr::PreparedImage::prepare_from_greyscale(side * 4, side * 4, pixel);
        let grids = image.detect_grids();
        assert_eq!(grids.len(), 1);
        grids[0].decode().unwrap().1
    }
}
